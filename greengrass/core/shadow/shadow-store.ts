/** The shadows of the group, in one SQLite file. One transaction for each update, committed before anybody is told. */
import { join } from 'node:path';
import { type Database, openDatabase } from '../../lib/sqlite.js';
import type { ShadowDocument } from '../../model/shadow-document.js';
import type { KeptShadow } from '../../model/shadow-operations.js';

const MIGRATIONS = [
  `CREATE TABLE shadow (
     thing_name TEXT PRIMARY KEY,
     version INTEGER NOT NULL,
     document TEXT
   ) WITHOUT ROWID`,
] as const;

/** Where the store lies below the write directory. */
export function shadowStorePath(writeDirectory: string): string {
  return join(writeDirectory, 'var', 'state', 'shadow.db');
}

export class ShadowStore {
  readonly #db: Database;

  constructor(path: string) {
    this.#db = openDatabase(path, { migrations: MIGRATIONS });
  }

  find(thingName: string): KeptShadow | undefined {
    const row = this.#db
      .prepare('SELECT version, document FROM shadow WHERE thing_name = ?')
      .get(thingName) as { version: number; document: string | null } | undefined;
    if (!row) return undefined;
    const { version, document } = row;
    return document === null ? { version } : { version, document: JSON.parse(document) as ShadowDocument };
  }

  put(thingName: string, { version, document }: KeptShadow): void {
    this.#db
      .prepare(
        `INSERT INTO shadow (thing_name, version, document) VALUES (?, ?, ?)
         ON CONFLICT (thing_name) DO UPDATE SET version = excluded.version, document = excluded.document`,
      )
      .run(thingName, version, document === undefined ? null : JSON.stringify(document));
  }

  count(): number {
    return (this.#db.prepare('SELECT count(*) AS n FROM shadow').get() as { n: number }).n;
  }

  close(): void {
    this.#db.close();
  }
}
