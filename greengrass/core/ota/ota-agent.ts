/**
 * V1's OTA agent: takes the update jobs of its core, one after the other, and tells the cloud how they ended. It leaves
 * other jobs alone. What it must not forget lies on the disk (update-record.ts), so it may be killed at any time.
 */
import type { Logger } from '../../lib/log.js';
import type { SoftwareUpdateJob } from '../../model/software-version.js';
import type { AgentSwitch } from './agent-switch.js';
import { JobRejected, type JobReport, JobsClient, type JobsLink } from './jobs-client.js';
import { type FetchPackage, PackageFetcher } from './package-fetcher.js';
import { type SoftwarePackages, UpdateRefused } from './software-packages.js';
import type { SoftwareUpdate } from './software-update.js';
import { refusalOf, updateJobOf } from './update-job.js';
import type { UpdateEnd, UpdateRecord } from './update-record.js';

/** After a failure that may pass, such as a cloud that does not answer. */
const RETRY_MS = 30_000;

export interface OtaAgentOptions {
  readonly root: string;
  readonly thingName: string;
  readonly link: JobsLink;
  readonly packages: SoftwarePackages;
  readonly record: UpdateRecord;
  /** Made for each job: keys and configuration may change between them. Throws where there is no key. */
  readonly newUpdate: () => SoftwareUpdate;
  readonly newSwitch: () => AgentSwitch;
  readonly fetch: FetchPackage;
  /** Says at which level the log is written from now on; as UpdateAgentLogLevel has it. */
  readonly setLogLevel: (level: SoftwareUpdateJob['logLevel']) => void;
  /** Called when another agent is to be started in this one's place. */
  readonly onReplaced: () => void;
  readonly logger: Logger;
}

export class OtaAgent {
  readonly #options: OtaAgentOptions;
  readonly #jobs: JobsClient;
  readonly #fetcher: PackageFetcher;
  #working: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: OtaAgentOptions) {
    this.#options = options;
    this.#jobs = new JobsClient(options.link, options.thingName, options.logger);
    this.#fetcher = new PackageFetcher(options.root, options.fetch);
  }

  /** Before the connection is started: what a power cut broke off comes to its end whether there is a cloud or not. */
  async start(): Promise<void> {
    const { logger, newUpdate, newSwitch } = this.#options;
    try {
      await newUpdate().recover();
    } catch (error) {
      logger.error(
        { reason: (error as Error).message },
        'The update that was broken off could not be ended.',
      );
      this.#retry = setTimeout(() => this.#look(), RETRY_MS);
    }
    newSwitch().correct(this.#options.record);
    if (await newSwitch().follow()) {
      this.#replaced();
      return;
    }
    this.#jobs.listen(() => this.#look());
  }

  /** Resolves when nothing is under way any more; an update is not broken off. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    await this.#working;
  }

  /** One at a time; news that come meanwhile are looked at afterwards. */
  #look(): void {
    this.#again = true;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    const { logger } = this.#options;
    clearTimeout(this.#retry);
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        // An error in the midst of an update, such as a full disk, may have left the daemon stopped.
        await this.#options.newUpdate().recover();
        await this.#reportOutcome();
        this.#options.newSwitch().settle();
        for (const jobId of await this.#jobs.pending()) {
          if (this.#stopped) return;
          await this.#take(jobId);
        }
      } catch (error) {
        logger.warn(
          { reason: (error as Error).message, retryInMs: RETRY_MS },
          'Jobs could not be looked at.',
        );
        this.#retry = setTimeout(() => this.#look(), RETRY_MS);
      }
    }
  }

  async #take(jobId: string): Promise<void> {
    const { logger, packages, setLogLevel } = this.#options;
    const found = await this.#jobs.describe(jobId);
    const job = found && updateJobOf(found.jobDocument);
    if (!found || !job) return;
    if (job instanceof Error) {
      await this.#end(jobId, { status: 'REJECTED', reason: job.message, runs: packages.current });
      return;
    }
    setLogLevel(job.logLevel);
    logger.info({ jobId, software: job.software, version: job.version }, 'An update was taken.');
    const runs = job.software === 'core' ? packages.current : packages.agent;
    if (job.version === runs) {
      await this.#end(jobId, { status: 'SUCCEEDED', from: runs, to: runs });
      return;
    }
    const refused = refusalOf(job, runs);
    const end: UpdateEnd | undefined =
      refused === undefined ? await this.#run(jobId, job) : { status: 'REJECTED', reason: refused, runs };
    if (end) await this.#end(jobId, end);
  }

  /** Undefined where another agent tells the end. */
  async #run(jobId: string, job: SoftwareUpdateJob): Promise<UpdateEnd | undefined> {
    const { packages, newUpdate, newSwitch, record } = this.#options;
    const runs = job.software === 'core' ? packages.current : packages.agent;
    let isFetched = false;
    try {
      await this.#jobs.report(jobId, { status: 'IN_PROGRESS', statusDetails: { step: 'downloading', runs } });
      const file = await this.#fetcher.fetch(job.package);
      await this.#jobs.report(jobId, { status: 'IN_PROGRESS', statusDetails: { step: 'installing', runs } });
      isFetched = true;
      const software = { file, version: job.version, signature: job.package.signature };
      if (job.software === 'ota_agent') {
        await newSwitch().update(software, jobId);
        this.#replaced();
        return undefined;
      }
      const end = await newUpdate().update(software, jobId);
      this.#fetcher.clear();
      if (end.status === 'SUCCEEDED' && (await newSwitch().follow())) {
        this.#replaced();
        return undefined;
      }
      return end;
    } catch (error) {
      // Cancelled meanwhile: nobody waits for its end.
      if (error instanceof JobRejected) return undefined;
      // A line that is down may come back. What fails here fails again, unless it has begun: then it is recovered.
      const isFinal = error instanceof UpdateRefused || (isFetched && !record.trial);
      if (!isFinal) throw error;
      this.#fetcher.clear();
      record.forgetOutcome();
      return { status: 'FAILED', reason: (error as Error).message, runs };
    }
  }

  async #end(jobId: string, end: UpdateEnd): Promise<void> {
    this.#options.logger.info({ jobId, ...end }, 'An update job ended.');
    this.#options.record.keepOutcome({ jobId, end });
    await this.#reportOutcome();
  }

  /** Kept until the cloud has it. */
  async #reportOutcome(): Promise<void> {
    const { record, logger } = this.#options;
    const { outcome } = record;
    if (!outcome) return;
    try {
      await this.#jobs.report(outcome.jobId, reportOf(outcome.end));
    } catch (error) {
      if (!(error instanceof JobRejected)) throw error;
      logger.warn({ jobId: outcome.jobId, reason: error.message }, 'The end of an update was not taken.');
    }
    record.forgetOutcome();
  }

  #replaced(): void {
    this.#stopped = true;
    this.#options.onReplaced();
  }
}

function reportOf(end: UpdateEnd): JobReport {
  const { status } = end;
  return status === 'SUCCEEDED'
    ? { status, statusDetails: { step: 'done', runs: end.to, from: end.from } }
    : { status, statusDetails: { step: 'done', runs: end.runs, reason: end.reason } };
}
