/**
 * HTTPS with client certificates: discovery for devices (V1's own), and what cores fetch and send (WIRE.md §2). Written
 * on node:https directly: old device SDKs read the answer letter by letter, so the header names stand in lower case,
 * nothing is chunked, and a Host header is not asked for.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '../../lib/log.js';
import type { DeviceNotices } from '../authority/device-notices.js';
import type { GroupAuthorities } from '../authority/group-authorities.js';
import { addressOf, isActive, peerCertificateId } from '../iot/device-identity.js';
import { Listening } from '../iot/open-sockets.js';
import type { SecretSource } from '../store/secret-source.js';
import type { ArtifactStore, Store } from '../store/store.js';
import { type Answer, type Call, HttpRefusal } from './call.js';
import { coreRoutes } from './core-requests.js';
import { discoveryRoutes } from './discovery.js';
import { credentialRoutes } from './group-credentials.js';
import { softwareRoutes } from './software-downloads.js';

const MAX_BODY_BYTES = 64 * 1024;
const MAX_URL_LENGTH = 2048;
/** A connection on which nothing moves for so long, an artifact that nobody reads among them, is ended. */
const IDLE_TIMEOUT_MS = 60_000;

export interface DeviceHttpsOptions {
  readonly store: Store;
  readonly artifacts: ArtifactStore;
  readonly secrets: SecretSource;
  readonly authorities: GroupAuthorities;
  readonly deviceNotices: DeviceNotices;
  readonly tls: { readonly certPem: string; readonly keyPem: string };
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly region: string;
  readonly accountId: string;
  readonly logger: Logger;
}

/** One request: which method and path, and what answers it. */
export interface Route {
  readonly method: string;
  readonly path: RegExp;
  handle(call: Call): Promise<Answer>;
}

export class DeviceHttpsServer {
  readonly #options: DeviceHttpsOptions;
  readonly #routes: readonly Route[];
  #listening: Listening | undefined;

  constructor(options: DeviceHttpsOptions) {
    this.#options = options;
    this.#routes = [
      ...discoveryRoutes(options),
      ...coreRoutes(options),
      ...credentialRoutes(options),
      ...softwareRoutes(options),
    ];
  }

  get port(): number {
    return this.#listening?.port ?? this.#options.port;
  }

  async start(): Promise<void> {
    const { tls, host, port } = this.#options;
    const server = createServer(
      {
        cert: tls.certPem,
        key: tls.keyPem,
        minVersion: 'TLSv1.2',
        requestCert: true,
        rejectUnauthorized: false,
        requireHostHeader: false,
        // Without this name Node ends the handshake of device SDKs that come over port 443.
        ALPNProtocols: ['x-amzn-http-ca', 'http/1.1'],
        handshakeTimeout: 10_000,
        headersTimeout: 15_000,
        requestTimeout: 30_000,
        maxHeaderSize: 16 * 1024,
      },
      (request, response) => void this.#serve(request, response),
    );
    server.setTimeout(IDLE_TIMEOUT_MS);
    this.#listening = await Listening.on(server, { port, host });
  }

  async stop(): Promise<void> {
    const listening = this.#listening;
    this.#listening = undefined;
    await listening?.stop();
  }

  /** Serves a TLS connection that was accepted elsewhere; its handshake asked for a client certificate. */
  accept(socket: TLSSocket): void {
    if (this.#listening) this.#listening.accept(socket);
    else socket.destroy();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    try {
      await send(response, await this.#answer(request), requestId);
    } catch (error) {
      if (response.headersSent || request.socket.destroyed) {
        response.destroy();
        return;
      }
      const refusal = this.#refusalOf(error as Error, request);
      const body = Buffer.from(JSON.stringify({ errorMessage: refusal.message }));
      // Nobody reads the rest of a body that is too large, so nothing can follow it on the connection.
      const headers = refusal.status === 413 ? [['connection', 'close'] as const] : [];
      await send(response, { status: refusal.status, headers, body }, requestId).catch(() =>
        response.destroy(),
      );
    }
  }

  /** What the client is told. That AWS can't be asked now is no fault of ours, and passes: clients try again after a 503. */
  #refusalOf(error: Error, { url }: IncomingMessage): HttpRefusal {
    if (error instanceof HttpRefusal) return error;
    const { logger } = this.#options;
    if (error.name === 'AwsError') {
      logger.warn({ path: url, reason: error.message }, 'Request failed: AWS could not be asked.');
      return new HttpRefusal(503, 'Service unavailable');
    }
    logger.error({ path: url, stack: error.stack }, 'Request failed.');
    return new HttpRefusal(500, 'Internal server error');
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const url = request.url ?? '';
    if (url.length > MAX_URL_LENGTH) throw new HttpRefusal(400, 'Invalid input detected for this request');
    const path = url.split('?')[0] as string;
    const certificateId = peerCertificateId(request.socket as TLSSocket);
    if (certificateId === undefined || !(await isActive(this.#options.store, certificateId))) {
      throw new HttpRefusal(401, 'Unauthorized request');
    }
    for (const route of this.#routes) {
      const match = route.path.exec(path);
      if (!match || route.method !== request.method) continue;
      return route.handle({
        certificateId,
        sourceIp: addressOf(request.socket),
        parameters: match.slice(1).map(decode),
        range: request.headers.range,
        body: await readBody(request),
      });
    }
    throw new HttpRefusal(404, 'Resource not found');
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new HttpRefusal(400, 'Invalid input detected for this request');
  }
}

function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
      // What still comes is dropped until the answer has ended the connection.
      else reject(new HttpRefusal(413, `The body is larger than ${MAX_BODY_BYTES} bytes`));
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
  });
}

async function send(response: ServerResponse, answer: Answer, requestId: string): Promise<void> {
  const length = answer.stream ? answer.stream.length : (answer.body?.length ?? 0);
  response.sendDate = false;
  response.writeHead(answer.status, [
    ...['content-type', answer.contentType ?? 'application/json'],
    ...['content-length', String(length)],
    ...['x-amzn-RequestId', requestId],
    ...(answer.headers ?? []).flat(),
  ]);
  if (answer.stream) await pipeline(answer.stream.open(), response);
  else response.end(answer.body);
}
