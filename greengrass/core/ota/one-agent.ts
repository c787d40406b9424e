/** V1: one OTA agent for a core. `ota/ggc-ota.pid` says which process it is; a number alone proves nothing. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';

export class OneAgent {
  private constructor(private readonly file: string) {}

  /** Undefined where another agent runs for the root. */
  static claim(root: string): OneAgent | undefined {
    const file = join(root, 'ota', 'ggc-ota.pid');
    const other = readPid(file);
    if (other !== undefined && other !== process.pid && isAgentOf(other, root)) return undefined;
    writeFileAtomic(file, `${process.pid}\n`);
    return new OneAgent(file);
  }

  release(): void {
    if (readPid(this.file) === process.pid) rmSync(this.file, { force: true });
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** By its command line: the program, and the root that it was started with. */
function isAgentOf(pid: number, root: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return words.includes(root) && words.some((word) => word.endsWith('/ota-agent.js'));
  } catch {
    return false;
  }
}
