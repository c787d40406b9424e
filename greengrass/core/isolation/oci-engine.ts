/**
 * Workers in containers, through an OCI runtime (crun; runc is accepted). The engine runs as our child for as long as the
 * worker lives, so that its end is the worker's end; a folder for each worker holds bundle, pid file and engine log.
 */
import { closeSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../lib/log.js';
import { start } from '../../lib/subprocess.js';
import { type CoreCgroup, cgroupMounts, type WorkerCgroup } from './cgroup.js';
import { containerSpec, deviceRules, MAX_PROCESSES } from './container-spec.js';
import { deviceNode } from './device-node.js';
import { engineMessage } from './engine-log.js';
import { givenOf } from './given.js';
import { containerCommand, isRunc } from './launch.js';
import { bindRoot, checkPlaces, type HeldVolume, namesOf, type RootfsKind, volumes } from './rootfs.js';
import { type SeccompProfile, seccompProfile } from './seccomp.js';
import { stdioOf, WorkerChild } from './worker-child.js';
import type { Mount, WorkerProcess, WorkerSpec } from './worker-process.js';

const START_TIMEOUT_MS = 20_000;
const POLL_MS = 2;

export interface OciEngineOptions {
  /** Absolute path of crun or runc. */
  readonly engine: string;
  /** Folder of this core for bundles and the engine's state. */
  readonly stateFolder: string;
  /** Absolute paths of the host that no worker may see. */
  readonly hiddenPaths: readonly string[];
  readonly cgroup: CoreCgroup;
  readonly rootfs: RootfsKind;
  /** The seccomp profile as the engine compiled it before. */
  readonly seccompFilter?: Buffer;
  /** Binds of files for name resolution, at the moment. */
  readonly hostFiles: () => readonly Mount[];
  readonly logger: Logger;
}

export class OciEngine {
  readonly #options: OciEngineOptions;
  readonly #seccomp: SeccompProfile;

  constructor(options: OciEngineOptions) {
    this.#options = options;
    this.#seccomp = seccompProfile(options.seccompFilter);
  }

  /** The engine's own files about a worker that lives. */
  stateOf(workerId: string): string {
    return join(this.#options.stateFolder, 'oci', workerId);
  }

  async start(spec: WorkerSpec): Promise<WorkerProcess> {
    const { stateFolder, cgroup, logger } = this.#options;
    const folder = join(stateFolder, 'workers', spec.workerId);
    const lookAtDevices = () => spec.devices.map((device) => deviceNode(device, spec.uid, cgroup.version));
    const deviceNodes = lookAtDevices();
    let group: WorkerCgroup | undefined;
    // A worker may end before its start was seen; what tells how it went stays until then.
    let startSeen: () => void = () => {};
    const seen = new Promise<void>((resolve) => {
      startSeen = resolve;
    });
    const clean = async () => {
      await seen;
      try {
        await group?.destroy();
      } catch (error) {
        logger.error({ err: error, workerId: spec.workerId }, 'A worker could not be removed completely.');
      }
      rmSync(folder, { recursive: true, force: true });
      rmSync(this.stateOf(spec.workerId), { recursive: true, force: true });
    };
    let held: readonly HeldVolume[] = [];
    try {
      mkdirSync(join(folder, 'fs'), { recursive: true, mode: 0o700 });
      if (this.#options.rootfs === 'bind') checkPlaces(spec.mounts);
      const hidden = this.#hidden();
      const found = volumes(spec.mounts, hidden);
      held = found.volumes;
      const facts = { volumes: held, deviceNodes, lookAtDevices, hiddenPaths: hidden };
      const given = spec.gate === undefined ? undefined : givenOf(facts);
      const config = this.#configOf(spec, folder, deviceNodes, {
        volumes: stage(held, folder),
        hiddenPaths: [...hidden, ...found.masks],
      });
      writeFileSync(join(folder, 'config.json'), JSON.stringify(config), { mode: 0o600 });
      group = cgroup.create(spec.workerId, {
        maxProcesses: MAX_PROCESSES,
        devices: deviceRules(deviceNodes),
        ...limitOf(spec),
      });
      const [program, ...args] = this.#command(spec, folder, group, held);
      const child = await start(program, args, { cwd: '/', env: {}, stdio: stdioOf(spec) });
      const worker = new WorkerChild({
        child,
        cgroup: group,
        clean,
        kind: 'container',
        failure: () => engineMessage(folder),
        isGated: spec.gate !== undefined,
        given,
        ...limitOf(spec),
      });
      worker.runs(await this.#started(folder, worker, group, spec));
      return worker;
    } catch (error) {
      startSeen();
      await clean();
      throw error;
    } finally {
      startSeen();
      for (const { fd } of held) closeSync(fd);
    }
  }

  /** What no worker may see, under all names that it has at the moment. */
  #hidden(): string[] {
    return [...new Set(this.#options.hiddenPaths.flatMap((path) => namesOf(path)))];
  }

  #configOf(
    spec: WorkerSpec,
    folder: string,
    deviceNodes: ReturnType<typeof deviceNode>[],
    facts: { readonly volumes: readonly Mount[]; readonly hiddenPaths: readonly string[] },
  ): object {
    const { engine, rootfs, cgroup, hostFiles } = this.#options;
    const rootPath = join(folder, 'fs', 'root');
    return containerSpec(spec, {
      rootPath,
      rootBinds: rootfs === 'bind' ? bindRoot(rootPath) : [],
      ...facts,
      hostFiles: hostFiles(),
      deviceNodes,
      seccomp: this.#seccomp,
      ...(isRunc(engine) ? { cgroupsPath: `/greengrass-${cgroup.id}/${spec.workerId}/box` } : {}),
    });
  }

  #command(
    spec: WorkerSpec,
    folder: string,
    group: WorkerCgroup,
    held: readonly HeldVolume[],
  ): [string, ...string[]] {
    const { engine, rootfs, stateFolder, cgroup } = this.#options;
    const isHybrid = cgroup.version === 'hybrid';
    return containerCommand({
      engine,
      folder,
      rootfs,
      stateFolder: join(stateFolder, 'oci'),
      workerId: spec.workerId,
      descriptors: spec.hasDoor ? 5 : 4,
      procsFiles: group.procsFiles,
      cgroupMounts: isRunc(engine) ? cgroupMounts(['devices']) : isHybrid ? ['/sys/fs/cgroup/unified'] : [],
      volumes: held.map(({ fd, source }, index) => ({
        held: `/proc/${process.pid}/fd/${fd}`,
        source,
        place: volumePlace(folder, index),
      })),
    }) as [string, ...string[]];
  }

  /** The pid file appears when the container's process is made; before that an end is a failure to start. */
  async #started(
    folder: string,
    worker: WorkerChild,
    group: WorkerCgroup,
    { memoryKb }: WorkerSpec,
  ): Promise<number> {
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
        // What still holds the pipe would keep its last words from us.
        group.killAll();
        const said = engineMessage(folder) ?? (await worker.firstErrors());
        const outOfMemory = group.oomKills() > 0 ? `${memoryKb} KB of memory are not enough to start` : '';
        const how = `the engine ended with ${signal ?? `code ${code}`}`;
        throw new Error(`unable to start lambda container: ${outOfMemory || said || how}`);
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

/** Where the n-th volume of a worker is bound for the engine, in the worker's own mount namespace. */
function volumePlace(folder: string, index: number): string {
  return join(folder, 'volumes', String(index));
}

/** Makes the places, and answers the volumes as the engine will find them. */
function stage(held: readonly HeldVolume[], folder: string): Mount[] {
  if (held.length > 0) mkdirSync(join(folder, 'volumes'), { mode: 0o700 });
  return held.map(({ destination, readOnly, isFolder }, index) => {
    const source = volumePlace(folder, index);
    if (isFolder) mkdirSync(source);
    else writeFileSync(source, '');
    return { source, destination, readOnly };
  });
}

function limitOf({ memoryKb }: WorkerSpec): { memoryKb?: number } {
  return memoryKb === undefined ? {} : { memoryKb };
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
