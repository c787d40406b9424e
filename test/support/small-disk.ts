/** A disk of two megabytes, which a test can fill to the last page. Needs root. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../greengrass/lib/subprocess.js';

export class SmallDisk {
  private constructor(readonly path: string) {}

  /** `path` must not exist. */
  static async mount(path: string): Promise<SmallDisk> {
    mkdirSync(path);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path]);
    return new SmallDisk(path);
  }

  /** Takes all the room that is left. */
  fill(): void {
    for (const size of [1024 * 1024, 64 * 1024, 4096]) {
      for (let failed = false; !failed; ) {
        try {
          writeFileSync(this.#filler, Buffer.alloc(size), { flag: 'a' });
        } catch {
          failed = true;
        }
      }
    }
  }

  /** Gives it back. */
  free(): void {
    rmSync(this.#filler);
  }

  /** Before its folder is removed. */
  async unmount(): Promise<void> {
    await run('umount', ['-l', this.path]);
  }

  get #filler(): string {
    return join(this.path, 'filler');
  }
}
