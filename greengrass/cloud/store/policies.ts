/** AWS IoT policies, and the certificates that they are attached to. */
import type { Sql } from './sql.js';
import { ConflictError, type Policy, type PolicyStore } from './store.js';

interface Row {
  policy_name: string;
  policy_arn: string;
  document: string;
  version_id: string;
  created_at: string;
}

export class SqlPolicies implements PolicyStore {
  constructor(readonly sql: Sql) {}

  create(policy: Policy): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const created = await tx.run(
        `INSERT INTO policies (policy_name, policy_arn, document, version_id, created_at)
         VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        policy.policyName,
        policy.policyArn,
        policy.document,
        policy.versionId,
        policy.createdAt,
      );
      if (created === 0) throw new ConflictError(`policy ${policy.policyName} exists already`);
      await tx.run(
        'INSERT INTO policy_versions (policy_name, number, document, created_at) VALUES (?, 1, ?, ?)',
        policy.policyName,
        policy.document,
        policy.createdAt,
      );
    });
  }

  async find(policyName: string): Promise<Policy | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM policies WHERE policy_name = ?', policyName);
    return row && toPolicy(row);
  }

  delete(policyName: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run('DELETE FROM policy_targets WHERE policy_name = ?', policyName);
      await tx.run('DELETE FROM policy_versions WHERE policy_name = ?', policyName);
      await tx.run('DELETE FROM policies WHERE policy_name = ?', policyName);
    });
  }

  async list(limit: number, after = ''): Promise<Policy[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM policies WHERE policy_name > ? ORDER BY policy_name LIMIT ?',
      after,
      limit,
    );
    return rows.map(toPolicy);
  }

  async attach(policyName: string, certificateId: string): Promise<void> {
    await this.sql.run(
      'INSERT INTO policy_targets (policy_name, certificate_id) VALUES (?, ?) ON CONFLICT DO NOTHING',
      policyName,
      certificateId,
    );
  }

  async detach(policyName: string, certificateId: string): Promise<void> {
    await this.sql.run(
      'DELETE FROM policy_targets WHERE policy_name = ? AND certificate_id = ?',
      policyName,
      certificateId,
    );
  }

  async policiesOf(certificateId: string): Promise<Policy[]> {
    const rows = await this.sql.all<Row>(
      `SELECT p.* FROM policies p JOIN policy_targets t ON t.policy_name = p.policy_name
       WHERE t.certificate_id = ? ORDER BY p.policy_name`,
      certificateId,
    );
    return rows.map(toPolicy);
  }

  async targetsOf(policyName: string): Promise<string[]> {
    const rows = await this.sql.all<{ certificate_id: string }>(
      'SELECT certificate_id FROM policy_targets WHERE policy_name = ? ORDER BY certificate_id',
      policyName,
    );
    return rows.map((row) => row.certificate_id);
  }
}

function toPolicy(row: Row): Policy {
  return {
    policyName: row.policy_name,
    policyArn: row.policy_arn,
    document: row.document,
    versionId: row.version_id,
    createdAt: row.created_at,
  };
}
