/**
 * What the sync may ask of the cloud: so many requests in a second, so many without an answer. AWS IoT answers 429 beyond ten
 * in flight on a connection and throttles a connection beyond 100 publications a second; functions and devices need room too.
 */
import type { Timers } from './timers.js';

export interface PacerOptions {
  readonly perSecond: number;
  readonly maxInFlight: number;
  readonly timers: Timers;
}

export class Pacer {
  readonly #waiting: Array<() => void> = [];
  #inFlight = 0;
  #nextAt = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(private readonly options: PacerOptions) {}

  /** Runs `request` when it is its turn, first come first served. */
  async run<T>(request: () => Promise<T>): Promise<T> {
    await new Promise<void>((turn) => {
      this.#waiting.push(turn);
      this.#next();
    });
    try {
      return await request();
    } finally {
      this.#inFlight -= 1;
      this.#next();
    }
  }

  #next(): void {
    const { perSecond, maxInFlight, timers } = this.options;
    while (this.#waiting.length > 0 && this.#inFlight < maxInFlight && this.#cancel === undefined) {
      const now = timers.now();
      if (now < this.#nextAt) {
        this.#cancel = timers.after(this.#nextAt - now, () => {
          this.#cancel = undefined;
          this.#next();
        });
        return;
      }
      this.#nextAt = Math.max(now, this.#nextAt) + 1000 / perSecond;
      this.#inFlight += 1;
      this.#waiting.shift()?.();
    }
  }
}
