/**
 * Who may hear that his message was accepted, and when: what endpoints took is durable only when they have settled. That is
 * done once for all at the end of a turn of the event loop, whoever asks for it first.
 */

const NONE: ReadonlySet<string> = new Set();

interface Waiting {
  readonly source: string;
  readonly resolve: (isDurable: boolean) => void;
}

export class Acceptance {
  #waiting: Waiting[] = [];
  #isScheduled = false;
  /** Found by a turn's end that was ours: the next `settle` of others has to hear of it. */
  #untold: ReadonlySet<string> = NONE;

  /** `settleAll` answers the sources whose messages could not be made durable. */
  constructor(private readonly settleAll: () => ReadonlySet<string>) {}

  /** Resolves at the end of this turn: true where what `source` sent in it is durable. */
  durable(source: string): Promise<boolean> {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => this.#end());
    }
    return new Promise((resolve) => this.#waiting.push({ source, resolve }));
  }

  settle(): ReadonlySet<string> {
    const failed = this.#settle();
    if (this.#untold.size === 0) return failed;
    const all = new Set([...this.#untold, ...failed]);
    this.#untold = NONE;
    return all;
  }

  #end(): void {
    this.#isScheduled = false;
    if (this.#waiting.length === 0) return;
    const failed = this.#settle();
    if (failed.size > 0) this.#untold = new Set([...this.#untold, ...failed]);
  }

  #settle(): ReadonlySet<string> {
    const failed = this.settleAll();
    if (this.#waiting.length === 0) return failed;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { source, resolve } of waiting) resolve(!failed.has(source));
    return failed;
  }
}
