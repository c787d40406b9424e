/** When a function whose worker ended gets the next one. Pure: fed with facts, answers when and why. */

/** A worker that lived so long did its job; its end starts the count anew. */
const STABLE_MS = 60_000;
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 60_000;

export interface RestartHistory {
  /** Ends in a row without a stable run in between. */
  readonly failures: number;
}

export const NO_FAILURES: RestartHistory = { failures: 0 };

export interface RestartDecision {
  readonly delayMs: number;
  readonly reason: string;
  readonly history: RestartHistory;
}

/** `uptimeMs`: how long the worker that ended had lived. The first restart is at once, then 1 s, 2 s, 4 s … 60 s. */
export function decideRestart(history: RestartHistory, uptimeMs: number): RestartDecision {
  const failures = uptimeMs >= STABLE_MS ? 1 : history.failures + 1;
  const delayMs = failures === 1 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 2));
  const reason =
    failures === 1
      ? 'first end after a stable run'
      : `${failures} ends in a row; waiting before the next start`;
  return { delayMs, reason, history: { failures } };
}
