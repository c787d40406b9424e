/** The cloud's state in one SQLite file. */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Database, openDatabase } from '../../lib/sqlite.js';
import { SqlAuthorities } from './authorities.js';
import { SqlCertificates } from './certificates.js';
import { SqlConnectivity } from './connectivity.js';
import { SqlContainers } from './containers.js';
import { SqlDeployments } from './deployments.js';
import { SqlLambdas } from './lambdas.js';
import { SqlPolicies } from './policies.js';
import { SqlRoles } from './roles.js';
import { MIGRATIONS } from './schema.js';
import { SqlSettings } from './settings.js';
import { SqlShadows } from './shadows.js';
import type { Sql } from './sql.js';
import { SqliteSql } from './sqlite-sql.js';
import type { Store } from './store.js';
import { SqlThings } from './things.js';
import { SqlTokens } from './tokens.js';

/**
 * Opens (and creates) the store at `path`. The file holds private keys of group CAs: only its owner may read it. It is
 * held alone as long as it is open: two processes over one state would not see each other's cores.
 */
export async function openSqliteStore(path: string): Promise<Store> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  closeSync(openSync(path, 'a', 0o600));
  const sql = new SqliteSql(openAlone(path));
  return composeStore(sql, () => sql.close());
}

function openAlone(path: string): Database {
  try {
    const db = openDatabase(path, { migrations: MIGRATIONS });
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN IMMEDIATE; COMMIT');
    return db;
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('database is locked')) throw error;
    throw new Error(`${path} is in use: another greengrass-cloud runs on this data folder. Stop it first.`, {
      cause: error,
    });
  }
}

/** The aggregates over any driver. */
export function composeStore(sql: Sql, close: () => Promise<void>): Store {
  return {
    things: new SqlThings(sql),
    certificates: new SqlCertificates(sql),
    policies: new SqlPolicies(sql),
    containers: new SqlContainers(sql),
    deployments: new SqlDeployments(sql),
    authorities: new SqlAuthorities(sql),
    connectivity: new SqlConnectivity(sql),
    lambdas: new SqlLambdas(sql),
    shadows: new SqlShadows(sql),
    roles: new SqlRoles(sql),
    tokens: new SqlTokens(sql),
    settings: new SqlSettings(sql),
    close,
  };
}
