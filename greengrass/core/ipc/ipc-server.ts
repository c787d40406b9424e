/**
 * The workers' door: plain HTTP on the loopback addresses, port `ggDaemonPort`. Every request but health names its worker
 * by token; behind the door a worker is its function and nothing else.
 */
import { CheckError } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import type { Component, Health } from '../component.js';
import type { FunctionLogs } from '../logs/function-logs.js';
import { handleHealth } from './health-api.js';
import { type HttpCall, IpcRefusal } from './http-call.js';
import { HttpFault } from './http-head.js';
import { HttpServer } from './http-server.js';
import { handleLogs } from './log-api.js';
import { WorkApi } from './work-api.js';
import type { Caller, WorkDesk } from './work-desk.js';

const API = '/2016-11-01/';
const FUNCTION_PATH = /^\/2016-11-01\/functions\/([^/]+)(?:\/(work|initialized))?\/?$/;
const LOGS_PATH = /^\/2016-11-01\/cloudwatch\/logs\/?$/;
const CREDENTIALS_PATH = /^\/2016-11-01\/credentialprovider\/?$/;
/** Of one worker at once, so that none can use up the connections of all. */
const MAX_CALLS = 512;

export interface IpcServerOptions {
  /** 0 picks a free port. */
  readonly port: number;
  readonly desk: WorkDesk;
  readonly logs: FunctionLogs;
  readonly credentials: () => Promise<CredentialsAnswer>;
  readonly logger: Logger;
}

/** Credentials of the group's role, under the names that AWS's SDKs read; or why there are none. */
export type CredentialsAnswer =
  | {
      readonly AccessKeyId: string;
      readonly SecretAccessKey: string;
      readonly Token: string;
      readonly Expiration: string;
    }
  | { readonly refused: 404 | 503; readonly reason: string };

export class IpcServer implements Component {
  readonly name = 'GGIPC';
  readonly #options: IpcServerOptions;
  readonly #workApi: WorkApi;
  #servers: HttpServer[] = [];
  /** Calls in progress of each worker. */
  readonly #calls = new Map<string, number>();

  constructor(options: IpcServerOptions) {
    this.#options = options;
    this.#workApi = new WorkApi(options.desk);
  }

  get port(): number {
    return this.#servers[0]?.port ?? this.#options.port;
  }

  /** Listens on 127.0.0.1, and on ::1 where the host has it: clients say `localhost`. */
  async start(): Promise<void> {
    if (this.#servers.length > 0) return;
    const first = await this.#listen('127.0.0.1', this.#options.port);
    this.#servers.push(first);
    try {
      this.#servers.push(await this.#listen('::1', first.port));
    } catch (error) {
      this.#options.logger.debug({ reason: (error as Error).message }, 'IPC does not listen on ::1.');
    }
    this.#options.logger.info({ port: this.port }, 'IPC server started.');
  }

  async stop(): Promise<void> {
    const servers = this.#servers;
    this.#servers = [];
    await Promise.all(servers.map((server) => server.close()));
  }

  health(): Health {
    return this.#servers.length > 0
      ? { healthy: true }
      : { healthy: false, reason: 'the IPC server does not listen' };
  }

  async #listen(host: string, port: number): Promise<HttpServer> {
    const server = new HttpServer({ handle: (call) => void this.#serve(call) });
    await server.listen(port, host);
    return server;
  }

  async #serve(call: HttpCall): Promise<void> {
    try {
      await this.#route(call);
    } catch (error) {
      await this.#refuse(error as Error, call);
    }
  }

  async #route(request: HttpCall): Promise<void> {
    const { path } = request;
    if (!path.startsWith(API)) throw new IpcRefusal(404, 'there is nothing here');
    if (path === `${API}health/workers`) return handleHealth(this.#options.desk, request);
    const caller = this.#identify(request);
    const calls = this.#calls.get(caller.workerId) ?? 0;
    if (calls >= MAX_CALLS) throw new IpcRefusal(503, `more than ${MAX_CALLS} requests at once`);
    this.#calls.set(caller.workerId, calls + 1);
    try {
      await this.#routeOf(caller, request);
    } finally {
      const rest = (this.#calls.get(caller.workerId) ?? 1) - 1;
      if (rest > 0) this.#calls.set(caller.workerId, rest);
      else this.#calls.delete(caller.workerId);
    }
  }

  #routeOf(caller: Caller, request: HttpCall): Promise<void> {
    const match = FUNCTION_PATH.exec(request.path);
    if (match) {
      const part = (match[2] ?? '') as '' | 'work' | 'initialized';
      return this.#workApi.handle({ request, caller, functionArn: decode(match[1] as string), part });
    }
    if (LOGS_PATH.test(request.path)) return handleLogs(this.#options.logs, caller, request);
    if (CREDENTIALS_PATH.test(request.path)) return this.#giveCredentials(request);
    throw new IpcRefusal(404, 'there is nothing here');
  }

  async #giveCredentials(request: HttpCall): Promise<void> {
    if (request.method !== 'GET') throw new IpcRefusal(405, 'credentials are read with GET');
    const credentials = await this.#options.credentials();
    if ('refused' in credentials) throw new IpcRefusal(credentials.refused, credentials.reason);
    const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
    await request.answer(200, headers, JSON.stringify(credentials));
  }

  #identify(request: HttpCall): Caller {
    const token = request.header('authorization');
    const caller = token === '' ? undefined : this.#options.desk.identify(token);
    if (!caller) throw new IpcRefusal(401, 'the Authorization header names no worker of this core');
    return caller;
  }

  async #refuse(error: Error, request: HttpCall): Promise<void> {
    const status = statusOf(error);
    if (status === 500 && !request.gone.aborted) {
      this.#options.logger.error({ path: request.path, stack: error.stack }, 'IPC request failed.');
    } else {
      this.#options.logger.debug(
        { method: request.method, path: request.path, status, reason: error.message },
        'IPC request refused.',
      );
    }
    if (request.isAnswered) {
      request.breakOff();
      return;
    }
    const text = status === 500 ? 'internal error' : error.message;
    await request.answer(status, { 'Content-Type': 'application/json' }, JSON.stringify({ message: text }));
  }
}

function statusOf(error: Error): number {
  if (error instanceof IpcRefusal || error instanceof HttpFault) return error.status;
  return error instanceof CheckError ? 400 : 500;
}

/** ARNs stand in the path raw or percent-encoded. */
function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new IpcRefusal(400, 'the path is not percent-encoded correctly');
  }
}
