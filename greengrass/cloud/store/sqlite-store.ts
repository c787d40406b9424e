/** The cloud's state in one SQLite file. */
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Database, openDatabase } from '../../lib/sqlite.js';
import { SqlAudit } from './audit.js';
import { SqlAuthorities } from './authorities.js';
import { SqlBulkDeployments } from './bulk-deployments.js';
import { SqlCertificates } from './certificates.js';
import { SqlConnectivity } from './connectivity.js';
import { SqlContainers } from './containers.js';
import { SqlDeployments } from './deployments.js';
import { SqlJobExecutions } from './job-executions.js';
import { SqlJobs } from './jobs.js';
import { SqlLambdas } from './lambdas.js';
import { SqlPolicies } from './policies.js';
import { SqlPolicyVersions } from './policy-versions.js';
import { SqlRetained } from './retained.js';
import { SqlRoleSessions } from './role-sessions.js';
import { SqlRoles } from './roles.js';
import { SqlRuntimeConfigurations } from './runtime-configurations.js';
import { MIGRATIONS } from './schema.js';
import { SqlSecrets } from './secrets.js';
import { SqlSessions } from './sessions.js';
import { SqlSettings } from './settings.js';
import { SqlShadows } from './shadows.js';
import { SqlSoftware } from './software.js';
import type { Sql } from './sql.js';
import { SqliteSql } from './sqlite-sql.js';
import type { Store } from './store.js';
import { SqlThingGroups } from './thing-groups.js';
import { SqlThingTypes } from './thing-types.js';
import { SqlThings } from './things.js';
import { SqlTokens } from './tokens.js';

/**
 * Opens (and creates) the store at `path`. The file holds private keys of group CAs: only its owner may read it. One
 * process holds it as long as it is open, since two over one state would not see each other's cores; a backup, which
 * only reads, may read it meanwhile.
 */
export async function openSqliteStore(path: string): Promise<Store> {
  const { sql, close } = openSqlite(path);
  return composeStore(sql, close);
}

/** For a command's short work beside a running cloud: SQLite lets both write, one after the other. */
export async function openSqliteStoreBeside(path: string): Promise<Store> {
  if (!existsSync(path))
    throw new Error(`${path} does not exist: start greengrass-cloud on this folder once`);
  const sql = new SqliteSql(path, MIGRATIONS);
  return composeStore(sql, () => sql.close());
}

/** The same, before the aggregates. */
function openSqlite(path: string): { sql: Sql; close: () => Promise<void> } {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = holdAlone(folder, path);
  try {
    closeSync(openSync(path, 'a', 0o600));
    const sql = new SqliteSql(path, MIGRATIONS);
    return {
      sql,
      async close() {
        await sql.close();
        lock.close();
      },
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

/**
 * Locks `cloud.lock` in the data folder until it is closed: an empty SQLite file, since SQLite's locks end with the
 * process, also by kill -9. `path` is what the error names.
 */
export function holdAlone(folder: string, path: string): Database {
  const file = join(folder, 'cloud.lock');
  closeSync(openSync(file, 'a', 0o600));
  let db: Database | undefined;
  try {
    db = openDatabase(file, { migrations: [] });
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN IMMEDIATE; COMMIT');
    return db;
  } catch (error) {
    db?.close();
    if (!(error instanceof Error) || !error.message.includes('database is locked')) throw error;
    throw new Error(`${path} is in use: another greengrass-cloud runs on this data folder. Stop it first.`, {
      cause: error.cause,
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
    policyVersions: new SqlPolicyVersions(sql),
    settings: new SqlSettings(sql),
    roleSessions: new SqlRoleSessions(sql),
    audit: new SqlAudit(sql),
    runtimeConfigurations: new SqlRuntimeConfigurations(sql),
    bulkDeployments: new SqlBulkDeployments(sql),
    jobs: new SqlJobs(sql),
    jobExecutions: new SqlJobExecutions(sql),
    software: new SqlSoftware(sql),
    secrets: new SqlSecrets(sql),
    sessions: new SqlSessions(sql),
    retained: new SqlRetained(sql),
    thingTypes: new SqlThingTypes(sql),
    thingGroups: new SqlThingGroups(sql),
    close,
  };
}
