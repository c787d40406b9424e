/**
 * A log file that stays inside its space: when the next line would not fit, the file becomes `<name>.1`, and the old
 * `.1` goes; each of the two takes half of the space, and a line that would take more is cut. A log never stops the program: what can't be written is counted.
 */
import { closeSync, fstatSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

export class RotatingFile {
  #fd: number | undefined;
  #inode = 0;
  #size = 0;
  #lost = 0;
  #checkedAt = 0;

  constructor(
    readonly path: string,
    private maxBytes: number,
  ) {}

  /** Space for this file and its predecessor together, in bytes. */
  setSpace(maxBytes: number): void {
    this.maxBytes = maxBytes;
  }

  /** Lines that could not be written (full disk, …). */
  get lost(): number {
    return this.#lost;
  }

  write(line: string): void {
    const half = Math.floor(this.maxBytes / 2);
    const bytes = cutTo(Buffer.from(line), half);
    try {
      this.#reopenIfMoved();
      let fd = this.#fd ?? this.#open();
      if (this.#size > 0 && this.#size + bytes.length > half) {
        this.#rotate();
        fd = this.#open();
      }
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
      this.#size += bytes.length;
    } catch {
      this.#lost += 1;
      this.close();
    }
  }

  close(): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    try {
      closeSync(fd);
    } catch {
      // The descriptor is gone either way.
    }
  }

  #open(): number {
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    const fd = openSync(this.path, 'a', 0o600);
    this.#fd = fd;
    const { size, ino } = fstatSync(fd);
    this.#size = size;
    this.#inode = ino;
    return fd;
  }

  #rotate(): void {
    this.close();
    renameSync(this.path, `${this.path}.1`);
  }

  /** Somebody may have deleted the file or its folder (V1's reset does) or moved it away; looked at once in a while. */
  #reopenIfMoved(): void {
    if (this.#fd === undefined || Date.now() - this.#checkedAt < 1000) return;
    this.#checkedAt = Date.now();
    if (statSync(this.path, { throwIfNoEntry: false })?.ino !== this.#inode) this.close();
  }
}

/** A line of at most `maxBytes`, with its line feed, and no character cut in two. */
function cutTo(line: Buffer, maxBytes: number): Buffer {
  if (line.length <= maxBytes) return line;
  const mark = Buffer.from('…\n');
  let end = Math.max(0, maxBytes - mark.length);
  while (end > 0 && ((line[end] as number) & 0xc0) === 0x80) end -= 1;
  return Buffer.concat([line.subarray(0, end), mark]);
}
