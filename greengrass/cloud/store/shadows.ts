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

  async replace(key: string, before: StoredShadow | undefined, after: StoredShadow): Promise<boolean> {
    const document = after.document === undefined ? null : JSON.stringify(after.document);
    if (before === undefined) {
      const created = await this.sql.run(
        'INSERT INTO shadows (thing_name, version, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
        key,
        after.version,
        document,
      );
      return created > 0;
    }
    // A deletion keeps the version: only together with "is it there" does it tell one state from all others.
    const changed = await this.sql.run(
      before.document === undefined
        ? 'UPDATE shadows SET version = ?, document = ? WHERE thing_name = ? AND version = ? AND document IS NULL'
        : 'UPDATE shadows SET version = ?, document = ? WHERE thing_name = ? AND version = ? AND document IS NOT NULL',
      after.version,
      document,
      key,
      before.version,
    );
    return changed > 0;
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
