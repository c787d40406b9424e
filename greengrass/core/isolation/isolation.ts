/** Starts workers as their specification asks, and sweeps what a killed core left behind. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../lib/log.js';
import { CoreCgroup, detectCgroups } from './cgroup.js';
import { findProgram, type HostReport, probeHost } from './host-report.js';
import { OciEngine } from './oci-engine.js';
import { cgroupId } from './place.js';
import { startPlain } from './plain-process.js';
import { checkSpec } from './spec-checks.js';
import type { WorkerEngine, WorkerProcess, WorkerSpec } from './worker-process.js';

export interface IsolationOptions {
  /** Absolute folders of the host that no container may see: greengrass root, write directory. */
  readonly hiddenPaths: readonly string[];
  /** Folder of this core's own for bundles and engine state. */
  readonly stateFolder: string;
  readonly logger: Logger;
}

export class Isolation implements WorkerEngine {
  readonly #options: IsolationOptions;
  /** Names this core's control groups; several cores of one machine don't disturb each other. */
  readonly #id: string;
  #cgroup: CoreCgroup | undefined;
  #engine: OciEngine | undefined;
  #report: HostReport = { available: false, reasons: ['not probed yet'] };

  constructor(options: IsolationOptions) {
    this.#options = options;
    this.#id = cgroupId(options.stateFolder);
  }

  get report(): HostReport {
    return this.#report;
  }

  /** Sweeps, then finds out what this host can do, and says so in one line of the log. */
  async probe(): Promise<HostReport> {
    const { stateFolder, logger, hiddenPaths } = this.#options;
    const version = detectCgroups();
    this.#cgroup = version && process.getuid?.() === 0 ? new CoreCgroup(version, this.#id) : undefined;
    const swept = await this.sweep();
    if (swept > 0) logger.warn({ workers: swept }, 'Workers that an earlier daemon left were removed.');
    mkdirSync(stateFolder, { recursive: true, mode: 0o711 });
    this.#report = await probeHost(stateFolder, this.#id);
    const { available, engine, cgroup, rootfs, reasons } = this.#report;
    if (available && engine && this.#cgroup) {
      this.#engine = new OciEngine({ engine, stateFolder, hiddenPaths, cgroup: this.#cgroup });
      logger.info(
        `Container isolation available: engine=${engine.split('/').at(-1)} cgroup=${cgroup} rootfs=${rootfs}`,
      );
    } else {
      logger.warn(`Container isolation is not available: ${reasons.join('; ')}`);
    }
    return this.#report;
  }

  async start(spec: WorkerSpec): Promise<WorkerProcess> {
    checkSpec(spec);
    if (spec.isolation === 'NoContainer') {
      if (!findProgram('setpriv')) throw new Error('setpriv is missing: apt-get install util-linux');
      return startPlain(spec, this.#cgroup);
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
    await this.sweep();
    rmSync(this.#options.stateFolder, { recursive: true, force: true });
  }
}
