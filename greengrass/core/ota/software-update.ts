/**
 * One update of the core software, run from outside of the daemon: stop, switch, start, look, and back by itself where
 * the new version does not come up. Each step is written down before it is made, so that after a power cut `recover`
 * goes on with it. With V1's `managedRespawn` the operator's scripts run around it.
 */
import type { Logger } from '../../lib/log.js';
import { reachedStep } from '../../lib/named-steps.js';
import { Greengrassd } from './greengrassd.js';
import { OperatorScripts } from './operator-scripts.js';
import { type SignedPackage, SoftwarePackages, UpdateRefused } from './software-packages.js';
import { type Trial, type UpdateEnd, UpdateRecord } from './update-record.js';

/** A version on trial that was started so often without having been found healthy is given up. */
const MAX_STARTS = 3;
/** And the one before is started so often: it has run already. */
const MAX_RETURNS = 3;
/** The new version must stay up for so long. */
const HEALTH_WINDOW_MS = 10_000;

/** In the order in which an update passes them; tests kill the agent there. */
export const UPDATE_STEPS = [
  'update-installed',
  'update-recorded',
  'update-stopped',
  'update-switched',
  'update-counted',
  'update-started',
  'update-healthy',
  'update-settled',
] as const;
/** Those of the way back. */
export const RETURN_STEPS = [
  'return-recorded',
  'return-switched',
  'return-stopped',
  'return-started',
] as const;
type Step = (typeof UPDATE_STEPS)[number] | (typeof RETURN_STEPS)[number];
const reached: (step: Step) => Promise<void> = reachedStep;

export interface UpdateOptions {
  readonly root: string;
  /** Keys that packages must be signed with, one of them. */
  readonly publicKeyPem: string;
  /** V1's member of config.json: scripts of the operator in `<root>/usr/scripts` run around the update. */
  readonly managedRespawn: boolean;
  /** Options of greengrassd, such as `-i`. */
  readonly options?: readonly string[];
  /** A daemon that is well answers there. */
  readonly controlSocket: string;
  readonly healthWindowMs?: number;
  /** A command of greengrassd that takes longer is killed, and has failed. */
  readonly commandTimeoutMs?: number;
  readonly logger: Logger;
}

export class SoftwareUpdate {
  readonly #options: UpdateOptions;
  readonly #packages: SoftwarePackages;
  readonly #record: UpdateRecord;
  readonly #scripts: OperatorScripts;
  readonly #greengrassd: Greengrassd;

  constructor(options: UpdateOptions) {
    const { root, controlSocket, commandTimeoutMs } = options;
    this.#options = options;
    this.#packages = new SoftwarePackages(root);
    this.#record = new UpdateRecord(root);
    this.#scripts = new OperatorScripts(root, 'ggc', options.managedRespawn);
    this.#greengrassd = new Greengrassd(root, options.options ?? [], controlSocket, commandTimeoutMs);
  }

  /** Rejects with UpdateRefused where it has not begun and nothing has changed. */
  async update(software: SignedPackage, jobId?: string): Promise<UpdateEnd> {
    const from = this.#packages.current;
    if (software.version === from) throw new UpdateRefused(`version ${from} runs already`);
    await this.#packages.install(software, this.#options.publicKeyPem);
    await reached('update-installed');
    this.#scripts.check();
    await this.#scripts.before();
    const job = jobId === undefined ? {} : { jobId };
    const trial = this.#record.keep({ ...job, from, to: software.version, starts: 0 });
    await reached('update-recorded');
    return this.#goOn(trial);
  }

  /** At the start of the agent: an update that a power cut broke off is gone on with, or undone. */
  async recover(): Promise<UpdateEnd | undefined> {
    const trial = this.#record.trial;
    if (!trial) return undefined;
    this.#options.logger.warn({ ...trial }, 'An update was broken off; it is brought to its end.');
    return trial.back === undefined ? this.#goOn(trial) : this.#goBack(trial, trial.back);
  }

  async #goOn(trial: Trial): Promise<UpdateEnd> {
    const { from, to, starts } = trial;
    await this.#greengrassd.stop();
    await reached('update-stopped');
    if (starts >= MAX_STARTS) {
      return this.#goBack(trial, `version ${to} was started ${starts} times and never found healthy`);
    }
    try {
      this.#packages.switchCore(to);
    } catch (error) {
      return this.#goBack(trial, (error as Error).message);
    }
    await reached('update-switched');
    const counted = this.#record.keep({ ...trial, starts: starts + 1 });
    await reached('update-counted');
    const problem = await this.#problemOf(to);
    if (problem !== undefined) return this.#goBack(counted, problem);
    const end: UpdateEnd = { status: 'SUCCEEDED', from, to };
    this.#record.finish(end);
    this.#options.logger.info({ from, to }, 'Core software was updated.');
    await reached('update-settled');
    this.#packages.sweep(from);
    return end;
  }

  /** Starts the new version; answers why it can't stay, or undefined. */
  async #problemOf(to: string): Promise<string | undefined> {
    const started = await this.#greengrassd.start();
    if (started.problem !== undefined) return `version ${to} did not start: ${started.problem}`;
    await reached('update-started');
    const windowMs = this.#options.healthWindowMs ?? HEALTH_WINDOW_MS;
    const problem =
      (await this.#greengrassd.problemWithin(windowMs)) ?? (await this.#greengrassd.agentProblem());
    if (problem !== undefined) return `version ${to} did not stay: ${problem}`;
    await reached('update-healthy');
    try {
      await this.#scripts.after();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #goBack(trial: Trial, back: string): Promise<UpdateEnd> {
    const { from, to } = trial;
    const { logger } = this.#options;
    logger.error({ from, to, reason: back }, 'The update failed; the version before comes back.');
    this.#record.keep({ ...trial, back });
    await reached('return-recorded');
    this.#packages.switchCore(from);
    await reached('return-switched');
    // By the command of the version before: that of the new one may be what is broken.
    await this.#greengrassd.stop();
    await reached('return-stopped');
    let left = MAX_RETURNS;
    let started = await this.#greengrassd.start();
    while (started.problem !== undefined && --left > 0) {
      await this.#greengrassd.stop();
      started = await this.#greengrassd.start();
    }
    await reached('return-started');
    if (started.problem !== undefined)
      logger.error({ version: from, reason: started.problem }, 'The version before did not start either.');
    const end: UpdateEnd = { status: 'FAILED', reason: back, runs: from };
    this.#record.finish(end);
    this.#packages.sweep(from);
    return end;
  }
}
