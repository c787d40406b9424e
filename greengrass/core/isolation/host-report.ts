/** What this host can isolate, found out by doing it: a control group is made, a container runs. */
import { randomUUID } from 'node:crypto';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type CgroupVersion, CoreCgroup, detectCgroups } from './cgroup.js';
import { OciEngine } from './oci-engine.js';

export interface HostReport {
  readonly available: boolean;
  readonly engine?: string;
  readonly cgroup?: CgroupVersion;
  readonly rootfs?: 'overlay';
  /** Why containers are not available, and what to do. */
  readonly reasons: readonly string[];
}

const FOLDERS = ['/usr/bin', '/usr/local/bin', '/usr/sbin', '/usr/local/sbin', '/bin', '/sbin'];

export function findProgram(...names: string[]): string | undefined {
  for (const name of names) {
    for (const folder of FOLDERS) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not here.
      }
    }
  }
  return undefined;
}

/** Runs a canary container. Never throws. */
export async function probeHost(stateFolder: string, cgroupId: string): Promise<HostReport> {
  const reasons: string[] = [];
  if (process.getuid?.() !== 0) reasons.push('the core does not run as root');
  const engine = findProgram('crun', 'runc');
  if (!engine) reasons.push('no OCI runtime: apt-get install crun');
  for (const program of ['setpriv', 'unshare', 'mount']) {
    if (!findProgram(program)) reasons.push(`${program} is missing: apt-get install util-linux mount`);
  }
  const cgroup = detectCgroups();
  if (!cgroup) {
    reasons.push(
      'no memory and pids control groups: mount them (on a Raspberry Pi: cgroup_enable=memory cgroup_memory=1)',
    );
  }
  if (!engine || !cgroup || reasons.length > 0) return { available: false, reasons };
  try {
    await runCanary(engine, stateFolder, new CoreCgroup(cgroup, cgroupId));
    return { available: true, engine, cgroup, rootfs: 'overlay', reasons };
  } catch (error) {
    return {
      available: false,
      engine,
      cgroup,
      reasons: [`container test failed: ${(error as Error).message}`],
    };
  }
}

async function runCanary(engine: string, stateFolder: string, cgroup: CoreCgroup): Promise<void> {
  const empty = join(stateFolder, 'canary');
  mkdirSync(empty, { recursive: true, mode: 0o755 });
  const canary = await new OciEngine({ engine, stateFolder, hiddenPaths: [], cgroup }).start({
    workerId: randomUUID(),
    functionArn: 'arn:aws:lambda:::function:GGCanary',
    isolation: 'GreengrassContainer',
    argv: ['/bin/true'],
    env: {},
    uid: 65534,
    gid: 65534,
    additionalGids: [],
    memoryKb: 32_768,
    codeFolder: empty,
    runtimeFolder: empty,
    accessSysfs: false,
    mounts: [],
    devices: [],
  });
  for (const log of Object.values(canary.logs)) log.resume();
  const { code, reason } = await canary.exited;
  if (code !== 0)
    throw new Error(
      `container test process with pid ${canary.pid} failed: container process state: ${reason}`,
    );
}
