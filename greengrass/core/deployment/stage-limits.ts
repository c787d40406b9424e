/** How long each stage of a deployment may take, and what goes on trying until then. */
import { backoffMs } from '../../lib/backoff.js';
import type { DeploymentStage } from '../../model/deployment.js';
import { DeploymentError } from '../errors.js';
import { ServiceError } from '../service-client.js';

/**
 * In ms. The stages that need the cloud wait for it: a core at the end of a bad line is meant to get there. The local ones
 * have far more than they need, also on a slow device with many functions.
 */
export const STAGE_LIMITS_MS = {
  document: 10 * 60_000,
  artifacts: 2 * 60 * 60_000,
  swap: 15 * 60_000,
} as const satisfies Partial<Record<DeploymentStage, number>>;
export type StageLimits = Readonly<Record<keyof typeof STAGE_LIMITS_MS, number>>;

export function timedOut(stage: DeploymentStage, limitMs: number, last?: unknown): DeploymentError {
  const why = last instanceof Error ? `; the last reason: ${last.message}` : '';
  return new DeploymentError(
    'StageTimedOut',
    `stage ${stage} was not done within ${limitMs / 1000} seconds${why}`,
    { stage, cause: last },
  );
}

export interface Persistence {
  readonly stage: DeploymentStage;
  readonly limitMs: number;
  /** Ends it at once; its reason is thrown. */
  readonly signal: AbortSignal;
  readonly onFailure: (error: Error, retryInMs: number) => void;
}

/** Tries until it works, what stands in the way will not pass, or the limit is reached. */
export async function persist<T>(
  { stage, limitMs, signal, onFailure }: Persistence,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), limitMs);
  const either = AbortSignal.any([signal, limit.signal]);
  let last: unknown;
  try {
    for (let count = 0; ; count++) {
      try {
        return await attempt(either);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        last = error;
        if (limit.signal.aborted) throw timedOut(stage, limitMs, last);
        if (!mayPass(error)) throw error;
        const delayMs = backoffMs(count, { baseMs: 1_000, maxMs: 30_000 });
        onFailure(error as Error, delayMs);
        await wait(delayMs, either);
        if (signal.aborted) throw signal.reason;
        if (limit.signal.aborted) throw timedOut(stage, limitMs, last);
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

/** The network, or the service for a while. */
function mayPass(error: unknown): boolean {
  const cause = error instanceof DeploymentError ? error.cause : error;
  return cause instanceof ServiceError && cause.recoverable;
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Rejects when the limit is reached, and calls `onLate`: the work goes on. */
export async function within<T>(
  stage: DeploymentStage,
  limitMs: number,
  work: Promise<T>,
  onLate: () => void,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      onLate();
      reject(timedOut(stage, limitMs));
    }, limitMs);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
