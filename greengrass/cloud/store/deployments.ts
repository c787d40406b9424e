/** Deployments of groups, counted upwards within a group; the index of devices that discovery asks for. */
import {
  type DeploymentStatus,
  type DeploymentType,
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

  create(deployment: Deployment): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const created = await tx.run(
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
      if (created === 0) throw new ConflictError(`deployment ${deployment.deploymentId} exists already`);
      if (deployment.document !== undefined) {
        await indexDevices(tx, deployment.deploymentId, deployment.document);
      }
    });
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

  setStatus(
    deploymentId: string,
    status: DeploymentStatus,
    at: string,
    error?: { message: string; details: readonly ErrorDetail[] },
  ): Promise<boolean> {
    return this.sql.transaction(async (tx) => {
      const row = await tx.get<Pick<Row, 'status'>>(
        'SELECT status FROM deployments WHERE deployment_id = ?',
        deploymentId,
      );
      if (!row || !mayFollow(row.status, status)) return false;
      await tx.run(
        `UPDATE deployments SET status = ?, updated_at = ?, error_message = ?, error_details = ?
         WHERE deployment_id = ?`,
        status,
        at,
        error?.message ?? null,
        error ? JSON.stringify(error.details) : null,
        deploymentId,
      );
      return true;
    });
  }

  setDocument(deploymentId: string, document: string, coreThingName: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run(
        'UPDATE deployments SET document = ?, core_thing_name = ? WHERE deployment_id = ?',
        document,
        coreThingName,
        deploymentId,
      );
      await indexDevices(tx, deploymentId, document);
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
}

async function indexDevices(tx: Sql, deploymentId: string, document: string): Promise<void> {
  const { Devices = [] } = JSON.parse(document) as { Devices?: ReadonlyArray<{ thingArn: string }> };
  await tx.run('DELETE FROM deployment_devices WHERE deployment_id = ?', deploymentId);
  for (const { thingArn } of Devices) {
    await tx.run(
      'INSERT INTO deployment_devices (thing_arn, deployment_id) VALUES (?, ?) ON CONFLICT DO NOTHING',
      thingArn,
      deploymentId,
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
