/** Deployments of groups, counted upwards within a group; the index of devices that discovery asks for. */
import {
  type DeploymentStatus,
  type DeploymentType,
  deploymentStatus,
  type ErrorDetail,
  mayFollow,
} from '../../model/deployment.js';
import { given, type Sql } from './sql.js';
import { ConflictError, type Deployment, type DeploymentStore } from './store.js';

interface Row {
  deployment_id: string;
  group_id: string;
  group_version_id: string | null;
  type: DeploymentType;
  status: DeploymentStatus;
  created_at: string;
  updated_at: string;
  core_thing_name: string | null;
  error_message: string | null;
  error_details: string | null;
  document: string | null;
}

/**
 * What a core runs: the last success of its group, unless a reset came after it. A reset counts from the moment it
 * was asked for, however it ended: V1's cloud forgets first, and tells the core then.
 */
const IS_DEPLOYED = `d.status = 'Success' AND d.type IN ('NewDeployment', 'Redeployment') AND NOT EXISTS (
  SELECT 1 FROM deployments later WHERE later.group_id = d.group_id AND later.number > d.number
  AND (later.status = 'Success' OR later.type IN ('ResetDeployment', 'ForceResetDeployment')))`;

export class SqlDeployments implements DeploymentStore {
  constructor(readonly sql: Sql) {}

  create(deployment: Deployment, { isFollowed = false } = {}): Promise<void> {
    const devices = devicesOf(deployment.document);
    // One statement is a transaction by itself, and one round trip.
    if (devices.length === 0) return insert(this.sql, deployment, isFollowed);
    return this.sql.transaction(
      async (tx) => {
        await insert(tx, deployment);
        await indexDevices(tx, deployment.deploymentId, devices);
      },
      { isOnlyWriting: true },
    );
  }

  async find(groupId: string, deploymentId: string): Promise<Deployment | undefined> {
    const row = await this.sql.get<Row>(
      'SELECT * FROM deployments WHERE group_id = ? AND deployment_id = ?',
      groupId,
      deploymentId,
    );
    return row && toDeployment(row);
  }

  async findById(deploymentId: string): Promise<Deployment | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM deployments WHERE deployment_id = ?', deploymentId);
    return row && toDeployment(row);
  }

  async setStatus(
    deploymentId: string,
    status: DeploymentStatus,
    at: string,
    error?: { message: string; details: readonly ErrorDetail[] },
  ): Promise<boolean> {
    const from = deploymentStatus.options.filter((before) => mayFollow(before, status));
    if (from.length === 0) return false;
    const changed = await this.sql.run(
      `UPDATE deployments SET status = ?, updated_at = ?, error_message = ?, error_details = ?
       WHERE deployment_id = ? AND status IN (${from.map(() => '?').join(', ')})`,
      status,
      at,
      error?.message ?? null,
      error ? JSON.stringify(error.details) : null,
      deploymentId,
      ...from,
    );
    return changed > 0;
  }

  async supersedeOpen(groupId: string, byDeploymentId: string, at: string): Promise<void> {
    const words = `'Deployment ' || deployment_id || ' of type ' || type || ' for group ' || group_id
      || ' was superseded by deployment ' || CAST(? AS TEXT) || ' before its core had finished it.'`;
    await this.sql.runAhead(
      `UPDATE deployments SET status = 'Failure', updated_at = ?, error_message = ${words}, error_details =
         '[{"DetailedErrorCode":"SUPERSEDED","DetailedErrorMessage":"' || ${words} || '"}]'
       WHERE group_id = ? AND status IN ('Building', 'InProgress') AND deployment_id <> ?`,
      at,
      byDeploymentId,
      byDeploymentId,
      groupId,
      byDeploymentId,
    );
  }

  setDocument(deploymentId: string, document: string, coreThingName: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run(
        'UPDATE deployments SET document = ?, core_thing_name = ? WHERE deployment_id = ?',
        document,
        coreThingName,
        deploymentId,
      );
      await tx.run('DELETE FROM deployment_devices WHERE deployment_id = ?', deploymentId);
      await indexDevices(tx, deploymentId, devicesOf(document));
    });
  }

  async list(groupId: string, limit: number, after?: string): Promise<Deployment[]> {
    const rows =
      after === undefined
        ? await this.sql.all<Row>(
            'SELECT * FROM deployments WHERE group_id = ? ORDER BY number DESC LIMIT ?',
            groupId,
            limit,
          )
        : await this.sql.all<Row>(
            `SELECT * FROM deployments WHERE group_id = ? AND number <
               (SELECT number FROM deployments WHERE group_id = ? AND deployment_id = ?)
             ORDER BY number DESC LIMIT ?`,
            groupId,
            groupId,
            after,
            limit,
          );
    return rows.map(toDeployment);
  }

  async findOpen(groupId: string): Promise<Deployment | undefined> {
    const row = await this.sql.get<Row>(
      `SELECT * FROM deployments WHERE group_id = ? AND status IN ('Building', 'InProgress')
       ORDER BY number DESC LIMIT 1`,
      groupId,
    );
    return row && toDeployment(row);
  }

  async groupsWithOpen(limit: number, after = ''): Promise<string[]> {
    const rows = await this.sql.all<Pick<Row, 'group_id'>>(
      `SELECT DISTINCT group_id FROM deployments WHERE status IN ('Building', 'InProgress') AND group_id > ?
       ORDER BY group_id LIMIT ?`,
      after,
      limit,
    );
    return rows.map((row) => row.group_id);
  }

  async findDeployed(groupId: string): Promise<Deployment | undefined> {
    const row = await this.sql.get<Row>(
      `SELECT d.* FROM deployments d WHERE d.group_id = ? AND ${IS_DEPLOYED}`,
      groupId,
    );
    return row && toDeployment(row);
  }

  async findGroupOfCore(coreThingName: string): Promise<string | undefined> {
    const row = await this.sql.get<Pick<Row, 'group_id'>>(
      `SELECT d.group_id FROM deployments d WHERE d.core_thing_name = ? AND (${IS_DEPLOYED}
         OR d.status = 'InProgress' AND d.type IN ('NewDeployment', 'Redeployment'))
       ORDER BY d.created_at DESC LIMIT 1`,
      coreThingName,
    );
    return row?.group_id;
  }

  async findDeployedWithDevice(thingArn: string): Promise<Deployment[]> {
    const rows = await this.sql.all<Row>(
      `SELECT d.* FROM deployment_devices v JOIN deployments d ON d.deployment_id = v.deployment_id
       WHERE v.thing_arn = ? AND ${IS_DEPLOYED} ORDER BY d.group_id`,
      thingArn,
    );
    return rows.map(toDeployment);
  }

  async coresWithDevice(thingArn: string): Promise<string[]> {
    const rows = await this.sql.all<{ core: string }>(
      `SELECT DISTINCT d.core_thing_name AS core FROM deployment_devices v
         JOIN deployments d ON d.deployment_id = v.deployment_id
       WHERE v.thing_arn = ? AND d.core_thing_name IS NOT NULL AND (${IS_DEPLOYED} OR d.status = 'InProgress')`,
      thingArn,
    );
    return rows.map(({ core }) => core);
  }
}

