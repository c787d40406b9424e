/**
 * Invocations of the system's functions: V1's SDKs publish, use shadows and read secrets by invoking GGRouter,
 * GGShadowService and GGSecretManager. They run in this process; their results are fetched like any other.
 */
import { isSameSystemFunction, SYSTEM_FUNCTIONS } from '../../model/arn.js';
import { MAX_MESSAGE_BYTES, parseShadowTopic, topicProblem } from '../../model/topic.js';
import type { Caller, InvocationType, PostOutcome } from '../ipc/work-desk.js';
import { createInvocation } from './invocation.js';
import type { PostedResults } from './posted-results.js';
import { remembered } from './remembered.js';
import type { SystemServices } from './system-services.js';

export class SystemInvocations {
  constructor(
    private readonly services: SystemServices,
    private readonly results: PostedResults,
  ) {}

  post(
    caller: Caller,
    arn: string,
    type: InvocationType,
    clientContext: string,
    payload: Buffer,
  ): PostOutcome | Promise<PostOutcome> {
    if (isSameSystemFunction(arn, SYSTEM_FUNCTIONS.router)) {
      return this.#publish(caller, type, clientContext, payload);
    }
    if (isSameSystemFunction(arn, SYSTEM_FUNCTIONS.shadow)) {
      const request = parseShadowTopic(customOf(clientContext).subject);
      if (!request || request.kind !== undefined) {
        return { kind: 'malformed', reason: 'the client context must name a shadow topic as custom.subject' };
      }
      return this.#answerLater(caller, this.services.shadow(request.key, request.operation, payload));
    }
    if (isSameSystemFunction(arn, SYSTEM_FUNCTIONS.secrets)) {
      return this.#answerLater(caller, this.services.secret(caller.functionArn, payload));
    }
    return { kind: 'unknownFunction' };
  }

  #publish(
    caller: Caller,
    type: InvocationType,
    clientContext: string,
    payload: Buffer,
  ): PostOutcome | Promise<PostOutcome> {
    const { subject, queueFullPolicy } = customOf(clientContext);
    const problem = topicProblem(subject);
    if (problem) return { kind: 'malformed', reason: `topic "${subject.slice(0, 300)}": ${problem}` };
    if (payload.length > MAX_MESSAGE_BYTES) {
      const reason = `a message of ${payload.length} bytes is more than the limit of ${MAX_MESSAGE_BYTES}`;
      return { kind: 'malformed', reason };
    }
    const allOrError = queueFullPolicy === 'AllOrError';
    const taken = this.services.publish(caller.functionArn, subject, payload, allOrError);
    return typeof taken === 'boolean'
      ? this.#published(caller, type, taken)
      : taken.then((isTaken) => this.#published(caller, type, isTaken));
  }

  #published(caller: Caller, type: InvocationType, isTaken: boolean): PostOutcome {
    if (!isTaken) return { kind: 'queueFull' };
    // SDKs before 1.3 wait for a result of publish; the others never ask for it.
    if (type === 'RequestResponse') return this.#answerLater(caller, Promise.resolve(Buffer.alloc(0)));
    const { invocationId } = createInvocation({
      type,
      clientContext: '',
      payload: Buffer.alloc(0),
      invoker: caller.functionArn,
    });
    return { kind: 'accepted', invocationId };
  }

  #answerLater(caller: Caller, body: Promise<Buffer>): PostOutcome {
    const pending = this.results.expect(caller);
    const { invocationId, settle } = createInvocation(
      { type: 'RequestResponse', clientContext: '', payload: Buffer.alloc(0), invoker: caller.functionArn },
      pending.settle,
    );
    pending.register(invocationId);
    body.then(
      (payload) => settle({ functionError: '', payload }),
      (error: Error) =>
        settle({
          functionError: 'Unhandled',
          payload: Buffer.from(JSON.stringify({ errorMessage: error.message })),
        }),
    );
    return { kind: 'accepted', invocationId };
  }
}

interface Custom {
  readonly subject: string;
  readonly queueFullPolicy: string;
}

const customs = new Map<string, Custom>();

/** `custom` of a client context, as far as the core reads it. */
function customOf(clientContext: string): Custom {
  return remembered(customs, clientContext, () => readCustom(clientContext));
}

/** Users can send any JSON here. */
function readCustom(clientContext: string): Custom {
  try {
    const context: unknown = JSON.parse(Buffer.from(clientContext, 'base64').toString('utf8'));
    const custom = (context as { custom?: { subject?: unknown; queueFullPolicy?: unknown } } | null)?.custom;
    const text = (value: unknown) => (typeof value === 'string' ? value : '');
    return { subject: text(custom?.subject), queueFullPolicy: text(custom?.queueFullPolicy) };
  } catch {
    return { subject: '', queueFullPolicy: '' };
  }
}
