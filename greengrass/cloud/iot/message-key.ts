/** Names and orders the messages in the queues of sessions: 12 hex digits of time, 6 of a count, 8 of the replica. */
import { randomBytes } from 'node:crypto';

const MAX_COUNT = 0xff_ffff;

export class MessageKeys {
  readonly #replica = randomBytes(4).toString('hex');
  #time = 0;
  #count = 0;

  /** Greater than all before it, also where the clock goes back. */
  next(): string {
    const now = Date.now();
    if (now > this.#time) {
      this.#time = now;
      this.#count = 0;
    } else if (this.#count === MAX_COUNT) {
      this.#time += 1;
      this.#count = 0;
    } else {
      this.#count += 1;
    }
    return hex(this.#time, 12) + hex(this.#count, 6) + this.#replica;
  }
}

/** ms since 1970. */
export function timeOfKey(key: string): number {
  return Number.parseInt(key.slice(0, 12), 16);
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
