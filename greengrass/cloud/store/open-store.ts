/** Opens what the cloud keeps: SQLite and a folder of artifacts for one process, or PostgreSQL for many replicas. */
import { join } from 'node:path';
import type { Logger } from '../../lib/log.js';
import { checkPostgresUrl, explain, openPool, placeOf } from '../../lib/postgres.js';
import { ArtifactFolder } from './artifact-folder.js';
import { ArtifactTable } from './artifact-table.js';
import { type Bus, NoBus } from './bus.js';
import { type Exclusive, LocalExclusive, PostgresExclusive } from './exclusive.js';
import { PostgresBus } from './postgres-bus.js';
import { migratePostgres } from './postgres-schema.js';
import { PostgresSql } from './postgres-sql.js';
import { MIGRATIONS } from './schema.js';
import { composeStore, openSqliteStore, openSqliteStoreBeside } from './sqlite-store.js';
import type { ArtifactStore, Store } from './store.js';

/** Connections of a replica beside the two of bus and locks. */
const POOL_SIZE = 10;
/** Connections for statements that don't wait for the disk (Sql.runAhead). */
const AHEAD_POOL_SIZE = 4;

export interface OpenStoreOptions {
  /** Holds everything where there is no `databaseUrl`. */
  readonly dataFolder: string;
  /** `postgres://…`: everything is there, and the folder holds nothing of the store. */
  readonly databaseUrl?: string;
  /** For the short work of a command while the cloud runs: the data folder is not held alone. */
  readonly isBeside?: boolean;
  /** Gets what the bus has to say of a lost connection. */
  readonly log?: Logger;
}

export interface OpenedStore {
  /** Its `close` ends the connections of the other three too. */
  readonly store: Store;
  readonly artifacts: ArtifactStore;
  /** Not started yet. */
  readonly bus: Bus;
  readonly exclusive: Exclusive;
}

export async function openStore(options: OpenStoreOptions): Promise<OpenedStore> {
  if (options.databaseUrl !== undefined) return openPostgres(options.databaseUrl, options.log);
  const file = join(options.dataFolder, 'cloud.db');
  return {
    store: options.isBeside ? await openSqliteStoreBeside(file) : await openSqliteStore(file),
    artifacts: new ArtifactFolder(join(options.dataFolder, 'artifacts')),
    bus: new NoBus(),
    exclusive: new LocalExclusive(),
  };
}

async function openPostgres(url: string, log?: Logger): Promise<OpenedStore> {
  checkPostgresUrl(url);
  const place = placeOf(url);
  const pool = openPool(url, POOL_SIZE);
  try {
    await migratePostgres(pool, MIGRATIONS);
  } catch (error) {
    await pool.end();
    const explained = explain(error, place);
    throw explained === error
      ? new Error(`${place}: ${(error as Error).message}`, { cause: error })
      : explained;
  }
  const sql = new PostgresSql(pool, place, openPool(url, AHEAD_POOL_SIZE, { isAhead: true }));
  const bus = new PostgresBus({ url, pool, ...(log ? { log } : {}) });
  const exclusive = new PostgresExclusive(url);
  const store = composeStore(sql, async () => {
    await bus.stop();
    await exclusive.stop();
    await sql.close();
  });
  return { store, artifacts: new ArtifactTable(sql), bus, exclusive };
}
