/** The cloud's copies of shadows; a deleted one keeps its version. */
import { given, type Sql } from './sql.js';
import type { ShadowStore, StoredShadow } from './store.js';

export class SqlShadows implements ShadowStore {
  constructor(readonly sql: Sql) {}

  async find(thingName: string): Promise<StoredShadow | undefined> {
    const row = await this.sql.get<{ version: number; document: string | null }>(
      'SELECT version, document FROM shadows WHERE thing_name = ?',
      thingName,
    );
    if (!row) return undefined;
    const document: StoredShadow['document'] | null = row.document === null ? null : JSON.parse(row.document);
    return { version: row.version, ...given('document', document) };
  }

  async put(thingName: string, shadow: StoredShadow): Promise<void> {
    await this.sql.run(
      `INSERT INTO shadows (thing_name, version, document) VALUES (?, ?, ?)
       ON CONFLICT (thing_name) DO UPDATE SET version = excluded.version, document = excluded.document`,
      thingName,
      shadow.version,
      shadow.document === undefined ? null : JSON.stringify(shadow.document),
    );
  }
}