/**
 * Two that come at the same moment (of different replicas, without the group's lock) may count the same number: the later
 * one is not inserted, and counts again.
 */
async function insert(sql: Sql, deployment: Deployment, isAhead = false): Promise<void> {
  const { deploymentId } = deployment;
  const isThere = 'SELECT 1 AS found FROM deployments WHERE deployment_id = ?';
  while ((await tryInsert(sql, deployment, isAhead)) === 0) {
    if (await sql.get(isThere, deploymentId)) {
      throw new ConflictError(`deployment ${deploymentId} exists already`);
    }
  }
}

function tryInsert(sql: Sql, deployment: Deployment, isAhead: boolean): Promise<number> {
  const run = isAhead ? sql.runAhead.bind(sql) : sql.run.bind(sql);
  return run(
    `INSERT INTO deployments (deployment_id, group_id, number, group_version_id, type, status, created_at,
       updated_at, core_thing_name, error_message, error_details, document)
     SELECT ?, ?, COALESCE(MAX(number), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM deployments WHERE group_id = ?
     ON CONFLICT DO NOTHING`,
    deployment.deploymentId,
    deployment.groupId,
    deployment.groupVersionId ?? null,
    deployment.type,
    deployment.status,
    deployment.createdAt,
    deployment.updatedAt,
    deployment.coreThingName ?? null,
    deployment.errorMessage ?? null,
    deployment.errorDetails === undefined ? null : JSON.stringify(deployment.errorDetails),
    deployment.document ?? null,
    deployment.groupId,
  );
}

/** ARNs of the things that are devices of the group. */
function devicesOf(document: string | undefined): string[] {
  if (document === undefined) return [];
  const { Devices = [] } = JSON.parse(document) as { Devices?: ReadonlyArray<{ thingArn: string }> };
  return Devices.map(({ thingArn }) => thingArn);
}

/** Devices that one statement adds. */
const ROWS = 50;

async function indexDevices(tx: Sql, deploymentId: string, devices: readonly string[]): Promise<void> {
  for (let start = 0; start < devices.length; start += ROWS) {
    const some = devices.slice(start, start + ROWS);
    await tx.run(
      `INSERT INTO deployment_devices (thing_arn, deployment_id) VALUES ${some.map(() => '(?, ?)').join(', ')}
       ON CONFLICT DO NOTHING`,
      ...some.flatMap((thingArn) => [thingArn, deploymentId]),
    );
  }
}

function toDeployment(row: Row): Deployment {
  const details: readonly ErrorDetail[] | null = row.error_details && JSON.parse(row.error_details);
  return {
    deploymentId: row.deployment_id,
    groupId: row.group_id,
    ...given('groupVersionId', row.group_version_id),
    type: row.type,
    status: row.status,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    ...given('coreThingName', row.core_thing_name),
    ...given('errorMessage', row.error_message),
    ...given('errorDetails', details),
    ...given('document', row.document),
  };
}
