/** Looks every few seconds whether the time of a job has run out on a thing. Any number of replicas may do so at once. */
import type { Logger } from '../../../lib/log.js';
import type { CloudJobs } from './cloud-jobs.js';

/** Things set their times in minutes. */
const INTERVAL_MS = 15_000;

export class JobTimer {
  #timer: NodeJS.Timeout | undefined;
  #look: Promise<void> | undefined;

  constructor(
    private readonly jobs: Pick<CloudJobs, 'endOverdue'>,
    private readonly log: Logger,
    private readonly intervalMs = INTERVAL_MS,
  ) {}

  async start(): Promise<void> {
    this.#timer = setInterval(() => {
      this.#look ??= this.#endOverdue();
    }, this.intervalMs);
    this.#timer.unref();
  }

  /** Resolves when the last look is over. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#look;
  }

  async #endOverdue(): Promise<void> {
    try {
      await this.jobs.endOverdue();
    } catch (error) {
      this.log.error({ err: error }, 'jobs whose time is over could not be ended');
    } finally {
      this.#look = undefined;
    }
  }
}
