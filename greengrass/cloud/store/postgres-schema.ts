/** Brings a PostgreSQL database to the tables that schema.ts describes for both databases. */
import type { PostgresPool, PostgresPoolClient } from '../../lib/postgres.js';

/** The lock under which one program at a time changes tables; any number that nobody else takes. */
const MIGRATION_LOCK = 7_121_018_391;

/** The table of applied versions: its highest number is the schema's version. */
export const VERSIONS = 'schema_versions';

/**
 * Applies what is missing, each migration in a transaction; replicas that start together wait for each other. A
 * database that a newer program made is refused.
 */
export async function migratePostgres(pool: PostgresPool, migrations: readonly string[]): Promise<void> {
  const client = await pool.connect();
  let broken = true;
  try {
    for (let isBehind = true; isBehind; ) {
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
      try {
        isBehind = await applyNext(client, migrations);
        await client.query('COMMIT');
      } catch (error) {
        await client.query('ROLLBACK');
        throw error;
      }
    }
    broken = false;
  } finally {
    client.release(broken);
  }
}

/** Applies one migration inside the open transaction; answers whether there was one to apply. */
export async function applyNext(
  client: Pick<PostgresPoolClient, 'query'>,
  migrations: readonly string[],
): Promise<boolean> {
  await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${VERSIONS} (version BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL)`,
  );
  const done = await schemaVersionOf(client);
  if (done > migrations.length) {
    throw new Error(
      `the database's schema version ${done} is newer than this program knows (${migrations.length}): ` +
        'start the version of greengrass-cloud that made it, or a newer one',
    );
  }
  const next = migrations[done];
  if (next === undefined) return false;
  await client.query(toPostgres(next));
  await client.query(`INSERT INTO ${VERSIONS} VALUES ($1, now())`, [done + 1]);
  return true;
}

/** The version of the database's tables; 0 where it has none. */
export async function schemaVersionOf(client: Pick<PostgresPoolClient, 'query'>): Promise<number> {
  const found = await client.query(`SELECT to_regclass('${VERSIONS}') IS NOT NULL AS found`);
  if (!(found.rows[0] as { found: boolean }).found) return 0;
  const { rows } = await client.query(`SELECT COALESCE(MAX(version), 0) AS version FROM ${VERSIONS}`);
  return (rows[0] as { version: number }).version;
}

/**
 * The migration's types in PostgreSQL's words: integers of eight bytes, and texts that are ordered by their bytes as
 * SQLite does, whatever the language of the database.
 */
export function toPostgres(migration: string): string {
  return migration
    .replaceAll(/\bINTEGER\b/g, 'BIGINT')
    .replaceAll(/\bBLOB\b/g, 'BYTEA')
    .replaceAll(/(?<!\bAS\s+)\bTEXT\b/g, 'TEXT COLLATE "C"');
}
