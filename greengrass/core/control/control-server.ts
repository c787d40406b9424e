/**
 * The operator's door into a running core: HTTP over a Unix socket that only root may open (mode 0600, in the write
 * directory, which no container sees). Parts bring their routes; here are sizes, errors and streams.
 */
import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { CheckError } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import { type SocketPath, socketPath } from '../../lib/unix-socket.js';
import type { Component, Health } from '../component.js';
import { ControlRefusal, type ControlRoute } from './control-route.js';
import { RouteTable } from './route-table.js';
import { sendStream } from './stream-answer.js';

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 32;
const MAX_STREAMS = 8;
const REQUEST_TIMEOUT_MS = 15_000;

export interface ControlServerOptions {
  readonly path: string;
  readonly routes: readonly ControlRoute[];
  readonly logger: Logger;
}

export class ControlServer implements Component {
  readonly name = 'GGControl';
  readonly #options: ControlServerOptions;
  readonly #routes: RouteTable;
  #server: Server | undefined;
  #address: SocketPath | undefined;
  #streams = 0;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#routes = new RouteTable(options.routes);
  }

  /** A socket that a killed daemon left behind is taken over: the pid file has made sure that this is the only one. */
  async start(): Promise<void> {
    if (this.#server) return;
    const { path, logger } = this.#options;
    mkdirSync(dirname(path), { recursive: true });
    removeSocket(path);
    const server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: 16 * 1024 },
      (request, response) => void this.#serve(request, response),
    );
    server.maxConnections = MAX_CONNECTIONS;
    this.#address = socketPath(path);
    await listenPrivately(server, this.#address.path);
    chmodSync(path, 0o600);
    server.on('error', (error) => logger.error({ reason: error.message }, 'Control socket failed.'));
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    this.#address?.release();
    removeSocket(this.#options.path);
  }

  health(): Health {
    return this.#server
      ? { healthy: true }
      : { healthy: false, reason: 'the control socket does not listen' };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    try {
      const url = new URL(request.url ?? '/', 'http://core');
      const { route, params } = this.#routes.find(request.method ?? 'GET', url.pathname);
      const body = await readBody(request);
      const answer = await route.handle({ params, query: url.searchParams, body, signal: gone.signal });
      if ('stream' in answer) await this.#stream(answer.stream, response, gone.signal);
      else send(response, answer.status ?? 200, answer.body);
    } catch (error) {
      this.#refuse(error as Error, request, response);
    }
  }

  async #stream(items: AsyncIterable<unknown>, response: ServerResponse, signal: AbortSignal): Promise<void> {
    if (this.#streams >= MAX_STREAMS) {
      throw new ControlRefusal(429, `more than ${MAX_STREAMS} callers follow this core already`);
    }
    this.#streams += 1;
    try {
      await sendStream(items, response, signal);
    } finally {
      this.#streams -= 1;
    }
  }

  #refuse(error: Error, request: IncomingMessage, response: ServerResponse): void {
    const status = error instanceof ControlRefusal ? error.status : error instanceof CheckError ? 400 : 500;
    if (status === 500) {
      const path = request.url?.split('?')[0];
      this.#options.logger.error({ path, stack: error.stack }, 'Control request failed.');
    }
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    if (!request.complete) response.setHeader('Connection', 'close');
    send(response, status, { message: status === 500 ? 'internal error, see runtime.log' : error.message });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new ControlRefusal(413, `the body is larger than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** bind() happens inside listen(): the socket is never there with a wider mode, not for an instant. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const umask = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}

/** Anything but a socket at this place is somebody's file, and stays. */
function removeSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) rmSync(path, { force: true });
}
