/** Versions of policies: at most five of each, one the default, whose document is what the policy says. */
import type { Sql } from './sql.js';

export interface PolicyVersion {
  readonly policyName: string;
  /** Counted up from 1, as text. */
  readonly versionId: string;
  readonly document: string;
  readonly createdAt: string;
}

export interface PolicyVersionStore {
  /** Keeps a further version under the next number; undefined where the policy has `limit` of them already. */
  create(
    version: Omit<PolicyVersion, 'versionId'>,
    options: { readonly asDefault: boolean; readonly limit: number },
  ): Promise<PolicyVersion | undefined>;
  find(policyName: string, versionId: string): Promise<PolicyVersion | undefined>;
  /** Newest first. */
  list(policyName: string): Promise<PolicyVersion[]>;
  /** The policy says from now on what this version says. */
  setDefault(version: PolicyVersion): Promise<void>;
  delete(policyName: string, versionId: string): Promise<void>;
}

interface Row {
  policy_name: string;
  number: number;
  document: string;
  created_at: string;
}

export class SqlPolicyVersions implements PolicyVersionStore {
  constructor(readonly sql: Sql) {}

  create(
    version: Omit<PolicyVersion, 'versionId'>,
    { asDefault, limit }: { asDefault: boolean; limit: number },
  ): Promise<PolicyVersion | undefined> {
    return this.sql.transaction(async (tx) => {
      const { policyName, document, createdAt } = version;
      const numbers = await tx.all<Pick<Row, 'number'>>(
        'SELECT number FROM policy_versions WHERE policy_name = ?',
        policyName,
      );
      if (numbers.length >= limit) return undefined;
      const highest = await tx.get<{ last_number: number }>(
        'SELECT last_number FROM policies WHERE policy_name = ?',
        policyName,
      );
      const number = (highest?.last_number ?? 0) + 1;
      await tx.run('UPDATE policies SET last_number = ? WHERE policy_name = ?', number, policyName);
      await tx.run(
        'INSERT INTO policy_versions (policy_name, number, document, created_at) VALUES (?, ?, ?, ?)',
        policyName,
        number,
        document,
        createdAt,
      );
      const made = { ...version, versionId: String(number) };
      if (asDefault) await makeDefault(tx, made);
      return made;
    });
  }

  async find(policyName: string, versionId: string): Promise<PolicyVersion | undefined> {
    if (!/^[1-9]\d{0,9}$/.test(versionId)) return undefined;
    const row = await this.sql.get<Row>(
      'SELECT * FROM policy_versions WHERE policy_name = ? AND number = ?',
      policyName,
      Number(versionId),
    );
    return row && toVersion(row);
  }

  async list(policyName: string): Promise<PolicyVersion[]> {
    const sql = 'SELECT * FROM policy_versions WHERE policy_name = ? ORDER BY number DESC';
    return (await this.sql.all<Row>(sql, policyName)).map(toVersion);
  }

  setDefault(version: PolicyVersion): Promise<void> {
    return makeDefault(this.sql, version);
  }

  async delete(policyName: string, versionId: string): Promise<void> {
    const sql = 'DELETE FROM policy_versions WHERE policy_name = ? AND number = ?';
    await this.sql.run(sql, policyName, Number(versionId));
  }
}

async function makeDefault(sql: Sql, { policyName, versionId, document }: PolicyVersion): Promise<void> {
  await sql.run(
    'UPDATE policies SET document = ?, version_id = ? WHERE policy_name = ?',
    document,
    versionId,
    policyName,
  );
}

function toVersion(row: Row): PolicyVersion {
  return {
    policyName: row.policy_name,
    versionId: String(row.number),
    document: row.document,
    createdAt: row.created_at,
  };
}
