/**
 * What waits for all devices together. One device's share is bounded by `limit`; where many read slowly, or the machine is too
 * busy to write, those who publish are read more slowly: TCP tells them to wait, nothing is lost, and the memory stays bounded.
 */

/** A slow reader's bound in bytes, in quiet times and when all together have too much. */
export const LIMIT_BYTES = 8 * 1024 * 1024;
const SCARCE_LIMIT_BYTES = 256 * 1024;
/** From here on publishers wait, until it is less than half. */
const HIGH_BYTES = 32 * 1024 * 1024;
/** From here on the share of one device is small: what comes from functions and the cloud can't be told to wait. */
const SCARCE_BYTES = 64 * 1024 * 1024;
/** A reader has so much waiting, as a part of its bound: who sends it QoS 1 waits until it is less than half of that. */
const PRESSING_PART = 1 / 4;

/** Somebody who takes less than is sent to him with QoS 1. */
export interface SlowReader {
  readonly holdsUp: boolean;
}

/** A connection that can be told to wait. */
export interface Reader {
  pause(): void;
  resume(): void;
}

export class Backlog {
  #bytes = 0;
  #limit = LIMIT_BYTES;
  readonly #paused = new Set<Reader>();
  /** Publishers that wait for one reader. */
  readonly #held = new Map<Reader, SlowReader>();
  #pressing: SlowReader | undefined;

  /** Most bytes that may wait for one device. */
  get limit(): number {
    return this.#limit;
  }

  /** So many bytes wait for one device, and its publishers should. */
  get pressingLimit(): number {
    return this.#limit * PRESSING_PART;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Publishers wait, or are about to. */
  get isHigh(): boolean {
    return this.#bytes >= HIGH_BYTES || this.#paused.size > 0;
  }

  /** Whether this device keeps others waiting, going by what waits for it. */
  isInTheWay(bytes: number): boolean {
    return this.isHigh && bytes > SCARCE_LIMIT_BYTES;
  }

  /** `bytes` more, or less, wait. */
  add(bytes: number): void {
    this.#bytes += bytes;
    this.#limit = this.#bytes >= SCARCE_BYTES ? SCARCE_LIMIT_BYTES : LIMIT_BYTES;
    if (this.#paused.size === 0 || this.#bytes >= HIGH_BYTES / 2) return;
    const waiting = [...this.#paused];
    this.#paused.clear();
    for (const reader of waiting) if (!this.#held.has(reader)) reader.resume();
  }

  /** What is routed from now on is sent by a publisher that can be told to wait. */
  beginReading(): void {
    this.#pressing = undefined;
  }

  /** What was sent to `slow` with QoS 1 is more than it takes. */
  press(slow: SlowReader): void {
    this.#pressing = slow;
  }

  /** `slow` has caught up, or is gone. */
  relieve(slow: SlowReader): void {
    for (const [reader, by] of [...this.#held]) {
      if (by !== slow) continue;
      this.#held.delete(reader);
      if (!this.#paused.has(reader)) reader.resume();
    }
  }

  /**
   * Called by who has just published: has it wait where there is too much already. `owesAcks`: others wait for PUBACKs that
   * come behind its messages, so that it is not held for one slow reader: two of them would wait for each other.
   */
  throttle(reader: Reader, owesAcks = false): void {
    const slow = this.#pressing;
    if (slow === undefined && this.#bytes < HIGH_BYTES) return;
    this.#pressing = undefined;
    const wasPaused = this.isPaused(reader);
    if (this.#bytes >= HIGH_BYTES) this.#paused.add(reader);
    if (slow?.holdsUp && !owesAcks) this.#held.set(reader, slow);
    if (!wasPaused && this.isPaused(reader)) reader.pause();
  }

  /** It has come to owe PUBACKs while it was held for one slow reader. */
  letGo(reader: Reader): void {
    if (this.#held.delete(reader) && !this.#paused.has(reader)) reader.resume();
  }

  isPaused(reader: Reader): boolean {
    return this.#paused.has(reader) || this.#held.has(reader);
  }

  forget(reader: Reader): void {
    this.#paused.delete(reader);
    this.#held.delete(reader);
  }
}
