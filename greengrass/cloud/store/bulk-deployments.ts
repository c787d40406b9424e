/** Bulk deployments: their input, how far they are, and a result for each record. */
import type { ErrorDetail } from '../../model/deployment.js';
import { given, type Sql } from './sql.js';

/**
 *   Initializing ──> Running ──> Completed
 *        │              ├──────> Failed
 *        └──> Stopping ─┴──────> Stopped
 */
export type BulkStatus = 'Initializing' | 'Running' | 'Completed' | 'Stopping' | 'Stopped' | 'Failed';

export const OPEN_BULK_STATUSES: readonly BulkStatus[] = ['Initializing', 'Running', 'Stopping'];

export interface BulkDeployment {
  readonly bulkId: string;
  readonly status: BulkStatus;
  readonly createdAt: string;
  readonly inputFileUri: string;
  readonly executionRoleArn: string;
  readonly tags: Readonly<Record<string, string>>;
  /** The records as they were read, JSON lines; absent before. */
  readonly input?: string;
  readonly recordsProcessed: number;
  readonly invalidRecords: number;
  readonly retries: number;
  readonly errorMessage?: string;
  readonly errorDetails?: readonly ErrorDetail[];
}

/** One record of the input that named a group version. */
export interface BulkResult {
  /** Counted from 1 within the bulk deployment. */
  readonly number: number;
  readonly createdAt: string;
  readonly groupId: string;
  readonly groupVersionId: string;
  /** Absent where no deployment could be made. */
  readonly deploymentId?: string;
  readonly errorMessage?: string;
  readonly errorDetails?: readonly ErrorDetail[];
}

export interface BulkDeploymentStore {
  /** Answers false, and creates nothing, where another one is not at its end. */
  create(bulk: BulkDeployment): Promise<boolean>;
  find(bulkId: string): Promise<BulkDeployment | undefined>;
  /** Newest first. */
  list(limit: number, after?: string): Promise<BulkDeployment[]>;
  /** The one that is not at its end. */
  findOpen(): Promise<BulkDeployment | undefined>;
  /** Moves it where it is in one of the states `from`; answers false where it is not. */
  setStatus(
    bulkId: string,
    from: readonly BulkStatus[],
    to: BulkStatus,
    error?: { readonly message: string; readonly details: readonly ErrorDetail[] },
  ): Promise<boolean>;
  setInput(bulkId: string, input: string): Promise<void>;
  /** Keeps a record's result and counts it, in one transaction; a record that has one keeps it. */
  addResult(bulkId: string, result: BulkResult, counts: { invalid: boolean; retries: number }): Promise<void>;
  /** Newest first. */
  listResults(bulkId: string, limit: number, after?: number): Promise<BulkResult[]>;
  setTags(bulkId: string, tags: Readonly<Record<string, string>>): Promise<void>;
}

interface Row {
  bulk_id: string;
  status: BulkStatus;
  created_at: string;
  input_file_uri: string;
  execution_role_arn: string;
  tags: string;
  input: string | null;
  records_processed: number;
  invalid_records: number;
  retries: number;
  error_message: string | null;
  error_details: string | null;
}

interface ResultRow {
  number: number;
  created_at: string;
  group_id: string;
  group_version_id: string;
  deployment_id: string | null;
  error_message: string | null;
  error_details: string | null;
}

const IS_OPEN = `status IN (${OPEN_BULK_STATUSES.map((status) => `'${status}'`).join(', ')})`;

export class SqlBulkDeployments implements BulkDeploymentStore {
  constructor(readonly sql: Sql) {}

  create(bulk: BulkDeployment): Promise<boolean> {
    return this.sql.transaction(async (tx) => {
      if (await tx.get(`SELECT bulk_id FROM bulk_deployments WHERE ${IS_OPEN}`)) return false;
      await tx.run(
        `INSERT INTO bulk_deployments (bulk_id, number, status, created_at, input_file_uri, execution_role_arn, tags,
           records_processed, invalid_records, retries)
         SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, ?, 0, 0, 0 FROM bulk_deployments`,
        bulk.bulkId,
        bulk.status,
        bulk.createdAt,
        bulk.inputFileUri,
        bulk.executionRoleArn,
        JSON.stringify(bulk.tags),
      );
      return true;
    });
  }

