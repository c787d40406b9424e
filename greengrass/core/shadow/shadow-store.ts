/**
 * The shadows of the group and what the sync remembers of them, in one SQLite file, so that one transaction can change
 * both.
 */
import { join } from 'node:path';
import { type Database, openDatabase, type Statement } from '../../lib/sqlite.js';
import type { ShadowDocument } from '../../model/shadow-document.js';
import type { KeptShadow } from '../../model/shadow-operations.js';

const MIGRATIONS = [
  `CREATE TABLE shadow (
     thing_name TEXT PRIMARY KEY,
     version INTEGER NOT NULL,
     document TEXT
   ) WITHOUT ROWID`,
  `CREATE TABLE shadow_sync (
     shadow_key TEXT PRIMARY KEY,
     record TEXT NOT NULL
   ) WITHOUT ROWID`,
] as const;

/** Where the store lies below the write directory. */
export function shadowStorePath(writeDirectory: string): string {
  return join(writeDirectory, 'var', 'state', 'shadow.db');
}

interface ShadowRow {
  readonly version: number;
  readonly document: string | null;
}

/** Keys are those of ShadowTopic: the thing's name, and for a named shadow a slash and its name. */
export class ShadowStore {
  readonly #db: Database;
  readonly #find: Statement<[string], ShadowRow>;
  readonly #put: Statement<[string, number, string | null]>;
  readonly #findSync: Statement<[string], { record: string }>;
  readonly #putSync: Statement<[string, string]>;
  readonly #deleteSync: Statement<[string]>;
  /** Rows, deleted shadows included. Counted once: a scan for each new shadow would be dear. */
  #count: number;
  #inTransaction = false;

  constructor(path: string) {
    const db = openDatabase(path, { migrations: MIGRATIONS });
    this.#db = db;
    this.#find = db.prepare('SELECT version, document FROM shadow WHERE thing_name = ?');
    this.#put = db.prepare(
      `INSERT INTO shadow (thing_name, version, document) VALUES (?, ?, ?)
       ON CONFLICT (thing_name) DO UPDATE SET version = excluded.version, document = excluded.document`,
    );
    this.#findSync = db.prepare('SELECT record FROM shadow_sync WHERE shadow_key = ?');
    this.#putSync = db.prepare(
      `INSERT INTO shadow_sync (shadow_key, record) VALUES (?, ?)
       ON CONFLICT (shadow_key) DO UPDATE SET record = excluded.record`,
    );
    this.#deleteSync = db.prepare('DELETE FROM shadow_sync WHERE shadow_key = ?');
    this.#count = this.#countRows();
  }

  find(key: string): KeptShadow | undefined {
    const row = this.#find.get(key);
    if (!row) return undefined;
    const { version, document } = row;
    return document === null ? { version } : { version, document: JSON.parse(document) as ShadowDocument };
  }

  put(key: string, { version, document }: KeptShadow): void {
    const isNew = this.#find.get(key) === undefined;
    this.#put.run(key, version, document === undefined ? null : JSON.stringify(document));
    if (isNew) this.#count += 1;
  }

  /** Shadows that are kept, deleted ones (of which only the version is left) included. */
  get count(): number {
    return this.#count;
  }

  /** Keys of the shadows that have a document, in order; with a thing, those of the thing. */
  keys(thingName?: string): string[] {
    const rows = this.#db
      .prepare('SELECT thing_name AS k FROM shadow WHERE document IS NOT NULL ORDER BY thing_name')
      .all() as { k: string }[];
    const keys = rows.map(({ k }) => k);
    return thingName === undefined
      ? keys
      : keys.filter((key) => key === thingName || key.startsWith(`${thingName}/`));
  }

  /** What the sync wrote down of a shadow; its own business what that is. */
  syncRecord(key: string): string | undefined {
    return this.#findSync.get(key)?.record;
  }

  putSyncRecord(key: string, record: string | undefined): void {
    if (record === undefined) this.#deleteSync.run(key);
    else this.#putSync.run(key, record);
  }

  syncedKeys(): string[] {
    const rows = this.#db.prepare('SELECT shadow_key AS k FROM shadow_sync ORDER BY shadow_key').all();
    return (rows as { k: string }[]).map(({ k }) => k);
  }

  /** All of `work` or nothing; on disk when it returns. */
  transaction(work: () => void): void {
    if (this.#inTransaction) throw new Error('a transaction of the shadow store is under way');
    const before = this.#count;
    this.#inTransaction = true;
    try {
      this.#db.transaction(work)();
    } catch (error) {
      this.#count = before;
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  close(): void {
    this.#db.close();
  }

  #countRows(): number {
    return (this.#db.prepare('SELECT count(*) AS n FROM shadow').get() as { n: number }).n;
  }
}
