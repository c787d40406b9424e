/** One work item on its way through the core: from who asked for it to its result. */
import { randomUUID } from 'node:crypto';
import type { InvocationType, WorkItem, WorkResult } from '../ipc/work-desk.js';
import { remembered } from './remembered.js';

export interface Invocation extends WorkItem {
  readonly type: InvocationType;
  /** ARN of the function that asked, or of the party whose message it is. */
  readonly invoker: string;
  /** Called once, with the result or with the core's own error. */
  readonly settle: (result: WorkResult) => void;
}

export function createInvocation(
  parts: Pick<Invocation, 'type' | 'invoker' | 'clientContext' | 'payload'>,
  onResult: (result: WorkResult) => void = () => {},
): Invocation {
  let settled = false;
  const { type, invoker, clientContext, payload } = parts;
  return {
    type,
    invoker,
    clientContext,
    payload,
    invocationId: randomUUID(),
    settle: (result) => {
      if (settled) return;
      settled = true;
      onResult(result);
    },
  };
}

/** An error that the core found (V1's "Unhandled"), in the shape of the functions' own errors. */
export function unhandled(
  errorType: 'Timeout' | 'OutOfMemory' | 'WorkerExited' | 'Stopped',
  errorMessage: string,
): WorkResult {
  return { functionError: 'Unhandled', payload: Buffer.from(JSON.stringify({ errorMessage, errorType })) };
}

/** Client context of a routed message: its topic, and nothing else (V1). */
export function messageContext(topic: string): string {
  return remembered(contexts, topic, () =>
    Buffer.from(JSON.stringify({ custom: { subject: topic } })).toString('base64'),
  );
}

const contexts = new Map<string, string>();
