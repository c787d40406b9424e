/** The spool in memory: V1's default. What it holds is lost with the process. */
import { laneOf, laneOfPriority, withLane } from './lanes.js';
import { MemoryLane } from './memory-lane.js';
import { rowBytes, type Spool, type SpooledMessage, type SpoolLimits, type SpoolListener } from './spool.js';

/** A payload that is a small part of a larger buffer (what a socket read at once) would keep all of it alive. */
const SMALL_BUFFER = 16 * 1024;

export class MemorySpool implements Spool {
  readonly #lanes = new Map<number, MemoryLane>();
  #starts: readonly number[] = [];
  #length = 0;
  #bytes = 0;
  #limits: SpoolLimits;

  constructor(
    limits: SpoolLimits,
    private readonly listener: SpoolListener,
  ) {
    this.#limits = limits;
  }

  push(
    topic: string,
    payload: Buffer,
    expiresAt?: number,
    priority?: number,
    cameAt = Date.now(),
  ): SpooledMessage | undefined {
    const lane = this.#lane(laneOfPriority(priority));
    const message = {
      id: lane.nextId,
      topic,
      payload: ownBytes(payload),
      cameAt,
      ...(expiresAt === undefined ? {} : { expiresAt }),
    };
    const bytes = rowBytes(message);
    if (!this.hasRoom(bytes)) return undefined;
    lane.add(message);
    this.#bytes += bytes;
    this.#length += 1;
    this.#makeRoom();
    this.listener.onReady();
    return message;
  }

  hasRoom(bytes: number): boolean {
    return this.#limits.full === 'keepNewest' || this.#bytes + bytes <= this.#limits.maxBytes;
  }

  after(id: number, count: number, bytes: number, until = Number.MAX_SAFE_INTEGER): SpooledMessage[] {
    const found: SpooledMessage[] = [];
    let size = 0;
    const first = laneOf(id);
    for (const start of this.#starts) {
      if (start < first || start >= until) continue;
      this.#lanes.get(start)?.each(Math.max(id, start), (message) => {
        if (found.length >= count || size >= bytes || message.id >= until) return false;
        found.push(message);
        size += rowBytes(message);
        return true;
      });
    }
    return found;
  }

  get lanes(): readonly number[] {
    return this.#starts;
  }

  remove({ id }: SpooledMessage): void {
    const message = this.#lanes.get(laneOf(id))?.remove(id);
    if (!message) return;
    this.#bytes -= rowBytes(message);
    this.#length -= 1;
  }

  flush(): boolean {
    return true;
  }

  setLimits(limits: SpoolLimits): void {
    this.#limits = limits;
    this.#makeRoom();
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  close(): void {}

  #lane(start: number): MemoryLane {
    const known = this.#lanes.get(start);
    if (known) return known;
    const lane = new MemoryLane(start);
    this.#lanes.set(start, lane);
    this.#starts = withLane(this.#starts, start);
    return lane;
  }

  #makeRoom(): void {
    let dropped = 0;
    while (this.#bytes > this.#limits.maxBytes && this.#length > 1) {
      const least = this.#leastImportant();
      if (!least) break;
      this.remove(least);
      dropped += 1;
    }
    if (dropped > 0) this.listener.onDropped(dropped);
  }

  /** The oldest of the lowest priority. */
  #leastImportant(): SpooledMessage | undefined {
    for (let at = this.#starts.length - 1; at >= 0; at--) {
      const oldest = this.#lanes.get(this.#starts[at] as number)?.oldest;
      if (oldest) return oldest;
    }
    return undefined;
  }
}

function ownBytes(payload: Buffer): Buffer {
  const { byteLength } = payload.buffer;
  return byteLength <= SMALL_BUFFER || payload.length * 2 >= byteLength ? payload : Buffer.from(payload);
}
