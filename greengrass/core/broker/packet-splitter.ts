/**
 * Cuts a byte stream into MQTT packets without copying them: a packet that arrived whole is a range of the chunk it
 * came in. Only a packet that is spread over chunks is put together, in memory that grows with what has really come.
 */

/** Takes one packet: `first` is its first byte, `start` to `end` what follows the fixed header; all of it is in `bytes`. */
export interface PacketTaker {
  /** `from` is where the first byte is. Answers false where the rest of the stream is of no interest any more. */
  take(first: number, bytes: Buffer, start: number, end: number, from: number): boolean;
}

/** Longest fixed header: type and four bytes of length. */
const MAX_HEADER_BYTES = 5;
const LEAST_HELD_BYTES = 1024;
const EMPTY = Buffer.alloc(0);

export class PacketSplitter {
  /** The beginning of a packet whose rest has not come. */
  #held = EMPTY;
  #heldBytes = 0;

  constructor(
    private readonly taker: PacketTaker,
    private readonly maxPacketBytes: number,
  ) {}

  /** What is in `chunk` from `at` to `end`. Answers why the stream can't be read on, or undefined. */
  feed(chunk: Buffer, at = 0, end = chunk.length): string | undefined {
    while (this.#heldBytes > 0) {
      const wanted = this.#wanted();
      if (typeof wanted === 'string') return wanted;
      const taken = Math.min(wanted - this.#heldBytes, end - at);
      this.#hold(chunk, at, at + taken);
      at += taken;
      if (this.#heldBytes < wanted) return undefined;
      if (!this.#complete()) continue;
      const whole = this.#held.subarray(0, this.#heldBytes);
      this.#held = EMPTY;
      this.#heldBytes = 0;
      const problem = this.#split(whole, 0, whole.length);
      if (problem !== undefined) return problem === '' ? undefined : problem;
    }
    const problem = this.#split(chunk, at, end);
    return problem === '' ? undefined : problem;
  }

  /** '' where the taker has had enough. */
  #split(bytes: Buffer, from: number, end: number): string | undefined {
    let at = from;
    while (at < end) {
      let start = at + 1;
      let length = 0;
      let scale = 1;
      for (;;) {
        if (start === end) {
          this.#hold(bytes, at, end);
          return undefined;
        }
        const byte = bytes[start++] as number;
        length += (byte & 0x7f) * scale;
        if (byte < 0x80) break;
        if (scale === 128 ** 3) return 'malformed remaining length';
        scale *= 128;
      }
      if (length > this.maxPacketBytes) return tooLarge(length, this.maxPacketBytes);
      if (start + length > end) {
        this.#hold(bytes, at, end);
        return undefined;
      }
      if (!this.taker.take(bytes[at] as number, bytes, start, start + length, at)) return '';
      at = start + length;
    }
    return undefined;
  }

  /** How many bytes the held packet has at least, as far as its header says. */
  #wanted(): number | string {
    let length = 0;
    let scale = 1;
    for (let at = 1; at < this.#heldBytes; at++) {
      const byte = this.#held[at] as number;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        return length > this.maxPacketBytes ? tooLarge(length, this.maxPacketBytes) : at + 1 + length;
      }
      if (at === MAX_HEADER_BYTES - 1) return 'malformed remaining length';
      scale *= 128;
    }
    return this.#heldBytes + 1;
  }

  #complete(): boolean {
    return this.#wanted() === this.#heldBytes;
  }

  #hold(bytes: Buffer, from: number, to: number): void {
    const size = this.#heldBytes + to - from;
    if (size > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.max(LEAST_HELD_BYTES, size, this.#held.length * 2));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#heldBytes, from, to);
    this.#heldBytes = size;
  }
}

function tooLarge(length: number, limit: number): string {
  return `a packet of ${length} bytes is more than the limit of ${limit}`;
}
