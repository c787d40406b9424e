/** Starts workers as their specification asks, and sweeps what a killed core left behind. */
import { mkdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Logger } from '../../lib/log.js';
import { CoreCgroup, detectCgroups } from './cgroup.js';
import { Guard } from './guard.js';
import { HostFiles } from './host-files.js';
import { findProgram, type HostReport, probeHost } from './host-report.js';
import { OciEngine } from './oci-engine.js';
import { cgroupId } from './place.js';
import { startPlain } from './plain-process.js';
import type { RootfsKind } from './rootfs.js';
import { checkSpec } from './spec-checks.js';
import type { WorkerEngine, WorkerProcess, WorkerSpec } from './worker-process.js';

export interface IsolationOptions {
  /** Absolute files and folders of the host that no container may see: greengrass root, write directory, keys. */
  readonly hiddenPaths: readonly string[];
  /** Folder of this core's own for bundles and engine state. */
  readonly stateFolder: string;
  /** Kinds of root file systems to try, best first. Absent: all. */
  readonly rootfs?: readonly RootfsKind[];
  readonly logger: Logger;
}

export class Isolation implements WorkerEngine {
  readonly #options: IsolationOptions;
  /** Names this core's control groups; several cores of one machine don't disturb each other. */
  readonly #id: string;
  readonly #hostFiles: HostFiles;
  readonly #guard = new Guard();
  #cgroup: CoreCgroup | undefined;
  #engine: OciEngine | undefined;
  #report: HostReport = { available: false, reasons: ['not probed yet'] };

  constructor(options: IsolationOptions) {
    this.#options = options;
    this.#id = cgroupId(options.stateFolder);
    this.#hostFiles = new HostFiles(join(options.stateFolder, 'etc'));
  }

  get report(): HostReport {
    return this.#report;
  }

  /** Sweeps, then finds out what this host can do, and says so in one line of the log. */
  async probe(): Promise<HostReport> {
    const { stateFolder, logger } = this.#options;
    const version = detectCgroups();
    this.#cgroup = version && process.getuid?.() === 0 ? new CoreCgroup(version, this.#id) : undefined;
    const swept = await this.sweep();
    if (swept > 0) logger.warn({ workers: swept }, 'Workers that an earlier daemon left were removed.');
    mkdirSync(stateFolder, { recursive: true, mode: 0o711 });
    if (this.#cgroup) {
      this.#hostFiles.start();
      await this.#guard.start(this.#cgroup.folder);
    }
    const { rootfs: kinds, ...own } = this.#options;
    const options = { ...own, cgroup: this.#cgroup, hostFiles: () => this.#hostFiles.mounts };
    const { report, seccompFilter } = await probeHost(options, kinds);
    this.#report = report;
    const { available, engine, cgroup, rootfs, reasons } = report;
    if (available && engine && rootfs && this.#cgroup) {
      this.#engine = new OciEngine({
        ...options,
        engine,
        cgroup: this.#cgroup,
        rootfs,
        ...(seccompFilter ? { seccompFilter } : {}),
      });
      for (const reason of reasons) logger.warn(reason);
      logger.info(
        `Container isolation available: engine=${basename(engine)} cgroup=${cgroup} rootfs=${rootfs}`,
      );
    } else {
      logger.warn(`Container isolation is not available: ${reasons.join('; ')}`);
    }
    return report;
  }

  /** Rejects with an Error that names what the engine or the kernel said; nothing is left in that case. */
  async start(spec: WorkerSpec): Promise<WorkerProcess> {
    checkSpec(spec);
    if (spec.isolation === 'NoContainer') {
      if (!findProgram('setpriv')) throw new Error('setpriv is missing: apt-get install util-linux');
      return startPlain(spec, { cgroup: this.#cgroup, logger: this.#options.logger });
    }
    if (!this.#engine) {
      throw new Error(
        `GreengrassContainer is not available on this host: ${this.#report.reasons.join('; ')}`,
      );
    }
    return this.#engine.start(spec);
  }

  /** Kills and removes every worker of this core that nobody holds. Answers how many there were. */
  async sweep(): Promise<number> {
    const workers = (await this.#cgroup?.sweep()) ?? 0;
    for (const name of ['workers', 'oci', 'canary']) {
      rmSync(join(this.#options.stateFolder, name), { recursive: true, force: true });
    }
    return workers;
  }

  /** When all workers have been stopped: the core's own groups and folders go too. */
  async close(): Promise<void> {
    this.#guard.stop();
    this.#hostFiles.stop();
    await this.sweep();
    rmSync(this.#options.stateFolder, { recursive: true, force: true });
  }
}
