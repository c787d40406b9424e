/** Messages of one priority in memory, in the order in which they came. */
import type { SpooledMessage } from './spool.js';

/** So much of the array may be gone before it is cut. */
const SLACK = 1024;

export class MemoryLane {
  /** The message with id `#firstId + n` is at place n; undefined where it was removed. */
  #messages: Array<SpooledMessage | undefined> = [];
  #firstId: number;
  /** Place of the oldest message. */
  #head = 0;

  /** `start`: where the ids of this priority begin. */
  constructor(start: number) {
    this.#firstId = start + 1;
  }

  get nextId(): number {
    return this.#firstId + this.#messages.length;
  }

  get oldest(): SpooledMessage | undefined {
    return this.#messages[this.#head];
  }

  /** `message` has `nextId`. */
  add(message: SpooledMessage): void {
    this.#messages.push(message);
  }

  /** Those behind `id`, until `take` has enough: false. */
  each(id: number, take: (message: SpooledMessage) => boolean): void {
    for (let at = Math.max(this.#head, id - this.#firstId + 1); at < this.#messages.length; at++) {
      const message = this.#messages[at];
      if (message && !take(message)) return;
    }
  }

  /** Answers what was removed; undefined where it was gone already. */
  remove(id: number): SpooledMessage | undefined {
    const at = id - this.#firstId;
    const message = this.#messages[at];
    if (!message) return undefined;
    this.#messages[at] = undefined;
    this.#moveHead();
    return message;
  }

  #moveHead(): void {
    while (this.#head < this.#messages.length && !this.#messages[this.#head]) this.#head += 1;
    if (this.#head <= SLACK || this.#head * 2 <= this.#messages.length) return;
    this.#messages = this.#messages.slice(this.#head);
    this.#firstId += this.#head;
    this.#head = 0;
  }
}
