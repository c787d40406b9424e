/** Reads a spool in portions, by priority: what comes in later with a higher one goes before what was read with a lower one. */
import { LANE_SIZE } from './lanes.js';
import type { Spool, SpooledMessage } from './spool.js';

/** Messages read from the spool at once, for each priority. */
const READ_COUNT = 256;
const READ_BYTES = 1024 * 1024;
/** Priorities with messages that were read and not taken: memory must not grow with their number. */
const MOST_LANES = 4;

interface Lane {
  /** Id of the last message that was read. */
  cursor: number;
  read: SpooledMessage[];
  readAt: number;
  /** Nothing is behind the cursor until the spool says that there is something new. */
  isAtEnd: boolean;
}

export class SpoolReader {
  #spool: Spool | undefined;
  readonly #lanes = new Map<number, Lane>();
  #last: Lane | undefined;

  /** Begins at the head of `spool`; undefined: there is nothing to read. */
  open(spool: Spool | undefined): void {
    this.#spool = spool;
    this.rewind();
  }

  /** What was read and is still in the spool comes once more. */
  rewind(): void {
    this.#lanes.clear();
    this.#last = undefined;
  }

  /** This one, and what is before it in its lane, is not read again. */
  skip(lane: number, id: number): void {
    const known = this.#lane(lane);
    known.cursor = Math.max(known.cursor, id);
  }

  /** The spool has something new. */
  ready(): void {
    for (const lane of this.#lanes.values()) lane.isAtEnd = false;
  }

  next(): SpooledMessage | undefined {
    if (!this.#spool) return undefined;
    for (const start of this.#spool.lanes) {
      const lane = this.#lane(start);
      if (lane.readAt >= lane.read.length) this.#fill(this.#spool, start, lane);
      const message = lane.read[lane.readAt];
      if (!message) continue;
      lane.readAt += 1;
      this.#last = lane;
      return message;
    }
    return undefined;
  }

  /** What `next` gave last is not taken: it comes again. */
  putBack(): void {
    if (this.#last) this.#last.readAt -= 1;
    this.#last = undefined;
  }

  #fill(spool: Spool, start: number, lane: Lane): void {
    if (lane.isAtEnd) return;
    this.#bound();
    lane.read = spool.after(lane.cursor, READ_COUNT, READ_BYTES, start + LANE_SIZE);
    lane.readAt = 0;
    lane.cursor = lane.read.at(-1)?.id ?? lane.cursor;
    lane.isAtEnd = lane.read.length === 0;
  }

  /** Forgets what was read and not taken: it is read again when its turn comes. */
  #bound(): void {
    const full = [...this.#lanes.values()].filter(({ read, readAt }) => readAt < read.length);
    if (full.length < MOST_LANES) return;
    for (const lane of full) {
      lane.cursor = (lane.read[lane.readAt]?.id ?? lane.cursor + 1) - 1;
      lane.read = [];
      lane.readAt = 0;
      lane.isAtEnd = false;
    }
  }

  #lane(start: number): Lane {
    const known = this.#lanes.get(start);
    if (known) return known;
    const lane = { cursor: start, read: [], readAt: 0, isAtEnd: false };
    this.#lanes.set(start, lane);
    return lane;
  }
}