  async find(bulkId: string): Promise<BulkDeployment | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM bulk_deployments WHERE bulk_id = ?', bulkId);
    return row && toBulk(row);
  }

  async list(limit: number, after?: string): Promise<BulkDeployment[]> {
    const rows =
      after === undefined
        ? await this.sql.all<Row>('SELECT * FROM bulk_deployments ORDER BY number DESC LIMIT ?', limit)
        : await this.sql.all<Row>(
            `SELECT * FROM bulk_deployments WHERE number <
               (SELECT number FROM bulk_deployments WHERE bulk_id = ?) ORDER BY number DESC LIMIT ?`,
            after,
            limit,
          );
    return rows.map(toBulk);
  }

  async findOpen(): Promise<BulkDeployment | undefined> {
    const row = await this.sql.get<Row>(`SELECT * FROM bulk_deployments WHERE ${IS_OPEN}`);
    return row && toBulk(row);
  }

  async setStatus(
    bulkId: string,
    from: readonly BulkStatus[],
    to: BulkStatus,
    error?: { readonly message: string; readonly details: readonly ErrorDetail[] },
  ): Promise<boolean> {
    const changed = await this.sql.run(
      `UPDATE bulk_deployments SET status = ?, error_message = ?, error_details = ?
       WHERE bulk_id = ? AND status IN (${from.map(() => '?').join(', ')})`,
      to,
      error?.message ?? null,
      error ? JSON.stringify(error.details) : null,
      bulkId,
      ...from,
    );
    return changed > 0;
  }

  async setInput(bulkId: string, input: string): Promise<void> {
    await this.sql.run('UPDATE bulk_deployments SET input = ? WHERE bulk_id = ?', input, bulkId);
  }

  addResult(
    bulkId: string,
    result: BulkResult,
    { invalid, retries }: { invalid: boolean; retries: number },
  ): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const created = await tx.run(
        `INSERT INTO bulk_results (bulk_id, number, created_at, group_id, group_version_id, deployment_id,
           error_message, error_details) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        bulkId,
        result.number,
        result.createdAt,
        result.groupId,
        result.groupVersionId,
        result.deploymentId ?? null,
        result.errorMessage ?? null,
        result.errorDetails ? JSON.stringify(result.errorDetails) : null,
      );
      if (created === 0) return;
      await tx.run(
        `UPDATE bulk_deployments SET records_processed = records_processed + 1,
           invalid_records = invalid_records + ?, retries = retries + ? WHERE bulk_id = ?`,
        invalid ? 1 : 0,
        retries,
        bulkId,
      );
    });
  }

  async listResults(bulkId: string, limit: number, after?: number): Promise<BulkResult[]> {
    const rows = await this.sql.all<ResultRow>(
      'SELECT * FROM bulk_results WHERE bulk_id = ? AND number < ? ORDER BY number DESC LIMIT ?',
      bulkId,
      after ?? Number.MAX_SAFE_INTEGER,
      limit,
    );
    return rows.map(toResult);
  }

  async setTags(bulkId: string, tags: Readonly<Record<string, string>>): Promise<void> {
    await this.sql.run(
      'UPDATE bulk_deployments SET tags = ? WHERE bulk_id = ?',
      JSON.stringify(tags),
      bulkId,
    );
  }
}

function toBulk(row: Row): BulkDeployment {
  return {
    bulkId: row.bulk_id,
    status: row.status,
    createdAt: row.created_at,
    inputFileUri: row.input_file_uri,
    executionRoleArn: row.execution_role_arn,
    tags: JSON.parse(row.tags),
    ...given('input', row.input),
    recordsProcessed: row.records_processed,
    invalidRecords: row.invalid_records,
    retries: row.retries,
    ...given('errorMessage', row.error_message),
    ...given('errorDetails', detailsOf(row.error_details)),
  };
}

function toResult(row: ResultRow): BulkResult {
  return {
    number: row.number,
    createdAt: row.created_at,
    groupId: row.group_id,
    groupVersionId: row.group_version_id,
    ...given('deploymentId', row.deployment_id),
    ...given('errorMessage', row.error_message),
    ...given('errorDetails', detailsOf(row.error_details)),
  };
}

function detailsOf(text: string | null): readonly ErrorDetail[] | undefined {
  return text === null ? undefined : JSON.parse(text);
}
