/** A request of a device or a core, and its answer. */
import type { PolicyVariables } from '../iot/policy-variables.js';

export interface Call {
  /** The peer's certificate: registered and ACTIVE. */
  readonly certificateId: string;
  readonly sourceIp: string | undefined;
  /** Decoded parts of the path. */
  readonly parameters: readonly string[];
  readonly range: string | undefined;
  readonly body: Buffer;
}

/** What policy variables stand for, where the peer speaks for the thing. */
export function variablesOf(
  { sourceIp }: Pick<Call, 'sourceIp'>,
  thingName: string | undefined,
): PolicyVariables {
  return {
    ...(thingName === undefined ? {} : { clientId: thingName, thingName }),
    ...(sourceIp === undefined ? {} : { sourceIp }),
  };
}

export interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly headers?: ReadonlyArray<readonly [string, string]>;
  readonly body?: Buffer;
  /** In place of a body: so many bytes of it. */
  readonly stream?: { readonly length: number; open(): NodeJS.ReadableStream };
}

/** A request that is refused, with the text that the client sees. */
export class HttpRefusal extends Error {
  override readonly name = 'HttpRefusal';
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export function json(value: unknown): Answer {
  return { status: 200, body: Buffer.from(JSON.stringify(value)) };
}
