/**
 * AWS Lambda's Runtime API (2018-06-01) for functions that bring their own runtime (`provided`): one listener for each
 * worker, on a free port of 127.0.0.1. The API knows no token, so that who speaks is found out from the connection: what
 * is not held by one of the worker's own processes is cut off before any request of it is looked at.
 */
import type { Logger } from '../../lib/log.js';
import { type HttpCall, IpcRefusal, resultTooLarge } from './http-call.js';
import { HttpFault } from './http-head.js';
import { HttpServer } from './http-server.js';
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
  readonly #server: HttpServer;
  /** Looked up once for each connection, which its signal stands for. */
  readonly #admitted = new WeakMap<AbortSignal, Promise<boolean>>();

  private constructor(options: RuntimeApiOptions) {
    this.#options = options;
    this.#server = new HttpServer({ handle: (call) => void this.#serve(call) });
  }

  /** Listens; `close` ends it. */
  static async open(options: RuntimeApiOptions): Promise<RuntimeApi> {
    const api = new RuntimeApi(options);
    await api.#server.listen(0, '127.0.0.1');
    return api;
  }

  /** Value of AWS_LAMBDA_RUNTIME_API. */
  get address(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  close(): void {
    void this.#server.close();
  }

  #isAdmitted({ gone, ports }: HttpCall): Promise<boolean> {
    const known = this.#admitted.get(gone);
    if (known) return known;
    const admitted = this.#lookAt(ports);
    this.#admitted.set(gone, admitted);
    return admitted;
  }

  async #lookAt({ client, server }: HttpCall['ports']): Promise<boolean> {
    const { isOwnConnection, caller, logger } = this.#options;
    if (await isOwnConnection(client, server)) return true;
    logger.warn(
      { functionArn: caller.functionArn, workerId: caller.workerId },
      "A process that is not the worker's own was refused at its Runtime API.",
    );
    return false;
  }

  async #serve(call: HttpCall): Promise<void> {
    try {
      if (await this.#isAdmitted(call)) await this.#route(call);
      else call.breakOff();
    } catch (error) {
      await this.#refuse(error as Error, call);
    }
  }

  async #route(request: HttpCall): Promise<void> {
    const [, init, next, invocationId, outcome] = PATH.exec(request.path) ?? [];
    if (next) {
      if (request.method !== 'GET') throw new IpcRefusal(405, 'work is asked for with GET');
      return this.#next(request);
    }
    if (!init && !outcome) throw new IpcRefusal(404, 'there is nothing here');
    if (request.method !== 'POST') throw new IpcRefusal(405, 'results are posted with POST');
    const { caller, desk } = this.#options;
    const payload = await request.payload().catch((error: unknown) => {
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
    await request.answer(202, { 'Content-Type': 'application/json' }, '{"status":"OK"}');
  }

  /** Blocks until there is work. */
  async #next(request: HttpCall): Promise<void> {
    const { caller, desk, timeoutMs } = this.#options;
    const item = await desk.nextWork(caller, request.gone);
    if (!item) {
      // Taken over by a newer request, or the worker is being stopped.
      request.breakOff();
      return;
    }
    const delivered = await request.answer(200, headersOf(item, caller, timeoutMs), item.payload);
    if (!delivered) desk.undelivered(caller, item.invocationId);
  }

  async #refuse(error: Error, request: HttpCall): Promise<void> {
    const status = error instanceof IpcRefusal || error instanceof HttpFault ? error.status : 500;
    const { logger, caller } = this.#options;
    if (status === 500 && !request.gone.aborted) {
      logger.error({ functionArn: caller.functionArn, stack: error.stack }, 'Runtime API request failed.');
    }
    if (request.isAnswered) {
      request.breakOff();
      return;
    }
    const body = {
      errorMessage: status === 500 ? 'internal error' : error.message,
      errorType: ERROR_TYPES[status] ?? 'InvalidRequest',
    };
    await request.answer(status, { 'Content-Type': 'application/json' }, JSON.stringify(body));
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
