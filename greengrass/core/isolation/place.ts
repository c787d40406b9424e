/** Where a core keeps its workers' bundles, and how its control groups are called: several cores share a machine. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { VERSION } from '../../lib/package-root.js';

/** V1's place for container state: `packages/<version>` below the write directory. */
export function isolationFolder(writeDirectory: string): string {
  return join(writeDirectory, 'packages', VERSION, 'isolation');
}

/** The control groups of a core are called `greengrass-<this>`. */
export function cgroupId(stateFolder: string): string {
  return createHash('sha256').update(stateFolder).digest('hex').slice(0, 12);
}
