/**
 * Room on the disk that is kept free by a file without content. A full disk is no place to delete rows: that, too, is
 * written before it takes effect. Giving up the reserve makes it possible.
 */
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';

/** Enough for what one transaction of the spool writes, and once more for its way from the log into the file. */
const RESERVE_BYTES = 512 * 1024;

export class DiskReserve {
  #isHeld = false;

  /** What an earlier run left counts. */
  constructor(private readonly path: string) {
    this.#isHeld = existsSync(path) && statSync(path).size === RESERVE_BYTES;
  }

  /** Where there is no room for it, it is tried again the next time. */
  take(): void {
    if (this.#isHeld) return;
    try {
      writeFileSync(this.path, Buffer.alloc(RESERVE_BYTES), { mode: 0o600 });
      this.#isHeld = true;
    } catch {
      rmSync(this.path, { force: true });
    }
  }

  giveUp(): void {
    this.#isHeld = false;
    rmSync(this.path, { force: true });
  }
}
