/**
 * One write for each socket in a turn of the event loop: outputs that have something say so here, and are written when
 * all sockets that were readable have been read. Under TLS this is also one record instead of one for every message.
 */
import { Backlog } from './backlog.js';
import type { Output } from './output.js';
import { OutputBuffers } from './output-buffers.js';

export class TurnWriter {
  readonly buffers = new OutputBuffers();
  readonly backlog = new Backlog();
  #waiting: Output[] = [];
  #isScheduled = false;

  /**
   * `settle` is called before anything is written: what the parts took over in this turn becomes durable, so that no
   * PUBACK goes out for what a power cut could still take. Answers the sources for whose messages that failed.
   */
  constructor(private readonly settle: () => ReadonlySet<string>) {}

  add(output: Output): void {
    this.#waiting.push(output);
    this.wake();
  }

  /** There is something to settle at the end of this turn, also where nothing is to be written. */
  wake(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.flush());
  }

  /** All of `work` is one turn, written at its end. */
  turn(work: () => void): void {
    const isLater = this.#isScheduled;
    this.#isScheduled = true;
    try {
      work();
    } finally {
      if (!isLater) this.flush();
    }
  }

  flush(): void {
    this.#isScheduled = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    const failed = this.settle();
    for (const output of waiting) output.flush(failed);
  }
}
