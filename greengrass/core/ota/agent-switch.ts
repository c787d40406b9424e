/**
 * Another version of the agent itself. It is asked whether it can run, then the link is switched, and whoever keeps the
 * agent running (`ggc-ota`) starts the new one; where that one does not stay up, `ggc-ota` gives the place back.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import type { Logger } from '../../lib/log.js';
import { compareSoftwareVersions, isSoftwareVersion } from '../../model/software-version.js';
import { agentProblem } from './greengrassd.js';
import { OperatorScripts } from './operator-scripts.js';
import { type SignedPackage, SoftwarePackages, UpdateRefused } from './software-packages.js';
import { UpdateRecord } from './update-record.js';

export interface AgentSwitchOptions {
  readonly root: string;
  readonly publicKeyPem: string;
  readonly managedRespawn: boolean;
  readonly logger: Logger;
}

export class AgentSwitch {
  readonly #options: AgentSwitchOptions;
  readonly #packages: SoftwarePackages;
  readonly #scripts: OperatorScripts;

  constructor(options: AgentSwitchOptions) {
    this.#options = options;
    this.#packages = new SoftwarePackages(options.root);
    this.#scripts = new OperatorScripts(options.root, 'ota', options.managedRespawn);
  }

  /** An update of the agent alone; the new one tells its end. Rejects with UpdateRefused, and nothing has changed. */
  async update(software: SignedPackage, jobId: string): Promise<void> {
    const from = this.#packages.agent;
    if (software.version === from) throw new UpdateRefused(`the agent of version ${from} runs already`);
    await this.#packages.install(software, this.#options.publicKeyPem);
    const problem = await agentProblem(this.#packages.folderOf(software.version), this.#options.root);
    if (problem !== undefined) throw new UpdateRefused(problem);
    this.#scripts.check();
    await this.#scripts.before();
    const end = { status: 'SUCCEEDED', from, to: software.version } as const;
    new UpdateRecord(this.#options.root).keepOutcome({ jobId, end });
    this.#switch(from, software.version);
  }

  /** Where the core is newer than the agent, its agent takes over: they come in one package. True: it is to be started. */
  async follow(): Promise<boolean> {
    const { current: core } = this.#packages;
    const agent = this.#agentVersion();
    if (agent === undefined || !isSoftwareVersion(core) || compareSoftwareVersions(core, agent) <= 0)
      return false;
    const home = this.#packages.folderOf(core);
    if (this.#refused === core || !existsSync(join(home, 'ggc-ota'))) return false;
    if ((await agentProblem(home, this.#options.root)) !== undefined) return false;
    this.#switch(agent, core);
    return true;
  }

  /** An agent that did not stay up was told to have come: `ggc-ota` gave its place back, and so the job failed. */
  correct(record: UpdateRecord): void {
    const { outcome } = record;
    const agent = this.#agentVersion();
    if (outcome?.end.status !== 'SUCCEEDED' || agent === undefined) return;
    const { jobId, end } = outcome;
    if (end.to !== this.#refused || end.to === agent || end.to === this.#packages.current) return;
    const reason = `the OTA agent of version ${end.to} did not stay up`;
    record.keepOutcome({ jobId, end: { status: 'FAILED', reason, runs: agent } });
  }

  /** This agent has spoken with the cloud: it stays. */
  settle(): void {
    const before = this.#file('before');
    if (!existsSync(before)) return;
    rmSync(before);
    this.#options.logger.info({ version: this.#agentVersion() }, 'The OTA agent was updated.');
    const done = this.#scripts.after();
    done.catch((error: Error) =>
      this.#options.logger.error({ reason: error.message }, 'ota_post_update.sh failed.'),
    );
  }

  #switch(from: string, to: string): void {
    writeFileAtomic(this.#file('before'), from);
    this.#packages.switchAgent(to);
    this.#options.logger.info({ from, to }, 'The OTA agent is started anew.');
  }

  #agentVersion(): string | undefined {
    try {
      const version = this.#packages.agent;
      return isSoftwareVersion(version) ? version : undefined;
    } catch {
      return undefined;
    }
  }

  /** A version whose agent did not stay up. */
  get #refused(): string | undefined {
    const file = this.#file('refused');
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
  }

  #file(what: 'before' | 'refused'): string {
    return join(this.#options.root, 'ota', `ota_agent.${what}`);
  }
}
