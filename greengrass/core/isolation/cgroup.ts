/**
 * Control groups of workers, made by us and not by the engine: what is ours we can read after the worker is gone (why it
 * died) and kill whole. One group for each worker, below one group for each core (`greengrass-<id>`), in every
 * hierarchy that matters. cgroup v1, hybrid and v2.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MOUNT = '/sys/fs/cgroup';
const V1_CONTROLLERS = ['memory', 'pids', 'devices'] as const;
/** rmdir says EBUSY for some milliseconds after the last process. */
const REMOVE_ATTEMPTS = 100;

export type CgroupVersion = 'v1' | 'hybrid' | 'v2';

export interface Limits {
  readonly memoryKb?: number;
  readonly maxProcesses: number;
  /** Rules of cgroup v1's devices controller ("c 1:3 rwm"); everything else is denied. */
  readonly devices?: readonly string[];
}

/** Mount points of all hierarchies of this host but those named. */
export function cgroupMounts(keep: readonly string[]): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${MOUNT}/`) && !keep.includes(point.slice(MOUNT.length + 1)));
}

/** Which hierarchies this host has; undefined where memory and pids can't be limited. */
export function detectCgroups(): CgroupVersion | undefined {
  if (existsSync(join(MOUNT, 'cgroup.controllers'))) return 'v2';
  if (!existsSync(join(MOUNT, 'memory/memory.limit_in_bytes')) || !existsSync(join(MOUNT, 'pids')))
    return undefined;
  return existsSync(join(MOUNT, 'unified/cgroup.controllers')) ? 'hybrid' : 'v1';
}

/** The group of one core, parent of its workers' groups. */
export class CoreCgroup {
  readonly #roots: readonly string[];

  constructor(
    readonly version: CgroupVersion,
    readonly id: string,
  ) {
    const bases =
      version === 'v2'
        ? [MOUNT]
        : V1_CONTROLLERS.map((controller) => join(MOUNT, controller)).filter((path) => existsSync(path));
    this.#roots = bases.map((base) => join(base, `greengrass-${id}`));
  }

  /** The core's own group in one hierarchy: all workers' processes are below it. Exists once a worker was started. */
  get folder(): string {
    return this.#roots.find((root) => root.includes('/pids/')) ?? (this.#roots[0] as string);
  }

  /** Makes the group of a worker with its limits. Throws what the kernel says, with the file. */
  create(workerId: string, limits: Limits): WorkerCgroup {
    for (const root of this.#roots) mkdirSync(root, { recursive: true });
    if (this.version === 'v2') this.#delegate();
    const group = new WorkerCgroup(
      this.version,
      this.#roots.map((root) => join(root, workerId)),
    );
    try {
      group.create(limits);
    } catch (error) {
      group.discard();
      throw error;
    }
    return group;
  }

  /** Kills and removes all that is left below this core's group. Answers how many workers' groups there were. */
  async sweep(): Promise<number> {
    const workers = new Set(this.#roots.flatMap((root) => (existsSync(root) ? subgroups(root) : [])));
    for (const workerId of workers) {
      const group = new WorkerCgroup(
        this.version,
        this.#roots.map((root) => join(root, workerId)),
      );
      await group.destroy();
    }
    for (const root of this.#roots) await remove(root);
    return workers.size;
  }

  /** cgroup v2: children may be limited only where the parents pass the controllers on. */
  #delegate(): void {
    for (const folder of [MOUNT, ...this.#roots]) {
      write(join(folder, 'cgroup.subtree_control'), '+memory +pids');
    }
  }
}

export class WorkerCgroup {
  constructor(
    private readonly version: CgroupVersion,
    private readonly folders: readonly string[],
  ) {}

  /** Files that a process writes itself into to belong to the group. */
  get procsFiles(): string[] {
    return this.folders.map((folder) => join(folder, 'cgroup.procs'));
  }

  create({ memoryKb, maxProcesses, devices }: Limits): void {
    for (const folder of this.folders) mkdirSync(folder);
    const set = (name: string, value: string, isOptional = false) => {
      for (const folder of this.folders) {
        const file = join(folder, name);
        if (!existsSync(file)) continue;
        write(file, value);
        return;
      }
      if (!isOptional) throw new Error(`this host has no ${name} in its control groups`);
    };
    set('pids.max', String(maxProcesses));
    if (memoryKb !== undefined) {
      const bytes = String(memoryKb * 1024);
      if (this.version === 'v2') {
        set('memory.max', bytes);
        set('memory.swap.max', '0', true);
      } else {
        set('memory.limit_in_bytes', bytes);
        // Memory and swap together: with the same number there is no swap. Absent without swap accounting.
        set('memory.memsw.limit_in_bytes', bytes, true);
      }
    }
    if (devices !== undefined && this.version !== 'v2') {
      set('devices.deny', 'a');
      for (const rule of devices) set('devices.allow', rule);
    }
  }

  /** Moves a process into the group; one that has ended already needs none. */
  enter(pid: number): void {
    for (const file of this.procsFiles) {
      try {
        writeFileSync(file, String(pid));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ESRCH') return;
        process.kill(pid, 'SIGKILL');
        throw new Error(`process ${pid} could not enter the control group ${file}: ${code}`, {
          cause: error,
        });
      }
    }
  }

  /** Removes what there is of a group that nothing ever entered. */
  discard(): void {
    for (const folder of this.folders) if (existsSync(folder)) rmdirSync(folder);
  }

  /** Processes that the kernel killed here for the memory limit. */
  oomKills(): number {
    const name = this.version === 'v2' ? 'memory.events' : 'memory.oom_control';
    for (const folder of this.folders) {
      const text = read(join(folder, name));
      const match = /^oom_kill (\d+)$/m.exec(text ?? '');
      if (match) return Number(match[1]);
    }
    return 0;
  }

  /** Processes of the group, now. */
  pids(): number[] {
    return [...new Set(this.folders.flatMap((folder) => pidsIn(folder)))];
  }

  /** SIGKILL to every process of the group; none can be added any more. */
  killAll(): void {
    for (const folder of this.folders) {
      const limit = join(folder, 'pids.max');
      // A process that forks faster than we kill would get away.
      if (existsSync(limit)) writeIfThere(limit, '0');
    }
    for (const pid of this.pids()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
  }

  /** Kills what is left and removes the group. */
  async destroy(): Promise<void> {
    for (const folder of this.folders) await remove(folder, () => this.killAll());
  }
}

async function remove(folder: string, beforeEachTry: () => void = () => {}): Promise<void> {
  for (let attempt = 1; existsSync(folder); attempt++) {
    beforeEachTry();
    try {
      for (const name of subgroups(folder)) rmdirSync(join(folder, name));
      rmdirSync(folder);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (attempt >= REMOVE_ATTEMPTS)
        throw new Error(`control group ${folder} could not be removed: ${code}`);
      await new Promise((wake) => setTimeout(wake, Math.min(5 * attempt, 50)));
    }
  }
}

function subgroups(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function pidsIn(folder: string): number[] {
  return (read(join(folder, 'cgroup.procs')) ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function write(file: string, value: string): void {
  try {
    writeFileSync(file, value);
  } catch (error) {
    throw new Error(`${file} could not be set to "${value}": ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
}

function writeIfThere(file: string, value: string): void {
  try {
    writeFileSync(file, value);
  } catch {
    // Removed in this moment.
  }
}
