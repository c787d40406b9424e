/**
 * AWS IoT Jobs: what a thing asks on its topics, and what is told to it when its jobs change. One change at a time for a
 * thing, over all replicas; it is stored before it is answered.
 */
import { CheckError } from '../../../lib/check.js';
import { type Exclusive, LocalExclusive } from '../../store/exclusive.js';
import { isTerminal, type JobExecution } from '../../store/job-executions.js';
import type { Job } from '../../store/jobs.js';
import type { Store } from '../../store/store.js';
import { executionOf, JobRefusal, nowSeconds, pendingByStatus, stateOf } from './job-answers.js';
import { clientTokenIn } from './job-requests.js';
import { notifyTopic, parseJobTopic } from './job-topics.js';
import { answerTo } from './thing-requests.js';

export type JobsStore = Pick<Store, 'jobs' | 'jobExecutions'>;

/** Executions that are read at once where all of a job are gone through. */
const PAGE = 100;

export class CloudJobs {
  #publish: (topic: string, payload: Buffer) => void = () => {};

  constructor(
    private readonly store: JobsStore,
    private readonly exclusive: Exclusive = new LocalExclusive(),
  ) {}

  /** Where answers and notices go; the broker is made later than the jobs. */
  publishTo(publish: (topic: string, payload: Buffer) => void): void {
    this.#publish = publish;
  }

