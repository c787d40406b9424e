/**
 * One update of the core software, run from outside of the daemon: stop, switch, start, look, and back by itself where
 * the new version does not come up. With V1's `managedRespawn` the operator's scripts run around it.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../lib/log.js';
import { run } from '../../lib/subprocess.js';
import { type SignedPackage, SoftwarePackages, UpdateRefused } from './software-packages.js';

/** `greengrassd start` waits for the daemon by itself, for a little over a minute. */
const COMMAND_TIMEOUT_MS = 120_000;
const SCRIPT_TIMEOUT_MS = 300_000;
/** A version on trial that was started so often without having been found healthy is given up. */
const MAX_STARTS = 3;
/** V1's names of the operator's scripts. */
const BEFORE = 'ggc_pre_update.sh';
const AFTER = 'ggc_post_update.sh';

export interface UpdateOptions {
  readonly root: string;
  /** Key that packages must be signed with. */
  readonly publicKeyPem: string;
  /** V1's member of config.json: scripts of the operator in `<root>/usr/scripts` run around the update. */
  readonly managedRespawn: boolean;
  /** Options of greengrassd, such as `-i`. */
  readonly options?: readonly string[];
  readonly logger: Logger;
}

/** How it ended; on failure the version before runs again. */
export type UpdateEnd =
  | { readonly status: 'SUCCEEDED'; readonly from: string; readonly to: string }
  | { readonly status: 'FAILED'; readonly reason: string; readonly runs: string };

export class SoftwareUpdate {
  readonly #options: UpdateOptions;
  readonly #packages: SoftwarePackages;

  constructor(options: UpdateOptions) {
    this.#options = options;
    this.#packages = new SoftwarePackages(options.root);
  }

  /** Rejects with UpdateRefused where it has not begun and nothing has changed. */
  async update(software: SignedPackage): Promise<UpdateEnd> {
    const from = this.#packages.current;
    await this.#packages.install(software, this.#options.publicKeyPem);
    if (this.#options.managedRespawn) this.#checked(AFTER);
    await this.#script(BEFORE);
    await this.#greengrassd('stop');
    this.#packages.begin(software.version);
    return this.#try(from, software.version);
  }

  /** At the boot of the device: an update that a power cut broke off is looked at once more, or undone. */
  async recover(): Promise<UpdateEnd | undefined> {
    const trial = this.#packages.trial();
    if (!trial) return undefined;
    await this.#greengrassd('stop');
    return this.#try(trial.from, trial.to);
  }

  async #try(from: string, to: string): Promise<UpdateEnd> {
    const { logger } = this.#options;
    if (this.#packages.countStart() <= MAX_STARTS) {
      const { code, text } = await this.#greengrassd('start');
      const refused = code === 0 ? await this.#refusal() : undefined;
      if (refused !== undefined) {
        await this.#greengrassd('stop');
        return this.#back(from, refused);
      }
      if (code === 0) {
        this.#packages.settle();
        logger.info({ from, to }, 'Core software was updated.');
        return { status: 'SUCCEEDED', from, to };
      }
      logger.error({ from, to, reason: text }, 'The new version of the core software did not start.');
      await this.#greengrassd('stop');
      return this.#back(from, `version ${to} did not start: ${text}`);
    }
    return this.#back(from, `version ${to} was started ${MAX_STARTS} times and never found healthy`);
  }

  /** Why the operator's script does not want the new version, or undefined. */
  async #refusal(): Promise<string | undefined> {
    try {
      await this.#script(AFTER);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #back(from: string, reason: string): Promise<UpdateEnd> {
    this.#packages.fallBack();
    const { code, text } = await this.#greengrassd('start');
    if (code !== 0)
      this.#options.logger.error({ version: from, reason: text }, 'The version before did not start either.');
    return { status: 'FAILED', reason, runs: from };
  }

  /** The command of the version that `ggc/core` leads to now. */
  async #greengrassd(verb: 'start' | 'stop'): Promise<{ code: number; text: string }> {
    const { root, options = [] } = this.#options;
    const program = join(root, 'ggc', 'core', 'greengrassd');
    try {
      const { code, stdout, stderr } = await run(program, ['--root', root, ...options, verb], {
        timeoutMs: COMMAND_TIMEOUT_MS,
      });
      return { code, text: `${stdout}${stderr}`.trim().slice(-500) };
    } catch (error) {
      return { code: 1, text: (error as Error).message };
    }
  }

  async #script(name: string): Promise<void> {
    const { managedRespawn, root } = this.#options;
    if (!managedRespawn) return;
    const { code, stderr } = await run(this.#checked(name), [], { cwd: root, timeoutMs: SCRIPT_TIMEOUT_MS });
    if (code !== 0) throw new UpdateRefused(`${name} ended with ${code}: ${stderr.trim().slice(-300)}`);
  }

  /** V1: the scripts must be there, root's, and nobody else's to run or to write. */
  #checked(name: string): string {
    const script = join(this.#options.root, 'usr', 'scripts', name);
    const stat = statSync(script, { throwIfNoEntry: false });
    if (!stat)
      throw new UpdateRefused(`${script} is not there, but managedRespawn in config.json asks for it`);
    if (stat.uid !== 0 || (stat.mode & 0o033) !== 0) {
      throw new UpdateRefused(`${script} must be root's to run and to write alone: chown root, chmod 700`);
    }
    return script;
  }
}
