/** What this host can isolate, found out by doing it: a control group is made, containers run. */
import { randomUUID } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CgroupVersion, type CoreCgroup, detectCgroups } from './cgroup.js';
import { OciEngine, type OciEngineOptions } from './oci-engine.js';
import type { RootfsKind } from './rootfs.js';

export interface HostReport {
  readonly available: boolean;
  /** Absolute path of the OCI runtime. */
  readonly engine?: string;
  readonly cgroup?: CgroupVersion;
  readonly rootfs?: RootfsKind;
  /** Why containers are not available, or not as good as they could be, and what to do. */
  readonly reasons: readonly string[];
}

export interface Probed {
  readonly report: HostReport;
  /** Set where containers are available. */
  readonly seccompFilter?: Buffer;
}

const FOLDERS = ['/usr/bin', '/usr/local/bin', '/usr/sbin', '/usr/local/sbin', '/bin', '/sbin'];
const CANARY_TIMEOUT_MS = 20_000;
/** What /proc/self/status says of a process that a filter is applied to. */
const FILTERED = /^Seccomp:\s*2$/m;

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

type CanaryOptions = Omit<OciEngineOptions, 'engine' | 'rootfs' | 'seccompFilter' | 'cgroup'> & {
  readonly cgroup: CoreCgroup | undefined;
};

/** Runs canary containers. Never throws. */
export async function probeHost(
  options: CanaryOptions,
  kinds: readonly RootfsKind[] = ['overlay', 'bind'],
): Promise<Probed> {
  const engine = findProgram('crun', 'runc');
  const version = detectCgroups();
  const reasons = missing(engine, version);
  const { cgroup } = options;
  if (!engine || !version || !cgroup || reasons.length > 0) return { report: { available: false, reasons } };
  const failures: string[] = [];
  for (const rootfs of kinds) {
    try {
      const seccompFilter = await runCanaries({ ...options, cgroup, engine, rootfs });
      return {
        report: { available: true, engine, cgroup: version, rootfs, reasons: failures },
        ...(seccompFilter ? { seccompFilter } : {}),
      };
    } catch (error) {
      failures.push(`container test with rootfs=${rootfs} failed: ${(error as Error).message}`);
    }
  }
  return { report: { available: false, engine, cgroup: version, reasons: failures } };
}

function missing(engine: string | undefined, version: CgroupVersion | undefined): string[] {
  const reasons: string[] = [];
  if (process.getuid?.() !== 0) reasons.push('the core does not run as root: start it with sudo');
  if (!engine) reasons.push('no OCI runtime: apt-get install crun');
  if (engine?.endsWith('/runc') && version === 'v2') {
    reasons.push('on cgroup v2 the OCI runtime must be crun: apt-get install crun');
  }
  for (const program of ['setpriv', 'unshare', 'mount']) {
    if (!findProgram(program)) reasons.push(`${program} is missing: apt-get install util-linux mount`);
  }
  if (!version) {
    reasons.push(
      'no memory and pids control groups: mount them (on a Raspberry Pi: cgroup_enable=memory cgroup_memory=1)',
    );
  }
  return reasons;
}

/**
 * The first canary proves that a container runs under the filter, and leaves the filter as the engine compiled it; the
 * second proves that the engine takes it back. Answers the filter where that is so. Throws where no container runs.
 */
async function runCanaries(options: OciEngineOptions): Promise<Buffer | undefined> {
  const empty = join(options.stateFolder, 'canary');
  mkdirSync(empty, { recursive: true, mode: 0o755 });
  const filter = await runCanary(new OciEngine(options), empty);
  if (!filter) return undefined;
  try {
    await runCanary(new OciEngine({ ...options, seccompFilter: filter }), empty);
    return filter;
  } catch {
    // An engine that reads it otherwise compiles the profile at each start.
    return undefined;
  }
}

async function runCanary(engine: OciEngine, empty: string): Promise<Buffer | undefined> {
  const workerId = randomUUID();
  const canary = await engine.start({
    workerId,
    functionArn: 'arn:aws:lambda:::function:GGCanary',
    isolation: 'GreengrassContainer',
    argv: ['/bin/sh', '-c', 'while read -r line; do echo "$line"; done < /proc/self/status; exec sleep 60'],
    env: { PATH: '/usr/bin:/bin' },
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
  let status = '';
  canary.logs.INFO.on('data', (chunk: Buffer) => {
    status += chunk.toString('utf8');
  });
  for (const log of Object.values(canary.logs)) log.resume();
  try {
    const deadline = Date.now() + CANARY_TIMEOUT_MS;
    let ended: string | undefined;
    void canary.exited.then(({ reason }) => {
      ended = reason;
    });
    while (!FILTERED.test(status)) {
      if (ended !== undefined)
        throw new Error(
          `container test process with pid ${canary.pid} failed: container process state: ${ended}`,
        );
      if (Date.now() > deadline)
        throw new Error('container test timed out: no filter of system calls is in force');
      await new Promise((wake) => setTimeout(wake, 5));
    }
    return compiledFilter(engine.stateOf(workerId));
  } finally {
    await canary.stop(0);
  }
}

/** crun leaves it beside its state; runc does not. */
function compiledFilter(stateFolder: string): Buffer | undefined {
  try {
    return readFileSync(join(stateFolder, 'seccomp.bpf'));
  } catch {
    return undefined;
  }
}
