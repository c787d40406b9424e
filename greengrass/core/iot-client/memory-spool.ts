/** The spool in memory: V1's default. What it holds is lost with the process. */
import { rowBytes, type Spool, type SpooledMessage, type SpoolLimits, type SpoolListener } from './spool.js';

/** So much of the array may be gone before it is cut. */
const SLACK = 1024;
/** A payload that is a small part of a larger buffer (what a socket read at once) would keep all of it alive. */
const SMALL_BUFFER = 16 * 1024;

export class MemorySpool implements Spool {
  /** By id: the message with `#firstId + n` is at place n; undefined where it was removed. */
  #messages: Array<SpooledMessage | undefined> = [];
  #firstId = 1;
  /** Place of the oldest message. */
  #head = 0;
  #length = 0;
  #bytes = 0;
  #limits: SpoolLimits;

  constructor(
    limits: SpoolLimits,
    private readonly listener: SpoolListener,
  ) {
    this.#limits = limits;
  }

  push(topic: string, payload: Buffer, expiresAt?: number): SpooledMessage | undefined {
    const message = {
      id: this.#firstId + this.#messages.length,
      topic,
      payload: ownBytes(payload),
      ...(expiresAt === undefined ? {} : { expiresAt }),
    };
    const bytes = rowBytes(message);
    if (!this.hasRoom(bytes)) return undefined;
    this.#messages.push(message);
    this.#bytes += bytes;
    this.#length += 1;
    this.#makeRoom();
    this.listener.onReady();
    return message;
  }

  hasRoom(bytes: number): boolean {
    return this.#limits.full === 'keepNewest' || this.#bytes + bytes <= this.#limits.maxBytes;
  }

  after(id: number, count: number, bytes: number): SpooledMessage[] {
    const found: SpooledMessage[] = [];
    let size = 0;
    for (let at = Math.max(this.#head, id - this.#firstId + 1); at < this.#messages.length; at++) {
      if (found.length >= count || size >= bytes) break;
      const message = this.#messages[at];
      if (!message) continue;
      found.push(message);
      size += rowBytes(message);
    }
    return found;
  }

  remove({ id }: SpooledMessage): void {
    const at = id - this.#firstId;
    const message = this.#messages[at];
    if (!message) return;
    this.#messages[at] = undefined;
    this.#bytes -= rowBytes(message);
    this.#length -= 1;
    this.#moveHead();
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

  #makeRoom(): void {
    let dropped = 0;
    while (this.#bytes > this.#limits.maxBytes && this.#length > 1) {
      const oldest = this.#messages[this.#head];
      if (!oldest) break;
      this.remove(oldest);
      dropped += 1;
    }
    if (dropped > 0) this.listener.onDropped(dropped);
  }

  #moveHead(): void {
    while (this.#head < this.#messages.length && !this.#messages[this.#head]) this.#head += 1;
    if (this.#head <= SLACK || this.#head * 2 <= this.#messages.length) return;
    this.#messages = this.#messages.slice(this.#head);
    this.#firstId += this.#head;
    this.#head = 0;
  }
}

function ownBytes(payload: Buffer): Buffer {
  const { byteLength } = payload.buffer;
  return byteLength <= SMALL_BUFFER || payload.length * 2 >= byteLength ? payload : Buffer.from(payload);
}
