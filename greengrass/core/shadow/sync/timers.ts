/** Time as the sync sees it: a clock that only goes forward, so that a wall clock that jumps decides nothing. */
export interface Timers {
  /** Milliseconds from some start. */
  now(): number;
  /** Calls back after `ms`; the answer cancels. */
  after(ms: number, callback: () => void): () => void;
}

export const MONOTONIC: Timers = {
  now: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};
