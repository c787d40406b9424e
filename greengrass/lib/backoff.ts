/** Retry delays: exponential, capped, with full jitter so that a fleet does not come back in step. Pure. */
export interface BackoffOptions {
  /** First delay in ms. */
  readonly baseMs: number;
  /** Largest delay in ms. */
  readonly maxMs: number;
  /** Source of randomness in [0, 1); for tests. */
  readonly random?: () => number;
}

/** Delay in ms before attempt number `attempt` (0 = first retry): between half and the whole of base * 2^attempt, at most max. */
export function backoffMs(attempt: number, { baseMs, maxMs, random = Math.random }: BackoffOptions): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}
