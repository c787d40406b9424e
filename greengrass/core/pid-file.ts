/**
 * `greengrassd.pid`: which process is this root's daemon. A number alone proves nothing after a reboot or a kill -9,
 * so the process must also be one that runs our daemon for this root.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.js';

export class PidFile {
  readonly path: string;

  constructor(
    folder: string,
    private readonly root: string,
  ) {
    this.path = join(folder, 'greengrassd.pid');
  }

  write(pid: number): void {
    mkdirSync(join(this.path, '..'), { recursive: true });
    writeFileAtomic(this.path, `${pid}\n`);
  }

  /** Removes the file where it speaks of this process. */
  removeOwn(): void {
    if (this.#read() === process.pid) rmSync(this.path, { force: true });
  }

  /** Process id of the running daemon, or undefined. */
  running(): number | undefined {
    const pid = this.#read();
    return pid !== undefined && isDaemonOf(pid, this.root) ? pid : undefined;
  }

  /** True while the process lives and is this root's daemon, whatever the file says. */
  isDaemon(pid: number): boolean {
    return isDaemonOf(pid, this.root);
  }

  #read(): number | undefined {
    try {
      const pid = Number.parseInt(readFileSync(this.path, 'utf8'), 10);
      return Number.isInteger(pid) && pid > 0 ? pid : undefined;
    } catch {
      return undefined;
    }
  }
}

/** True where the process lives and its environment names this root (the daemon is started with it). */
function isDaemonOf(pid: number, root: string): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    if (status.slice(status.lastIndexOf(')') + 2, status.lastIndexOf(')') + 3) === 'Z') return false;
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`GREENGRASS_ROOT=${root}`);
  } catch {
    return false;
  }
}
