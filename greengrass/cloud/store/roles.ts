/** The service role of the account and the roles of groups. */
import type { Sql } from './sql.js';
import type { Role, RoleStore } from './store.js';

export class SqlRoles implements RoleStore {
  constructor(readonly sql: Sql) {}

  async find(scope: string): Promise<Role | undefined> {
    const row = await this.sql.get<{ role_arn: string; associated_at: string }>(
      'SELECT role_arn, associated_at FROM roles WHERE scope = ?',
      scope,
    );
    return row && { roleArn: row.role_arn, associatedAt: row.associated_at };
  }

  async put(scope: string, role: Role): Promise<void> {
    await this.sql.run(
      `INSERT INTO roles (scope, role_arn, associated_at) VALUES (?, ?, ?)
       ON CONFLICT (scope) DO UPDATE SET role_arn = excluded.role_arn, associated_at = excluded.associated_at`,
      scope,
      role.roleArn,
      role.associatedAt,
    );
  }

  async delete(scope: string): Promise<void> {
    await this.sql.run('DELETE FROM roles WHERE scope = ?', scope);
  }
}
