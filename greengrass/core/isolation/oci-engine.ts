/**
 * Workers in containers, through an OCI runtime (crun; runc is accepted). The engine runs as our child for as long as the
 * worker lives, so that its end is the worker's end; a folder for each worker holds bundle, pid file and engine log.
 */
import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../lib/package-root.js';
import { start } from '../../lib/subprocess.js';
import type { CoreCgroup } from './cgroup.js';
import { containerSpec, type DeviceNode, deviceRules, MAX_PROCESSES } from './container-spec.js';
import { containerCommand } from './launch.js';
import { STDIO, WorkerChild } from './worker-child.js';
import type { Device, WorkerProcess, WorkerSpec } from './worker-process.js';

const START_TIMEOUT_MS = 20_000;
const POLL_MS = 2;

export interface OciEngineOptions {
  /** Absolute path of crun or runc. */
  readonly engine: string;
  /** Folder of this core for bundles and the engine's state. */
  readonly stateFolder: string;
  readonly hiddenPaths: readonly string[];
  readonly cgroup: CoreCgroup;
}

export class OciEngine {
  readonly #options: OciEngineOptions;
  readonly #seccomp: object;

  constructor(options: OciEngineOptions) {
    this.#options = options;
    this.#seccomp = loadSeccomp();
  }

  async start(spec: WorkerSpec): Promise<WorkerProcess> {
    const { engine, stateFolder, hiddenPaths, cgroup } = this.#options;
    const folder = join(stateFolder, 'workers', spec.workerId);
    const deviceNodes = spec.devices.map(nodeOf);
    mkdirSync(join(folder, 'fs'), { recursive: true, mode: 0o700 });
    const group = cgroup.create(spec.workerId, {
      maxProcesses: MAX_PROCESSES,
      devices: deviceRules(deviceNodes),
      ...(spec.memoryKb === undefined ? {} : { memoryKb: spec.memoryKb }),
    });
    // A worker may end before its start was seen; what tells how it went stays until then.
    let startSeen: () => void = () => {};
    const seen = new Promise<void>((resolve) => {
      startSeen = resolve;
    });
    const clean = async () => {
      await seen;
      await group.destroy();
      rmSync(folder, { recursive: true, force: true });
      rmSync(join(stateFolder, 'oci', spec.workerId), { recursive: true, force: true });
    };
    try {
      const facts = {
        rootPath: join(folder, 'fs', 'root'),
        hiddenPaths,
        deviceNodes,
        seccomp: this.#seccomp,
      };
      writeFileSync(join(folder, 'config.json'), JSON.stringify(containerSpec(spec, facts)), { mode: 0o600 });
      const [program, ...args] = containerCommand({
        engine,
        folder,
        stateFolder: join(stateFolder, 'oci'),
        workerId: spec.workerId,
        procsFiles: group.procsFiles,
      }) as [string, ...string[]];
      const child = await start(program, args, { cwd: '/', env: {}, stdio: STDIO });
      const worker = new WorkerChild({ child, cgroup: group, clean, ...limitOf(spec) });
      const pid = await this.#started(folder, worker);
      worker.runs(pid);
      return worker;
    } catch (error) {
      startSeen();
      await clean().catch(() => undefined);
      throw error;
    } finally {
      startSeen();
    }
  }

  /** The pid file appears when the container's process is made; before that an end is a failure to start. */
  async #started(folder: string, worker: WorkerChild): Promise<number> {
    let ended = false;
    const exit = worker.ended.then((how) => {
      ended = true;
      return how;
    });
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const isLast = ended;
      const pid = Number.parseInt(readIfThere(join(folder, 'pid')), 10);
      if (Number.isInteger(pid)) return pid;
      if (isLast) {
        const { code, signal } = await exit;
        const reason = engineError(readIfThere(join(folder, 'engine.log'))) ?? (await worker.firstErrors());
        throw new Error(
          `unable to start lambda container: ${reason || `the engine ended with ${signal ?? code}`}`,
        );
      }
      if (Date.now() > deadline) {
        await worker.stop(0);
        throw new Error(
          `unable to start lambda container: nothing happened for ${START_TIMEOUT_MS / 1000} s`,
        );
      }
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
  }
}

function limitOf({ memoryKb }: WorkerSpec): { memoryKb?: number } {
  return memoryKb === undefined ? {} : { memoryKb };
}

/** The profile names x86; on other machines the engine's own architecture is what counts. */
function loadSeccomp(): object {
  const profile = JSON.parse(
    readFileSync(join(PACKAGE_ROOT, 'greengrass/core/isolation/seccomp.json'), 'utf8'),
  ) as object;
  const architectures: Record<string, string[]> = {
    x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
    arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
    arm: ['SCMP_ARCH_ARM'],
  };
  const own = architectures[process.arch];
  return own ? { ...profile, architectures: own } : profile;
}

function nodeOf({ path, readOnly }: Device): DeviceNode {
  const stat = lstatSync(path);
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) throw new Error(`${path} is not a device`);
  // Linux' dev_t: 12 bits of major between two parts of minor.
  const major = (stat.rdev >> 8) & 0xfff;
  const minor = (stat.rdev & 0xff) | ((stat.rdev >> 12) & 0xfff00);
  return {
    path,
    type: stat.isCharacterDevice() ? 'c' : 'b',
    major,
    minor,
    mode: stat.mode & 0o777,
    uid: stat.uid,
    gid: stat.gid,
    readOnly,
  };
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The engine's own words, from its JSON log. */
function engineError(log: string): string | undefined {
  const lines = log.split('\n').filter((line) => line !== '');
  const messages = lines.map((line) => {
    try {
      return (JSON.parse(line) as { msg?: string }).msg ?? line;
    } catch {
      return line;
    }
  });
  return messages.length > 0 ? messages.join('; ') : undefined;
}
