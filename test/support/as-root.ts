/** Tests that make containers and control groups: they run as root, and say so where they can't. */
import { existsSync } from 'node:fs';

const isRoot = process.getuid?.() === 0;
const hasEngine = ['/usr/bin/crun', '/usr/bin/runc', '/usr/sbin/runc'].some((path) => existsSync(path));

/** `describe` as root on a host with an OCI runtime, else a visible skip. */
export const describeAsRoot: typeof describe = isRoot && hasEngine ? describe : describe.skip;

if (!isRoot || !hasEngine) {
  console.warn(`skipped: tests that need ${isRoot ? 'crun or runc (apt-get install crun)' : 'root'}`);
}
