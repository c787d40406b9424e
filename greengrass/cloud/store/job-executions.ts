/** What became of a job of AWS IoT on each of its things. Whoever changes one holds the thing's jobs alone (Exclusive). */
import { given, type Sql } from './sql.js';

export const JOB_EXECUTION_STATUSES = [
  'QUEUED',
  'IN_PROGRESS',
  'SUCCEEDED',
  'FAILED',
  'TIMED_OUT',
  'REJECTED',
  'REMOVED',
  'CANCELED',
] as const;
export type JobExecutionStatus = (typeof JOB_EXECUTION_STATUSES)[number];

export interface JobExecution {
  readonly thingName: string;
  readonly jobId: string;
  readonly status: JobExecutionStatus;
  readonly statusDetails: Readonly<Record<string, string>>;
  /** Goes up with every change. */
  readonly version: number;
  readonly queuedAt: string;
  readonly startedAt?: string;
  readonly updatedAt: string;
  /** Until then its thing has to be through with it, or to set another time. */
  readonly timesOutAt?: string;
}

/** True where nothing will change any more. */
export function isTerminal(status: JobExecutionStatus): boolean {
  return status !== 'QUEUED' && status !== 'IN_PROGRESS';
}

export interface JobExecutionStore {
  find(thingName: string, jobId: string): Promise<JobExecution | undefined>;
  /** QUEUED and IN_PROGRESS ones in the order in which a thing takes them: what is in progress, then the oldest. */
  pendingOf(thingName: string): Promise<JobExecution[]>;
  /** Those in progress whose time was over at `now`, the longest overdue first. */
  overdue(now: string, limit: number): Promise<JobExecution[]>;
  /** Writes it as it is given; one that is not there is made. What is through has no time to be through any more. */
  put(execution: JobExecution): Promise<void>;
  /** Ordered by the thing's name, from `after` (exclusive) on. */
  listOfJob(
    jobId: string,
    limit: number,
    after?: string,
    status?: JobExecutionStatus,
  ): Promise<JobExecution[]>;
  /** Ordered by the job's id, from `after` (exclusive) on. */
  listOfThing(
    thingName: string,
    limit: number,
    after?: string,
    status?: JobExecutionStatus,
  ): Promise<JobExecution[]>;
  /** How many of the job there are with each status; statuses that nobody has are left out. */
  counts(jobId: string): Promise<Partial<Record<JobExecutionStatus, number>>>;
}

interface Row {
  thing_name: string;
  job_id: string;
  status: JobExecutionStatus;
  status_details: string;
  version: number;
  queued_at: string;
  started_at: string | null;
  updated_at: string;
  times_out_at: string | null;
}

export class SqlJobExecutions implements JobExecutionStore {
  constructor(readonly sql: Sql) {}

  async find(thingName: string, jobId: string): Promise<JobExecution | undefined> {
    const row = await this.sql.get<Row>(
      'SELECT * FROM job_executions WHERE thing_name = ? AND job_id = ?',
      thingName,
      jobId,
    );
    return row && toExecution(row);
  }

  async pendingOf(thingName: string): Promise<JobExecution[]> {
    const rows = await this.sql.all<Row>(
      `SELECT * FROM job_executions WHERE thing_name = ? AND status IN ('QUEUED', 'IN_PROGRESS')
       ORDER BY CASE WHEN status = 'IN_PROGRESS' THEN 0 ELSE 1 END, started_at, queued_at, job_id`,
      thingName,
    );
    return rows.map(toExecution);
  }

  async overdue(now: string, limit: number): Promise<JobExecution[]> {
    const rows = await this.sql.all<Row>(
      `SELECT * FROM job_executions WHERE times_out_at <= ? AND status = 'IN_PROGRESS'
       ORDER BY times_out_at, thing_name, job_id LIMIT ?`,
      now,
      limit,
    );
    return rows.map(toExecution);
  }

  async put(execution: JobExecution): Promise<void> {
    await this.sql.run(
      `INSERT INTO job_executions
         (thing_name, job_id, status, status_details, version, queued_at, started_at, updated_at, times_out_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (thing_name, job_id) DO UPDATE SET status = excluded.status,
         status_details = excluded.status_details, version = excluded.version, started_at = excluded.started_at,
         updated_at = excluded.updated_at, times_out_at = excluded.times_out_at`,
      execution.thingName,
      execution.jobId,
      execution.status,
      JSON.stringify(execution.statusDetails),
      execution.version,
      execution.queuedAt,
      execution.startedAt ?? null,
      execution.updatedAt,
      (isTerminal(execution.status) ? undefined : execution.timesOutAt) ?? null,
    );
  }

  async listOfJob(jobId: string, limit: number, after = '', status?: JobExecutionStatus) {
    return this.#list('job_id', 'thing_name', [jobId, after], limit, status);
  }

  async listOfThing(thingName: string, limit: number, after = '', status?: JobExecutionStatus) {
    return this.#list('thing_name', 'job_id', [thingName, after], limit, status);
  }

  async counts(jobId: string): Promise<Partial<Record<JobExecutionStatus, number>>> {
    const rows = await this.sql.all<{ status: JobExecutionStatus; count: number }>(
      'SELECT status, COUNT(*) AS count FROM job_executions WHERE job_id = ? GROUP BY status',
      jobId,
    );
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
  }

  async #list(
    of: 'job_id' | 'thing_name',
    by: 'job_id' | 'thing_name',
    [key, after]: readonly [string, string],
    limit: number,
    status: JobExecutionStatus | undefined,
  ): Promise<JobExecution[]> {
    const wanted = status === undefined ? '' : 'AND status = ?';
    const rows = await this.sql.all<Row>(
      `SELECT * FROM job_executions WHERE ${of} = ? AND ${by} > ? ${wanted} ORDER BY ${by} LIMIT ?`,
      ...[key, after, ...(status === undefined ? [] : [status])],
      limit,
    );
    return rows.map(toExecution);
  }
}

function toExecution(row: Row): JobExecution {
  return {
    thingName: row.thing_name,
    jobId: row.job_id,
    status: row.status,
    statusDetails: JSON.parse(row.status_details),
    version: row.version,
    queuedAt: row.queued_at,
    ...given('startedAt', row.started_at),
    updatedAt: row.updated_at,
    ...given('timesOutAt', row.times_out_at),
  };
}
