/** Jobs of AWS IoT, as far as Greengrass makes them: software updates of cores. */
import type { Sql } from './sql.js';

export interface Job {
  readonly jobId: string;
  readonly createdAt: string;
  readonly status: 'IN_PROGRESS' | 'COMPLETED' | 'CANCELED';
  readonly description: string;
  /** ARNs of things and thing groups. */
  readonly targets: readonly string[];
  /** JSON text. */
  readonly document: string;
}

export interface JobStore {
  create(job: Job): Promise<void>;
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
}

export class SqlJobs implements JobStore {
  constructor(readonly sql: Sql) {}

  async create(job: Job): Promise<void> {
    await this.sql.run(
      'INSERT INTO jobs (job_id, created_at, status, description, targets, document) VALUES (?, ?, ?, ?, ?, ?)',
      job.jobId,
      job.createdAt,
      job.status,
      job.description,
      JSON.stringify(job.targets),
      job.document,
    );
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
  };
}
