/** Backup from and restore to a PostgreSQL database. */
import { connect, explain, type PostgresClient, placeOf } from '../../lib/postgres.js';
import { insertArtifact, readArtifact } from './artifact-table.js';
import {
  type Artifact,
  checkSchemaVersion,
  type DumpSource,
  type DumpTarget,
  dumpedTables,
  type Row,
  tablesAt,
} from './dump.js';
import { readMasterKey, writeMasterKey } from './dump-sqlite.js';
import { applyNext, schemaVersionOf, VERSIONS } from './postgres-schema.js';
import { Statements } from './postgres-sql.js';
import { MIGRATIONS } from './schema.js';

/** Rows that are fetched at once. */
const FETCHED = 100;

export interface PostgresPlace {
  readonly url: string;
  /** Where the replicas' master.key is, if there is one. */
  readonly dataFolder?: string;
}

/** Runs `work` on one moment of the database; replicas may run on it meanwhile. */
export async function fromPostgres<T>(
  { url, dataFolder }: PostgresPlace,
  work: (source: DumpSource) => Promise<T>,
): Promise<T> {
  return connected(url, async (client) => {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const schemaVersion = await schemaVersionOf(client);
    checkSchemaVersion(schemaVersion, placeOf(url));
    const sql = new Statements(client);
    const masterKey = dataFolder === undefined ? undefined : readMasterKey(dataFolder);
    return work({
      schemaVersion,
      artifacts: await sql.all<Artifact>('SELECT sha256, size FROM artifacts ORDER BY sha256'),
      ...(masterKey ? { masterKey } : {}),
      rows: (table) => rowsOf(client, table),
      artifact: (sha256) => readArtifact(sql, sha256),
    });
  });
}

async function* rowsOf(client: PostgresClient, table: string): AsyncGenerator<Row> {
  await client.query(`DECLARE dump NO SCROLL CURSOR FOR SELECT * FROM "${table}"`);
  for (;;) {
    const { rows } = await client.query(`FETCH ${FETCHED} FROM dump`);
    yield* rows as Row[];
    if (rows.length < FETCHED) break;
  }
  await client.query('CLOSE dump');
}

/**
 * Lets `fill` put a store of `schemaVersion` into the database, which holds none, and brings it to the present tables:
 * one transaction.
 */
export async function intoPostgres(
  { url, dataFolder }: PostgresPlace,
  schemaVersion: number,
  fill: (target: DumpTarget) => Promise<void>,
): Promise<void> {
  let takeKeyOut = () => {};
  await connected(url, async (client) => {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    try {
      await dropEmpty(client, placeOf(url));
      while (await applyNext(client, MIGRATIONS.slice(0, schemaVersion)));
      const sql = new Statements(client);
      await fill({
        sql,
        putArtifact: ({ sha256, size }, content) => insertArtifact(sql, sha256, size, content),
        putMasterKey(key) {
          if (dataFolder === undefined) {
            throw new Error(
              'the backup holds a master.key: name the data folder of the replicas too (--data DIR)',
            );
          }
          takeKeyOut = writeMasterKey(dataFolder, key);
        },
      });
      while (await applyNext(client, MIGRATIONS));
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {});
      takeKeyOut();
      throw error;
    }
  });
}

/** Makes way for the backup's own version of the tables; refuses where one of them holds a row. */
async function dropEmpty(client: PostgresClient, place: string): Promise<void> {
  const schemaVersion = await schemaVersionOf(client);
  if (schemaVersion === 0) return;
  checkSchemaVersion(schemaVersion, place);
  const tables = [...tablesAt(schemaVersion).keys()];
  await client.query(`LOCK TABLE ${VERSIONS}, ${tables.map((table) => `"${table}"`).join(', ')}`);
  for (const table of [...dumpedTables(schemaVersion).keys(), 'artifacts']) {
    const { rows } = await client.query(`SELECT EXISTS (SELECT 1 FROM "${table}") AS used`);
    if (!(rows[0] as { used: boolean }).used) continue;
    throw new Error(
      `${place} is not empty (table ${table}): a backup goes into an empty database only. Name another.`,
    );
  }
  for (const table of [...tables, VERSIONS]) await client.query(`DROP TABLE "${table}"`);
}

async function connected<T>(url: string, work: (client: PostgresClient) => Promise<T>): Promise<T> {
  const client = await connect(url);
  try {
    return await work(client);
  } catch (error) {
    throw explain(error, placeOf(url));
  } finally {
    await client.end().catch(() => {});
  }
}
