/** One operation of an AWS API: its route and its rule. Each resource file gives a list of these to app.ts. */
import type { Request } from 'express';
import { CheckError, checkJson, type z } from '../../lib/check.js';

export interface Operation {
  /** AWS's name, as in the API's model. */
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Express paths; more than one where clients write it in more than one way. */
  readonly path: string | readonly string[];
  /** Status of success; 200 where it is absent. */
  readonly status?: number;
  /** True where X-Amzn-Client-Token makes the request idempotent. */
  readonly isIdempotent?: boolean;
  /** Value of X-Amz-Target, where operations share a path and are told apart by it. */
  readonly target?: string;
  /** True where the credentials of a group's role may call it. What such a caller may do with it, it looks at itself. */
  readonly isForGroupRoles?: boolean;
  /** True where a POST changes nothing, and so is not written down in the audit log. */
  readonly isReading?: boolean;
  /** True for S3, whose paths may be anybody's: the name in the signature tells. */
  readonly isS3?: boolean;
  /** S3 tells operations on one path apart by a parameter of the query; those that have one stand before those that don't. */
  readonly parameter?: string;
  /** True where no signature is asked for, because the path itself holds a proof. */
  readonly isPublic?: boolean;
  /** Answers the JSON body, a Reply, or nothing (an empty body). */
  handle(call: Call): Promise<object | Reply | undefined>;
}

/** An answer that is not JSON. */
export class Reply {
  constructor(
    readonly contentType: string,
    readonly body: Uint8Array | string | NodeJS.ReadableStream,
    readonly lengthBytes?: number,
    readonly headers: Readonly<Record<string, string>> = {},
    /** In place of the operation's. */
    readonly status?: number,
  ) {}
}

/** Who calls: somebody with an access key of this installation, or a core's function with its group's role. */
export interface Principal {
  readonly kind: 'operator' | 'groupRole' | 'anonymous';
  readonly arn: string;
  readonly accessKeyId: string;
}

/** A request, taken apart. Whatever breaks a rule of form throws a CheckError, which becomes the service's 400. */
export class Call {
  readonly #query: URLSearchParams;
  readonly #request: Request;

  constructor(
    request: Request,
    readonly body: Buffer,
    readonly principal: Principal,
  ) {
    this.#request = request;
    const mark = request.url.indexOf('?');
    this.#query = new URLSearchParams(mark < 0 ? '' : request.url.slice(mark + 1));
  }

  get method(): string {
    return this.#request.method;
  }

  /** A parameter of the path, decoded; several segments come back joined by `/`. */
  param(name: string): string {
    const value: string | string[] | undefined = this.#request.params[name];
    return Array.isArray(value) ? value.join('/') : (value ?? '');
  }

  query(name: string): string | undefined {
    const values = this.#query.getAll(name);
    if (values.length > 1) throw rule(name, 'may be given once');
    return values[0];
  }

  queryAll(name: string): string[] {
    return this.#query.getAll(name);
  }

  queryNames(): string[] {
    return [...this.#query.keys()];
  }

  /** `true` or `false`; undefined where it is absent. */
  queryFlag(name: string): boolean | undefined {
    const value = this.query(name);
    if (value === undefined || value === 'true' || value === 'false') return value && value === 'true';
    throw rule(name, `must be true or false, not "${value}"`);
  }

  header(name: string): string | undefined {
    return this.#request.get(name);
  }

  /** What the client called this server: host name without the port, and the whole with it. */
  get host(): { name: string; authority: string } {
    const authority = this.#request.get('host') ?? 'localhost';
    return { name: authority.replace(/:\d+$/, ''), authority };
  }

  /** The body as JSON that the schema accepts; an empty body is `{}`. */
  json<S extends z.ZodType>(schema: S): z.output<S> {
    return checkJson(schema, this.text() || '{}', 'The request body is invalid');
  }

  /** The body as text. */
  text(): string {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(this.body);
    } catch {
      throw rule('', 'is not UTF-8', 'The request body is invalid');
    }
  }
}

function rule(path: string, text: string, where = 'The request is invalid'): CheckError {
  return new CheckError(where, [{ path, rule: text }]);
}
