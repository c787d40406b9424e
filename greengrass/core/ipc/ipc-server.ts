/**
 * The workers' door: plain HTTP on the loopback addresses, port `ggDaemonPort`. Every request but health names its worker
 * by token; behind the door a worker is its function and nothing else.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CheckError } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import type { Component, Health } from '../component.js';
import type { FunctionLogs } from '../logs/function-logs.js';
import { handleHealth } from './health-api.js';
import { answer, header, IpcRefusal } from './http-call.js';
import { handleLogs } from './log-api.js';
import { WorkApi } from './work-api.js';
import type { Caller, WorkDesk } from './work-desk.js';

const API = '/2016-11-01/';
const FUNCTION_PATH = /^\/2016-11-01\/functions\/([^/]+)(?:\/(work|initialized))?\/?$/;

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
  #servers: Server[] = [];

  constructor(options: IpcServerOptions) {
    this.#options = options;
    this.#workApi = new WorkApi(options.desk);
  }

  get port(): number {
    const address = this.#servers[0]?.address() as AddressInfo | null | undefined;
    return address?.port ?? this.#options.port;
  }

  /** Listens on 127.0.0.1, and on ::1 where the host has it: clients say `localhost`. */
  async start(): Promise<void> {
    if (this.#servers.length > 0) return;
    const first = await this.#listen('127.0.0.1', this.#options.port);
    this.#servers.push(first);
    try {
      this.#servers.push(await this.#listen('::1', (first.address() as AddressInfo).port));
    } catch (error) {
      this.#options.logger.debug({ reason: (error as Error).message }, 'IPC does not listen on ::1.');
    }
    this.#options.logger.info({ port: this.port }, 'IPC server started.');
  }

  async stop(): Promise<void> {
    const servers = this.#servers;
    this.#servers = [];
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  health(): Health {
    return this.#servers.length > 0
      ? { healthy: true }
      : { healthy: false, reason: 'the IPC server does not listen' };
  }

  #listen(host: string, port: number): Promise<Server> {
    const server = createServer(
      // Long polls stay open for as long as there is no work.
      {
        requestTimeout: 0,
        headersTimeout: 15_000,
        keepAliveTimeout: 75_000,
        maxHeaderSize: 48 * 1024,
        noDelay: true,
      },
      (request, response) => void this.#serve(request, response),
    );
    server.timeout = 0;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve(server);
      });
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    try {
      await this.#route(request, response);
    } catch (error) {
      await this.#refuse(error as Error, request, response);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').split('?')[0] as string;
    if (!path.startsWith(API)) throw new IpcRefusal(404, 'there is nothing here');
    if (path === `${API}health/workers`) return handleHealth(this.#options.desk, request, response);
    const caller = this.#identify(request);
    const match = FUNCTION_PATH.exec(path);
    if (match) {
      const part = (match[2] ?? '') as '' | 'work' | 'initialized';
      return this.#workApi.handle({
        request,
        response,
        caller,
        functionArn: decode(match[1] as string),
        part,
      });
    }
    if (/^\/2016-11-01\/cloudwatch\/logs\/?$/.test(path))
      return handleLogs(this.#options.logs, caller, request, response);
    if (/^\/2016-11-01\/credentialprovider\/?$/.test(path)) {
      return this.#giveCredentials(request, response);
    }
    throw new IpcRefusal(404, 'there is nothing here');
  }

  async #giveCredentials(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET') throw new IpcRefusal(405, 'credentials are read with GET');
    const credentials = await this.#options.credentials();
    if ('refused' in credentials) throw new IpcRefusal(credentials.refused, credentials.reason);
    const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' };
    await answer(response, 200, headers, JSON.stringify(credentials));
  }

  #identify(request: IncomingMessage): Caller {
    const token = header(request, 'authorization');
    const caller = token === '' ? undefined : this.#options.desk.identify(token);
    if (!caller) throw new IpcRefusal(401, 'the Authorization header names no worker of this core');
    return caller;
  }

  async #refuse(error: Error, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = error instanceof IpcRefusal ? error.status : error instanceof CheckError ? 400 : 500;
    if (status === 500 && !request.destroyed) {
      this.#options.logger.error({ path: request.url, stack: error.stack }, 'IPC request failed.');
    } else {
      this.#options.logger.debug(
        { method: request.method, path: request.url, status, reason: error.message },
        'IPC request refused.',
      );
    }
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    // A body that was not read to its end can't share its connection with a next request.
    const close: Record<string, string> = request.complete ? {} : { Connection: 'close' };
    const text = status === 500 ? 'internal error' : error.message;
    await answer(
      response,
      status,
      { 'Content-Type': 'application/json', ...close },
      JSON.stringify({ message: text }),
    );
    if (!request.complete) request.destroy();
  }
}

/** ARNs stand in the path raw or percent-encoded. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new IpcRefusal(400, 'the path is not percent-encoded correctly');
  }
}
