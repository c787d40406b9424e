/** The cloud's copies of shadows, by key (ShadowTopic.key); a deleted one keeps its version. */
import { given, type Sql } from './sql.js';
import type { ShadowStore, StoredShadow } from './store.js';

export class SqlShadows implements ShadowStore {
  constructor(readonly sql: Sql) {}

  async find(key: string): Promise<StoredShadow | undefined> {
    const row = await this.sql.get<{ version: number; document: string | null }>(
      'SELECT version, document FROM shadows WHERE thing_name = ?',
      key,
    );
    if (!row) return undefined;
    const document: StoredShadow['document'] | null = row.document === null ? null : JSON.parse(row.document);
    return { version: row.version, ...given('document', document) };
  }

  async put(key: string, shadow: StoredShadow): Promise<void> {
    await this.sql.run(
      `INSERT INTO shadows (thing_name, version, document) VALUES (?, ?, ?)
       ON CONFLICT (thing_name) DO UPDATE SET version = excluded.version, document = excluded.document`,
      key,
      shadow.version,
      shadow.document === undefined ? null : JSON.stringify(shadow.document),
    );
  }

  async listNames(thingName: string, limit: number, after = ''): Promise<string[]> {
    const prefix = `${thingName}/`;
    // A slash is followed by 0 in ASCII: all keys with the prefix, and no others.
    const rows = await this.sql.all<{ thing_name: string }>(
      `SELECT thing_name FROM shadows WHERE thing_name > ? AND thing_name < ? AND document IS NOT NULL
       ORDER BY thing_name LIMIT ?`,
      `${prefix}${after}`,
      `${thingName}0`,
      limit,
    );
    return rows.map(({ thing_name: key }) => key.slice(prefix.length));
  }
}
