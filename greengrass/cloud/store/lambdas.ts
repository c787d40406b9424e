/** Lambda functions: `$LATEST`, the published numbers, the aliases. */
import { randomUUID } from 'node:crypto';
import type { Sql } from './sql.js';
import { ConflictError, type LambdaAlias, type LambdaStore, type LambdaVersion } from './store.js';

const LATEST = '$LATEST';

interface Row {
  function_name: string;
  version: string;
  runtime: string;
  handler: string;
  role: string;
  description: string;
  timeout_s: number;
  memory_mb: number;
  environment: string;
  code_sha256_hex: string;
  code_size_bytes: number;
  revision_id: string;
  last_modified: string;
}

interface AliasRow {
  function_name: string;
  name: string;
  function_version: string;
  description: string;
  revision_id: string;
}

export class SqlLambdas implements LambdaStore {
  constructor(readonly sql: Sql) {}

  create(latest: LambdaVersion): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const created = await tx.run(
        'INSERT INTO lambda_functions (function_name, last_version) VALUES (?, 0) ON CONFLICT DO NOTHING',
        latest.functionName,
      );
      if (created === 0) throw new ConflictError(`function ${latest.functionName} exists already`);
      await insertVersion(tx, { ...latest, version: LATEST }, 0);
    });
  }

  find(functionName: string, version: string): Promise<LambdaVersion | undefined> {
    return findVersion(this.sql, functionName, version);
  }

  updateLatest(latest: LambdaVersion): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const { functionName } = latest;
      const removed = await tx.run(
        'DELETE FROM lambda_versions WHERE function_name = ? AND version = ?',
        functionName,
        LATEST,
      );
      if (removed > 0) await insertVersion(tx, { ...latest, version: LATEST }, 0);
    });
  }

  publish(functionName: string, description?: string): Promise<LambdaVersion> {
    return this.sql.transaction(async (tx) => {
      const latest = await findVersion(tx, functionName, LATEST);
      const counter = await tx.get<{ last_version: number; published_state: string | null }>(
        'SELECT last_version, published_state FROM lambda_functions WHERE function_name = ?',
        functionName,
      );
      if (!latest || !counter) throw new Error(`function ${functionName} does not exist`);
      const state = stateOf(latest);
      if (counter.published_state === state) {
        const last = await findVersion(tx, functionName, String(counter.last_version));
        if (last) return last;
      }
      const number = counter.last_version + 1;
      const published: LambdaVersion = {
        ...latest,
        version: String(number),
        description: description ?? latest.description,
        revisionId: randomUUID(),
      };
      await insertVersion(tx, published, number);
      await tx.run(
        'UPDATE lambda_functions SET last_version = ?, published_state = ? WHERE function_name = ?',
        number,
        state,
        functionName,
      );
      return published;
    });
  }

  async listFunctions(limit: number, after = ''): Promise<LambdaVersion[]> {
    const rows = await this.sql.all<Row>(
      `SELECT * FROM lambda_versions WHERE version = ? AND function_name > ? ORDER BY function_name LIMIT ?`,
      LATEST,
      after,
      limit,
    );
    return rows.map(toVersion);
  }

  async listVersions(functionName: string): Promise<LambdaVersion[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM lambda_versions WHERE function_name = ? ORDER BY number',
      functionName,
    );
    return rows.map(toVersion);
  }

  async delete(functionName: string, version?: string): Promise<void> {
    if (version !== undefined) {
      await this.sql.run(
        'DELETE FROM lambda_versions WHERE function_name = ? AND version = ?',
        functionName,
        version,
      );
      return;
    }
    await this.sql.transaction(async (tx) => {
      for (const table of ['lambda_aliases', 'lambda_versions', 'lambda_functions']) {
        await tx.run(`DELETE FROM ${table} WHERE function_name = ?`, functionName);
      }
    });
  }

  async createAlias(alias: LambdaAlias): Promise<void> {
    const created = await this.sql.run(
      `INSERT INTO lambda_aliases (function_name, name, function_version, description, revision_id)
       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      alias.functionName,
      alias.name,
      alias.functionVersion,
      alias.description,
      alias.revisionId,
    );
    if (created === 0) throw new ConflictError(`alias ${alias.name} of ${alias.functionName} exists already`);
  }

  async updateAlias(alias: LambdaAlias): Promise<void> {
    await this.sql.run(
      `UPDATE lambda_aliases SET function_version = ?, description = ?, revision_id = ?
       WHERE function_name = ? AND name = ?`,
      alias.functionVersion,
      alias.description,
      alias.revisionId,
      alias.functionName,
      alias.name,
    );
  }

  async findAlias(functionName: string, name: string): Promise<LambdaAlias | undefined> {
    const row = await this.sql.get<AliasRow>(
      'SELECT * FROM lambda_aliases WHERE function_name = ? AND name = ?',
      functionName,
      name,
    );
    return row && toAlias(row);
  }

  async listAliases(functionName: string): Promise<LambdaAlias[]> {
    const rows = await this.sql.all<AliasRow>(
      'SELECT * FROM lambda_aliases WHERE function_name = ? ORDER BY name',
      functionName,
    );
    return rows.map(toAlias);
  }

  async deleteAlias(functionName: string, name: string): Promise<void> {
    await this.sql.run('DELETE FROM lambda_aliases WHERE function_name = ? AND name = ?', functionName, name);
  }
}

/** What has to change for the next publication to make a new number. */
function stateOf(latest: LambdaVersion): string {
  const { runtime, handler, role, description, timeoutS, memoryMb, environment, codeSha256Hex } = latest;
  const variables = Object.entries(environment).sort();
  return JSON.stringify([runtime, handler, role, description, timeoutS, memoryMb, variables, codeSha256Hex]);
}

async function findVersion(
  sql: Sql,
  functionName: string,
  version: string,
): Promise<LambdaVersion | undefined> {
  const row = await sql.get<Row>(
    'SELECT * FROM lambda_versions WHERE function_name = ? AND version = ?',
    functionName,
    version,
  );
  return row && toVersion(row);
}

async function insertVersion(tx: Sql, version: LambdaVersion, number: number): Promise<void> {
  await tx.run(
    `INSERT INTO lambda_versions (function_name, version, number, runtime, handler, role, description, timeout_s,
       memory_mb, environment, code_sha256_hex, code_size_bytes, revision_id, last_modified)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    version.functionName,
    version.version,
    number,
    version.runtime,
    version.handler,
    version.role,
    version.description,
    version.timeoutS,
    version.memoryMb,
    JSON.stringify(version.environment),
    version.codeSha256Hex,
    version.codeSizeBytes,
    version.revisionId,
    version.lastModified,
  );
}

function toVersion(row: Row): LambdaVersion {
  return {
    functionName: row.function_name,
    version: row.version,
    runtime: row.runtime,
    handler: row.handler,
    role: row.role,
    description: row.description,
    timeoutS: row.timeout_s,
    memoryMb: row.memory_mb,
    environment: JSON.parse(row.environment),
    codeSha256Hex: row.code_sha256_hex,
    codeSizeBytes: row.code_size_bytes,
    revisionId: row.revision_id,
    lastModified: row.last_modified,
  };
}

function toAlias(row: AliasRow): LambdaAlias {
  return {
    functionName: row.function_name,
    name: row.name,
    functionVersion: row.function_version,
    description: row.description,
    revisionId: row.revision_id,
  };
}
