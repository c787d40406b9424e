/** The audit log: every request that could have changed something, who made it, and how it ended. */
import { given, type Sql, type SqlValue } from './sql.js';

export interface AuditEntry {
  /** ISO 8601. */
  readonly at: string;
  readonly requestId: string;
  /** ARN of the caller; `anonymous` where the service runs without signatures. */
  readonly principal: string;
  readonly accessKeyId: string;
  readonly remoteAddress: string;
  /** Such as `greengrass`. */
  readonly service: string;
  readonly operation: string;
  /** The path of the request, without its query. */
  readonly resource: string;
  /** HTTP status of the answer. */
  readonly status: number;
  readonly errorType?: string;
  readonly errorMessage?: string;
}

export interface AuditFilter {
  /** ISO 8601, inclusive; absent: from the beginning. */
  readonly since?: string;
  readonly operation?: string;
  readonly principal?: string;
  /** The newest so many. */
  readonly limit: number;
}

export interface AuditStore {
  add(entry: AuditEntry): Promise<void>;
  /** Oldest first. */
  list(filter: AuditFilter): Promise<AuditEntry[]>;
  /** Forgets what is older; answers how many. */
  deleteBefore(at: string): Promise<number>;
}

interface Row {
  at: string;
  request_id: string;
  principal: string;
  access_key_id: string;
  remote_address: string;
  service: string;
  operation: string;
  resource: string;
  status: number;
  error_type: string | null;
  error_message: string | null;
}

export class SqlAudit implements AuditStore {
  constructor(readonly sql: Sql) {}

  async add(entry: AuditEntry): Promise<void> {
    await this.sql.run(
      `INSERT INTO audit_log (at, request_id, principal, access_key_id, remote_address, service, operation,
         resource, status, error_type, error_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      entry.at,
      entry.requestId,
      entry.principal,
      entry.accessKeyId,
      entry.remoteAddress,
      entry.service,
      entry.operation,
      entry.resource,
      entry.status,
      entry.errorType ?? null,
      entry.errorMessage ?? null,
    );
  }

  async list({ since, operation, principal, limit }: AuditFilter): Promise<AuditEntry[]> {
    const rules: Array<[string, SqlValue | undefined]> = [
      ['at >= ?', since],
      ['operation = ?', operation],
      ['principal = ?', principal],
    ];
    const wanted = rules.flatMap(([rule, value]) => (value === undefined ? [] : [{ rule, value }]));
    const where = wanted.length === 0 ? '' : `WHERE ${wanted.map(({ rule }) => rule).join(' AND ')}`;
    const rows = await this.sql.all<Row>(
      `SELECT * FROM audit_log ${where} ORDER BY at DESC, request_id DESC LIMIT ?`,
      ...wanted.map(({ value }) => value),
      limit,
    );
    return rows.reverse().map(toEntry);
  }

  deleteBefore(at: string): Promise<number> {
    return this.sql.run('DELETE FROM audit_log WHERE at < ?', at);
  }
}

function toEntry(row: Row): AuditEntry {
  return {
    at: row.at,
    requestId: row.request_id,
    principal: row.principal,
    accessKeyId: row.access_key_id,
    remoteAddress: row.remote_address,
    service: row.service,
    operation: row.operation,
    resource: row.resource,
    status: row.status,
    ...given('errorType', row.error_type),
    ...given('errorMessage', row.error_message),
  };
}
