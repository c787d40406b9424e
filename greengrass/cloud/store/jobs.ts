/** Jobs of AWS IoT, as far as Greengrass makes them: software updates of cores. */
import { given, type Sql } from './sql.js';

export interface Job {
  readonly jobId: string;
  readonly createdAt: string;
  readonly status: 'IN_PROGRESS' | 'COMPLETED' | 'CANCELED';
  readonly description: string;
  /** ARNs of things and thing groups. */
  readonly targets: readonly string[];
  /** JSON text. */
  readonly document: string;
  /** Of the last change of its status. */
  readonly updatedAt?: string;
  /** When the last thing was through. */
  readonly completedAt?: string;
  /** Why it was cancelled, in the words of who did it. */
  readonly comment?: string;
  readonly reasonCode?: string;
}

/** How a job ends. */
export interface JobEnd {
  readonly status: 'COMPLETED' | 'CANCELED';
  readonly at: string;
  readonly comment?: string;
  readonly reasonCode?: string;
}

export interface JobStore {
  /** With an execution for each thing, which waits. */
  create(job: Job, thingNames?: readonly string[]): Promise<void>;
  /** Ends it where it is in progress; answers whether it was. */
  end(jobId: string, end: JobEnd): Promise<boolean>;
  /** The job with what became of it on its things is forgotten. */
  delete(jobId: string): Promise<void>;
  find(jobId: string): Promise<Job | undefined>;
  /** Ordered by id, from `after` (exclusive) on. */
  list(limit: number, after?: string): Promise<Job[]>;
}

interface Row {
  job_id: string;
  created_at: string;
  status: Job['status'];
  description: string;
  targets: string;
  document: string;
  updated_at: string | null;
  completed_at: string | null;
  comment: string | null;
  reason_code: string | null;
}

export class SqlJobs implements JobStore {
  constructor(readonly sql: Sql) {}

  async create(job: Job, thingNames: readonly string[] = []): Promise<void> {
    await this.sql.transaction(async (tx) => {
      await tx.run(
        'INSERT INTO jobs (job_id, created_at, status, description, targets, document) VALUES (?, ?, ?, ?, ?, ?)',
        ...[job.jobId, job.createdAt, job.status, job.description, JSON.stringify(job.targets), job.document],
      );
      for (const thingName of new Set(thingNames)) {
        await tx.run(
          `INSERT INTO job_executions (thing_name, job_id, status, status_details, version, queued_at, updated_at)
           VALUES (?, ?, 'QUEUED', '{}', 1, ?, ?)`,
          ...[thingName, job.jobId, job.createdAt, job.createdAt],
        );
      }
    });
  }

  async end(jobId: string, { status, at, comment, reasonCode }: JobEnd): Promise<boolean> {
    const changed = await this.sql.run(
      `UPDATE jobs SET status = ?, updated_at = ?, completed_at = ?, comment = ?, reason_code = ?
       WHERE job_id = ? AND status = 'IN_PROGRESS'`,
      ...[status, at, at, comment ?? null, reasonCode ?? null, jobId],
    );
    return changed > 0;
  }

  async delete(jobId: string): Promise<void> {
    await this.sql.transaction(async (tx) => {
      await tx.run('DELETE FROM job_executions WHERE job_id = ?', jobId);
      await tx.run('DELETE FROM jobs WHERE job_id = ?', jobId);
    });
  }

  async find(jobId: string): Promise<Job | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM jobs WHERE job_id = ?', jobId);
    return row && toJob(row);
  }

  async list(limit: number, after = ''): Promise<Job[]> {
    const sql = 'SELECT * FROM jobs WHERE job_id > ? ORDER BY job_id LIMIT ?';
    return (await this.sql.all<Row>(sql, after, limit)).map(toJob);
  }
}

function toJob(row: Row): Job {
  return {
    jobId: row.job_id,
    createdAt: row.created_at,
    status: row.status,
    description: row.description,
    targets: JSON.parse(row.targets),
    document: row.document,
    ...given('updatedAt', row.updated_at),
    ...given('completedAt', row.completed_at),
    ...given('comment', row.comment),
    ...given('reasonCode', row.reason_code),
  };
}