  /** A publication that was let in: answered on `accepted` or `rejected` where it is a request for jobs. */
  async take(topic: string, payload: Buffer): Promise<void> {
    const request = parseJobTopic(topic);
    if (!request) return;
    const clientToken = clientTokenIn(payload);
    const say = (kind: 'accepted' | 'rejected', body: object) =>
      this.#say(`${topic}/${kind}`, {
        ...(clientToken === undefined ? {} : { clientToken }),
        timestamp: nowSeconds(),
        ...body,
      });
    try {
      await this.#change(request.thingName, async (pending) => {
        say('accepted', await answerTo(request, payload, pending, this.store));
      });
    } catch (error) {
      const { code, message, execution } = refusalOf(error);
      say('rejected', { code, message, ...(execution ? { executionState: stateOf(execution) } : {}) });
      if (code === 'InternalError') throw error;
    }
    if (request.kind === 'update') await this.#endIfThrough(request.jobId);
  }

  /** Makes the job, and tells its things. */
  async create(job: Job, thingNames: readonly string[]): Promise<void> {
    await this.store.jobs.create(job, thingNames);
    // Told one after the other: a fleet's first answers must not all come at the same moment.
    for (const thingName of new Set(thingNames)) {
      await this.exclusive.run(lockOf(thingName), async () => {
        const pending = await this.store.jobExecutions.pendingOf(thingName);
        await this.#tell(thingName, pending, pending[0]?.jobId === job.jobId);
      });
    }
  }

  /**
   * Ends what waits, and with `force` what is in progress too. False where the job was not in progress. Things that are
   * at it go on, and report, unless `force` is given.
   */
  async cancel(
    jobId: string,
    { force, ...why }: { force: boolean; comment?: string; reasonCode?: string },
  ): Promise<boolean> {
    if (!(await this.store.jobs.end(jobId, { status: 'CANCELED', at: new Date().toISOString(), ...why })))
      return false;
    let after: string | undefined;
    for (;;) {
      const some = await this.store.jobExecutions.listOfJob(jobId, PAGE, after);
      for (const { thingName } of some) {
        await this.#change(thingName, async () => {
          const now = await this.store.jobExecutions.find(thingName, jobId);
          if (now && (now.status === 'QUEUED' || (force && now.status === 'IN_PROGRESS')))
            await this.#end(now, 'CANCELED');
        });
      }
      after = some.at(-1)?.thingName;
      if (some.length < PAGE) return true;
    }
  }

  /**
   * Ends the job for one thing. Throws JobRefusal: ResourceNotFound, VersionMismatch, or InvalidStateTransition where it
   * is through, or in progress and not forced.
   */
  async cancelExecution(
    thingName: string,
    jobId: string,
    { force, expectedVersion, statusDetails }: CancelOptions,
  ): Promise<void> {
    await this.#change(thingName, async () => {
      const now = await this.store.jobExecutions.find(thingName, jobId);
      if (!now) throw new JobRefusal('ResourceNotFound', `There is no job ${jobId} for ${thingName}.`);
      if (expectedVersion !== undefined && expectedVersion !== now.version) {
        throw new JobRefusal('VersionMismatch', `The version is ${now.version}, not ${expectedVersion}.`);
      }
      if (isTerminal(now.status) || (now.status === 'IN_PROGRESS' && !force)) {
        throw new JobRefusal(
          'InvalidStateTransition',
          `The job is ${now.status} for ${thingName}${now.status === 'IN_PROGRESS' ? ': force ends it' : ''}.`,
        );
      }
      await this.#end({ ...now, statusDetails: statusDetails ?? now.statusDetails }, 'CANCELED');
    });
    await this.#endIfThrough(jobId);
  }

  /** The thing is no more: what it was to do is removed, and a job of which nothing else is left is through. */
  async removeThing(thingName: string): Promise<void> {
    let removed: readonly JobExecution[] = [];
    await this.#change(thingName, async (pending) => {
      removed = pending;
      for (const execution of pending) await this.#end(execution, 'REMOVED');
    });
    for (const { jobId } of removed) await this.#endIfThrough(jobId);
  }

  /** Ends what things have not brought to an end in the time that they set themselves. */
  async endOverdue(): Promise<void> {
    let some: readonly JobExecution[];
    do {
      some = await this.store.jobExecutions.overdue(new Date().toISOString(), PAGE);
      for (const { thingName } of some) await this.#change(thingName, async () => {});
    } while (some.length === PAGE);
  }

  /** Runs `work` alone among the thing's changes, and tells the thing what it changed of what is pending. */
  async #change(thingName: string, work: (pending: readonly JobExecution[]) => Promise<void>): Promise<void> {
    await this.exclusive.run(lockOf(thingName), async () => {
      const before = await this.store.jobExecutions.pendingOf(thingName);
      await work(await this.#withoutOverdue(before));
      const now = await this.store.jobExecutions.pendingOf(thingName);
      if (idsOf(now) !== idsOf(before)) await this.#tell(thingName, now, now[0]?.jobId !== before[0]?.jobId);
    });
  }

  async #tell(thingName: string, pending: readonly JobExecution[], isNextNew: boolean): Promise<void> {
    this.#say(notifyTopic(thingName, 'notify'), { timestamp: nowSeconds(), jobs: pendingByStatus(pending) });
    if (!isNextNew) return;
    const [next] = pending;
    const job = next && (await this.store.jobs.find(next.jobId));
    this.#say(notifyTopic(thingName, 'notify-next'), {
      timestamp: nowSeconds(),
      ...(next ? { execution: executionOf(next, job?.document) } : {}),
    });
  }

  async #withoutOverdue(pending: readonly JobExecution[]): Promise<readonly JobExecution[]> {
    const now = new Date().toISOString();
    const isOverdue = ({ status, timesOutAt }: JobExecution) =>
      status === 'IN_PROGRESS' && timesOutAt !== undefined && timesOutAt <= now;
    const overdue = pending.filter(isOverdue);
    for (const execution of overdue) {
      await this.#end(execution, 'TIMED_OUT');
      await this.#endIfThrough(execution.jobId);
    }
    return overdue.length === 0 ? pending : pending.filter((execution) => !isOverdue(execution));
  }

  async #end(execution: JobExecution, status: 'CANCELED' | 'REMOVED' | 'TIMED_OUT'): Promise<void> {
    const { version } = execution;
    const updatedAt = new Date().toISOString();
    await this.store.jobExecutions.put({ ...execution, status, version: version + 1, updatedAt });
  }

  /** A job of which every thing is through is through itself. */
  async #endIfThrough(jobId: string): Promise<void> {
    const { QUEUED = 0, IN_PROGRESS = 0, ...through } = await this.store.jobExecutions.counts(jobId);
    if (QUEUED + IN_PROGRESS > 0 || Object.keys(through).length === 0) return;
    await this.store.jobs.end(jobId, { status: 'COMPLETED', at: new Date().toISOString() });
  }

  #say(topic: string, body: object): void {
    this.#publish(topic, Buffer.from(JSON.stringify(body)));
  }
}

export interface CancelOptions {
  readonly force: boolean;
  readonly expectedVersion?: number;
  readonly statusDetails?: Readonly<Record<string, string>>;
}

const lockOf = (thingName: string) => `jobs ${thingName}`;
const idsOf = (pending: readonly JobExecution[]) =>
  pending
    .map(({ jobId }) => jobId)
    .sort()
    .join();

function refusalOf(error: unknown): JobRefusal {
  if (error instanceof JobRefusal) return error;
  if (error instanceof CheckError) return new JobRefusal('InvalidRequest', error.message);
  return new JobRefusal('InternalError', 'The request could not be done; try it again.');
}
