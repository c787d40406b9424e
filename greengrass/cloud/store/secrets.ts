/** Secrets and their versions. Values come in sealed (vault.ts): the database never has them in the clear. */
import { given, type Sql } from './sql.js';
import { ConflictError } from './store.js';

export interface Secret {
  readonly arn: string;
  readonly name: string;
  readonly description?: string;
  readonly kmsKeyId?: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly createdAt: string;
  readonly changedAt: string;
  /** Day of the last reading. */
  readonly accessedAt?: string;
  /** When it will be gone; absent where it is not to be deleted. */
  readonly deletionAt?: string;
}

export interface SecretVersion {
  readonly versionId: string;
  readonly createdAt: string;
  /** Staging labels, such as AWSCURRENT; each stands at one version of a secret only. */
  readonly stages: readonly string[];
  readonly isBinary: boolean;
  readonly sealed: string;
}

export interface SecretStore {
  /** Rejects with ConflictError where the name is taken. */
  create(secret: Secret, versions: readonly SecretVersion[]): Promise<void>;
  /** By name or whole ARN. */
  find(nameOrArn: string): Promise<Secret | undefined>;
  /** Ordered by name, from `after` (exclusive) on. */
  list(limit: number, after?: string): Promise<Secret[]>;
  /** Oldest first. */
  versions(arn: string): Promise<SecretVersion[]>;
  /**
   * Replaces what is known of the secret but for the day of its last reading, and its versions where they are given, in
   * one transaction.
   */
  save(secret: Secret, versions?: readonly SecretVersion[]): Promise<void>;
  /** Notes the day of a reading, and touches nothing else: readers don't wait for who changes the secret. */
  noteAccess(arn: string, accessedAt: string): Promise<void>;
  delete(arn: string): Promise<void>;
}

interface Row {
  arn: string;
  name: string;
  description: string | null;
  kms_key_id: string | null;
  tags: string;
  created_at: string;
  changed_at: string;
  accessed_at: string | null;
  deletion_at: string | null;
}

interface VersionRow {
  version_id: string;
  created_at: string;
  stages: string;
  is_binary: number;
  sealed: string;
}

export class SqlSecrets implements SecretStore {
  constructor(readonly sql: Sql) {}

  create(secret: Secret, versions: readonly SecretVersion[]): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const created = await tx.run(
        `INSERT INTO secrets (arn, name, description, kms_key_id, tags, created_at, changed_at, accessed_at,
           deletion_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        secret.arn,
        secret.name,
        secret.description ?? null,
        secret.kmsKeyId ?? null,
        JSON.stringify(secret.tags),
        secret.createdAt,
        secret.changedAt,
        secret.accessedAt ?? null,
        secret.deletionAt ?? null,
      );
      if (created === 0) throw new ConflictError(`secret ${secret.name} exists already`);
      await insertVersions(tx, secret.arn, versions);
    });
  }

  async find(nameOrArn: string): Promise<Secret | undefined> {
    const row = await this.sql.get<Row>(
      'SELECT * FROM secrets WHERE arn = ? OR name = ?',
      nameOrArn,
      nameOrArn,
    );
    return row && toSecret(row);
  }

  async list(limit: number, after = ''): Promise<Secret[]> {
    const sql = 'SELECT * FROM secrets WHERE name > ? ORDER BY name LIMIT ?';
    return (await this.sql.all<Row>(sql, after, limit)).map(toSecret);
  }

  async versions(arn: string): Promise<SecretVersion[]> {
    const rows = await this.sql.all<VersionRow>(
      'SELECT * FROM secret_versions WHERE arn = ? ORDER BY created_at, version_id',
      arn,
    );
    return rows.map((row) => ({
      versionId: row.version_id,
      createdAt: row.created_at,
      stages: JSON.parse(row.stages),
      isBinary: row.is_binary === 1,
      sealed: row.sealed,
    }));
  }

  save(secret: Secret, versions?: readonly SecretVersion[]): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run(
        `UPDATE secrets SET description = ?, kms_key_id = ?, tags = ?, changed_at = ?, deletion_at = ?
         WHERE arn = ?`,
        secret.description ?? null,
        secret.kmsKeyId ?? null,
        JSON.stringify(secret.tags),
        secret.changedAt,
        secret.deletionAt ?? null,
        secret.arn,
      );
      if (!versions) return;
      await tx.run('DELETE FROM secret_versions WHERE arn = ?', secret.arn);
      await insertVersions(tx, secret.arn, versions);
    });
  }

  async noteAccess(arn: string, accessedAt: string): Promise<void> {
    await this.sql.run('UPDATE secrets SET accessed_at = ? WHERE arn = ?', accessedAt, arn);
  }

  delete(arn: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run('DELETE FROM secret_versions WHERE arn = ?', arn);
      await tx.run('DELETE FROM secrets WHERE arn = ?', arn);
    });
  }
}

async function insertVersions(tx: Sql, arn: string, versions: readonly SecretVersion[]): Promise<void> {
  for (const version of versions) {
    await tx.run(
      `INSERT INTO secret_versions (arn, version_id, created_at, stages, is_binary, sealed)
       VALUES (?, ?, ?, ?, ?, ?)`,
      arn,
      version.versionId,
      version.createdAt,
      JSON.stringify(version.stages),
      version.isBinary ? 1 : 0,
      version.sealed,
    );
  }
}

function toSecret(row: Row): Secret {
  return {
    arn: row.arn,
    name: row.name,
    ...given('description', row.description),
    ...given('kmsKeyId', row.kms_key_id),
    tags: JSON.parse(row.tags),
    createdAt: row.created_at,
    changedAt: row.changed_at,
    ...given('accessedAt', row.accessed_at),
    ...given('deletionAt', row.deletion_at),
  };
}
