/** Facts about this installation, and its access keys. */
import { SharedRead } from './shared-read.js';
import type { Sql } from './sql.js';
import { type AccessKey, ConflictError, type SettingStore } from './store.js';

export class SqlSettings implements SettingStore {
  readonly #accessKeys = new SharedRead(() => this.#readAccessKeys());

  constructor(readonly sql: Sql) {}

  async get(name: string): Promise<string | undefined> {
    const row = await this.sql.get<{ value: string }>('SELECT value FROM settings WHERE name = ?', name);
    return row?.value;
  }

  async set(name: string, value: string): Promise<void> {
    await this.sql.run(
      `INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      name,
      value,
    );
  }

  /** Asked for with every request: requests of one moment share the answer. */
  accessKeys(): Promise<AccessKey[]> {
    return this.#accessKeys.get();
  }

  async #readAccessKeys(): Promise<AccessKey[]> {
    const rows = await this.sql.all<{
      access_key_id: string;
      secret_access_key: string;
      created_at: string;
      status: 'Active' | 'Inactive';
      description: string;
    }>('SELECT * FROM access_keys ORDER BY created_at, access_key_id');
    return rows.map((row) => ({
      accessKeyId: row.access_key_id,
      secretAccessKey: row.secret_access_key,
      createdAt: row.created_at,
      status: row.status,
      description: row.description,
    }));
  }

  async addAccessKey(key: AccessKey): Promise<void> {
    const created = await this.sql.run(
      `INSERT INTO access_keys (access_key_id, secret_access_key, created_at, status, description)
       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      key.accessKeyId,
      key.secretAccessKey,
      key.createdAt,
      key.status ?? 'Active',
      key.description ?? '',
    );
    if (created === 0) throw new ConflictError(`access key ${key.accessKeyId} exists already`);
  }

  async setAccessKeyStatus(accessKeyId: string, status: 'Active' | 'Inactive'): Promise<boolean> {
    const sql = 'UPDATE access_keys SET status = ? WHERE access_key_id = ?';
    return (await this.sql.run(sql, status, accessKeyId)) > 0;
  }

  async deleteAccessKey(accessKeyId: string): Promise<boolean> {
    return (await this.sql.run('DELETE FROM access_keys WHERE access_key_id = ?', accessKeyId)) > 0;
  }
}
