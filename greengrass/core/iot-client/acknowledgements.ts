/**
 * What was published with QoS 1 and has no PUBACK yet, and the watch over it. The cloud acknowledges in order, so only
 * the oldest is timed: a cloud that is slow with many messages makes progress and is left alone, one that stands still
 * or skips a message is noticed.
 *
 * After a timeout the next wait is twice as long, up to MAX_FACTOR times: a cloud that is always late would otherwise
 * get the same message again and again.
 */
import { PublishError, type PublishFailure } from './publish-error.js';

const MAX_FACTOR = 12;

interface Waiting {
  readonly since: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class Acknowledgements {
  readonly #waiting = new Set<Waiting>();
  /** When the oldest became the oldest; ms by performance.now(): the wall clock may jump. */
  #oldestSince = 0;
  #timer: NodeJS.Timeout | undefined;
  #factor = 1;

  constructor(
    private readonly timeoutMs: number,
    /** No PUBACK in time: the connection has to be made anew. */
    private readonly onTimeout: () => void,
  ) {}

  /** `send` publishes, and calls back with the PUBACK. */
  expect(send: (done: (error?: Error | null) => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { since: performance.now(), resolve, reject };
      if (this.#waiting.size === 0) this.#oldestSince = waiting.since;
      this.#waiting.add(waiting);
      this.#timer ??= setTimeout(() => this.#look(), this.timeoutMs * this.#factor);
      send((error) => this.#done(waiting, error));
    });
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** The connection is gone: nothing more will come. */
  fail(failure: PublishFailure, reason: string): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const failed = [...this.#waiting];
    this.#waiting.clear();
    for (const { reject } of failed) reject(new PublishError(failure, reason));
  }

  #done(waiting: Waiting, error: Error | null | undefined): void {
    const [oldest] = this.#waiting;
    if (!this.#waiting.delete(waiting)) return;
    const now = performance.now();
    if (waiting === oldest) this.#oldestSince = now;
    if (error) {
      waiting.reject(new PublishError('lost', error.message));
      return;
    }
    if (now - waiting.since < this.timeoutMs / 2) this.#factor = 1;
    // The timer goes on; it finds out by itself that nothing waits.
    waiting.resolve();
  }

  #look(): void {
    this.#timer = undefined;
    if (this.#waiting.size === 0) return;
    const left = this.#oldestSince + this.timeoutMs * this.#factor - performance.now();
    if (left > 0) {
      this.#timer = setTimeout(() => this.#look(), left);
      return;
    }
    this.#factor = Math.min(this.#factor * 2, MAX_FACTOR);
    this.onTimeout();
  }
}
