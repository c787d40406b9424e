/** The file that tells a script that the cloud is ready, and how to reach it. It holds a secret: mode 0600. */
import { rmSync } from 'node:fs';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import type { CloudAddresses } from '../service.js';

export function writeReadyFile(file: string, addresses: CloudAddresses): void {
  const ready = { pid: process.pid, ...addresses };
  writeFileAtomic(file, `${JSON.stringify(ready, undefined, 2)}\n`, 0o600);
}

/** No file: nobody is ready. Removed before the start and after the stop. */
export function removeReadyFile(file: string): void {
  rmSync(file, { force: true });
}
