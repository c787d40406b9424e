/**
 * AWS Lambda's Runtime API (2018-06-01) for functions that bring their own runtime (`provided`): one listener for each
 * worker, on a free port of 127.0.0.1. The API knows no token, so that who speaks is found out from the connection: what
 * is not held by one of the worker's own processes is cut off before any request of it is looked at.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from '../../lib/log.js';
import { answer, IpcRefusal, readPayload, resultTooLarge } from './http-call.js';
import type { Caller, WorkDesk, WorkItem } from './work-desk.js';

const PATH = /^\/2018-06-01\/runtime\/(?:(init)\/error|invocation\/(?:(next)|([^/]+)\/(response|error)))$/;

export interface RuntimeApiOptions {
  readonly caller: Caller;
  readonly desk: Pick<WorkDesk, 'nextWork' | 'undelivered' | 'complete' | 'initialized'>;
  /** What the function may take for one item, in milliseconds; told to it as a point in time. */
  readonly timeoutMs: number;
  /** Whether the worker itself holds the client's end of the connection from `clientPort` to `serverPort`. */
  readonly isOwnConnection: (clientPort: number, serverPort: number) => Promise<boolean>;
  readonly logger: Logger;
}

export class RuntimeApi {
  readonly #options: RuntimeApiOptions;
  readonly #server: Server;
  /** Looked up once for each connection. */
  readonly #admitted = new WeakMap<Socket, Promise<boolean>>();

  private constructor(options: RuntimeApiOptions) {
    this.#options = options;
    this.#server = createServer(
      { requestTimeout: 0, headersTimeout: 15_000, keepAliveTimeout: 75_000, noDelay: true },
      (request, response) => void this.#serve(request, response),
    );
    this.#server.timeout = 0;
  }

  /** Listens; `close` ends it. */
  static async open(options: RuntimeApiOptions): Promise<RuntimeApi> {
    const api = new RuntimeApi(options);
    await new Promise<void>((resolve, reject) => {
      api.#server.once('error', reject);
      api.#server.listen(0, '127.0.0.1', resolve);
    });
    return api;
  }

  /** Value of AWS_LAMBDA_RUNTIME_API. */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  #isAdmitted(socket: Socket): Promise<boolean> {
    const known = this.#admitted.get(socket);
    if (known) return known;
    const admitted = this.#lookAt(socket);
    this.#admitted.set(socket, admitted);
    return admitted;
  }

  async #lookAt({ remotePort }: Socket): Promise<boolean> {
    const { isOwnConnection, caller, logger } = this.#options;
    if (remotePort !== undefined && (await isOwnConnection(remotePort, this.#port))) return true;
    logger.warn(
      { functionArn: caller.functionArn, workerId: caller.workerId },
      "A process that is not the worker's own was refused at its Runtime API.",
    );
    return false;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    try {
      if (!(await this.#isAdmitted(request.socket))) {
        request.socket.destroy();
        return;
      }
      await this.#route(request, response);
    } catch (error) {
      await this.#refuse(error as Error, request, response);
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, init, next, invocationId, outcome] = PATH.exec((request.url ?? '').split('?')[0] ?? '') ?? [];
    if (next) {
      if (request.method !== 'GET') throw new IpcRefusal(405, 'work is asked for with GET');
      return this.#next(response);
    }
    if (!init && !outcome) throw new IpcRefusal(404, 'there is nothing here');
    if (request.method !== 'POST') throw new IpcRefusal(405, 'results are posted with POST');
    const { caller, desk } = this.#options;
    const payload = await readPayload(request).catch((error: unknown) => {
      if (invocationId && isTooLarge(error)) desk.complete(caller, invocationId, resultTooLarge());
      throw error;
    });
    if (init) {
      desk.initialized(caller, false, payload.toString('utf8', 0, 4096));
    } else {
      const functionError = outcome === 'error' ? 'Handled' : '';
      if (!desk.complete(caller, invocationId ?? '', { functionError, payload })) {
        throw new IpcRefusal(403, `this worker holds no work item ${invocationId}`);
      }
    }
    await answer(response, 202, { 'Content-Type': 'application/json' }, '{"status":"OK"}');
  }

  /** Blocks until there is work. */
  async #next(response: ServerResponse): Promise<void> {
    const { caller, desk, timeoutMs } = this.#options;
    const gone = new AbortController();
    const onClose = () => gone.abort();
    response.once('close', onClose);
    const item = await desk.nextWork(caller, gone.signal);
    if (!item) {
      // Taken over by a newer request, or the worker is being stopped.
      response.destroy();
      return;
    }
    response.off('close', onClose);
    const delivered = await answer(response, 200, headersOf(item, caller, timeoutMs), item.payload);
    if (!delivered) desk.undelivered(caller, item.invocationId);
  }

  async #refuse(error: Error, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const status = error instanceof IpcRefusal ? error.status : 500;
    const { logger, caller } = this.#options;
    if (status === 500 && !request.destroyed) {
      logger.error({ functionArn: caller.functionArn, stack: error.stack }, 'Runtime API request failed.');
    }
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return;
    }
    const body = {
      errorMessage: status === 500 ? 'internal error' : error.message,
      errorType: ERROR_TYPES[status] ?? 'InvalidRequest',
    };
    const close: Record<string, string> = request.complete ? {} : { Connection: 'close' };
    await answer(response, status, { 'Content-Type': 'application/json', ...close }, JSON.stringify(body));
    if (!request.complete) request.destroy();
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof IpcRefusal && error.status === 413;
}

/** Names that AWS Lambda gives; clients log them. */
const ERROR_TYPES: Readonly<Record<number, string>> = {
  403: 'InvalidRequestID',
  413: 'RequestEntityTooLarge',
  500: 'InternalServerError',
};

function headersOf(
  { invocationId, clientContext }: WorkItem,
  { functionArn }: Caller,
  timeoutMs: number,
): Record<string, string> {
  const context = clientContext === '' ? undefined : headerText(clientContext);
  return {
    'Content-Type': 'application/json',
    'Lambda-Runtime-Aws-Request-Id': invocationId,
    'Lambda-Runtime-Deadline-Ms': String(Date.now() + timeoutMs),
    'Lambda-Runtime-Invoked-Function-Arn': functionArn,
    'Lambda-Runtime-Trace-Id': `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${invocationId.replaceAll('-', '').slice(0, 24)};Sampled=0`,
    ...(context === undefined ? {} : { 'Lambda-Runtime-Client-Context': context }),
  };
}

/**
 * The Runtime API gives the context as plain JSON; what HTTP can't carry in a header is escaped as JSON allows. Undefined
 * where it is no JSON object: clients would fail at it.
 */
function headerText(clientContext: string): string | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(clientContext, 'base64').toString('utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    return JSON.stringify(value).replace(
      /[\u007f-\uffff]/g,
      (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
  } catch {
    return undefined;
  }
}
