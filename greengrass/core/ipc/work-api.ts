/**
 * Work items over HTTP, byte-compatible with what V1's runtimes and SDKs speak (runtimes/IPC.md): post work, get work,
 * post results, get results, initialisation.
 */
import { checkJson, z } from '../../lib/check.js';
import { type HttpCall, IpcRefusal, resultTooLarge } from './http-call.js';
import type { Caller, FunctionError, InvocationType, WorkDesk } from './work-desk.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const MAX_CONTEXT_BYTES = 16 * 1024;

const initialization = z.object({ Success: z.boolean(), Response: z.string().optional() });

/** `functionArn`: decoded from the path. `part`: what stands behind it. */
export interface WorkRequest {
  readonly request: HttpCall;
  readonly caller: Caller;
  readonly functionArn: string;
  readonly part: '' | 'work' | 'initialized';
}

export class WorkApi {
  constructor(private readonly desk: WorkDesk) {}

  async handle(call: WorkRequest): Promise<void> {
    const { part, request } = call;
    if (part === '') {
      if (request.method === 'POST') return this.#post(call);
      if (request.method === 'GET') return this.#result(call);
    } else {
      if (call.functionArn !== call.caller.functionArn) {
        throw new IpcRefusal(403, 'the token is not allowed to act for this function');
      }
      if (part === 'work' && request.method === 'GET') return this.#next(call);
      if (part === 'work' && request.method === 'POST') return this.#complete(call);
      if (part === 'initialized' && request.method === 'PUT') return this.#initialized(call);
    }
    throw new IpcRefusal(405, `${request.method} is not possible here`);
  }

  async #post({ request, caller, functionArn }: WorkRequest): Promise<void> {
    const type = invocationType(request.header('x-amz-invocation-type'));
    const context = request.header('x-amz-client-context');
    const problem = contextProblem(context);
    if (problem !== undefined) throw new IpcRefusal(400, problem);
    const payload = await request.payload();
    const posted = this.desk.post(caller, functionArn, type, context, payload);
    const outcome = posted instanceof Promise ? await posted : posted;
    if (outcome.kind === 'malformed') throw new IpcRefusal(400, outcome.reason);
    if (outcome.kind === 'unknownFunction')
      throw new IpcRefusal(404, `there is no function ${functionArn} in the group`);
    if (outcome.kind === 'queueFull') throw new IpcRefusal(429, 'the work queue is full');
    await request.answer(type === 'Event' ? 202 : 200, { 'X-Amz-InvocationId': outcome.invocationId });
  }

  /** Blocks until there is work; there is no time limit on it. */
  async #next({ request, caller }: WorkRequest): Promise<void> {
    const item = await this.desk.nextWork(caller, request.gone);
    if (!item) return;
    const headers = { 'X-Amz-InvocationId': item.invocationId, 'X-Amz-Client-Context': item.clientContext };
    const delivered = await request.answer(200, headers, item.payload);
    if (!delivered) this.desk.undelivered(caller, item.invocationId);
  }

  async #complete({ request, caller }: WorkRequest): Promise<void> {
    const invocationId = invocationIdOf(request);
    const functionError: FunctionError = request.header('x-amz-function-error') === '' ? '' : 'Handled';
    const payload = await request.payload().catch((error: unknown) => {
      if (error instanceof IpcRefusal && error.status === 413)
        this.desk.complete(caller, invocationId, resultTooLarge());
      throw error;
    });
    if (!this.desk.complete(caller, invocationId, { functionError, payload })) {
      throw new IpcRefusal(404, `this worker holds no work item ${invocationId}`);
    }
    await request.answer(200, {});
  }

  async #result({ request, caller }: WorkRequest): Promise<void> {
    const invocationId = invocationIdOf(request);
    const pending = this.desk.result(caller, invocationId);
    if (!pending) throw new IpcRefusal(404, `this worker posted no work item ${invocationId} to wait for`);
    const { functionError, payload } = await pending;
    // The header is there on success too, and empty: SDKs since 1.5.0 fail where it is missing.
    await request.answer(
      200,
      { 'X-Amz-Function-Error': functionError, 'X-Amz-InvocationId': invocationId },
      payload,
    );
  }

  async #initialized({ request, caller }: WorkRequest): Promise<void> {
    const text = (await request.payload()).toString('utf8');
    const { Success, Response = '' } = checkJson(initialization, text, 'initialization result');
    this.desk.initialized(caller, Success, Response);
    await request.answer(200, {});
  }
}

/** What is wrong with a client context; undefined where nothing is. */
export function contextProblem(context: string): string | undefined {
  if (context.length <= MAX_CONTEXT_BYTES && BASE64.test(context)) return undefined;
  return 'X-Amz-Client-Context must be base64 of at most 16 KB';
}

function invocationType(value: string): InvocationType {
  if (value === 'Event') return 'Event';
  if (value === 'RequestResponse' || value === '') return 'RequestResponse';
  throw new IpcRefusal(400, 'X-Amz-Invocation-Type must be RequestResponse or Event');
}

function invocationIdOf(request: HttpCall): string {
  const id = request.header('x-amz-invocationid');
  if (!UUID.test(id)) throw new IpcRefusal(400, 'X-Amz-InvocationId must be a UUID');
  return id;
}
