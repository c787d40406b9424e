/**
 * Memory that packets are put together in before they are written. Large buffers are used again and again: taking them
 * from the system for each write costs more than filling them, and makes the garbage collector work.
 */

/** Size of a buffer that is used again. */
export const LARGE_BYTES = 64 * 1024;
/** Up to here Node.js has a pool of its own. */
const SMALL_BYTES = 4096;
/** Buffers that are kept for later: 4 MiB. */
const MOST_KEPT = 64;

export class OutputBuffers {
  readonly #kept: Buffer[] = [];

  /** At least `bytes` long. */
  take(bytes: number): Buffer {
    if (bytes <= SMALL_BYTES || bytes > LARGE_BYTES) return Buffer.allocUnsafe(bytes);
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES);
  }

  /** Nobody looks at `buffer` any more. */
  giveBack(buffer: Buffer): void {
    if (buffer.length === LARGE_BYTES && this.#kept.length < MOST_KEPT) this.#kept.push(buffer);
  }
}
