/**
 * The only importer of better-sqlite3: how this project opens a database.
 * WAL with synchronous=FULL, so that a committed transaction survives a power cut; checked at open, so that a torn
 * file is found at start and not in the middle of a day.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';

export type Database = BetterSqlite3.Database;
export type Statement<P extends unknown[] = unknown[], R = unknown> = BetterSqlite3.Statement<P, R>;

export interface OpenOptions {
  /** Schema changes in order; the count that ran is kept in user_version. Never edit one that was released. */
  readonly migrations: readonly string[];
  readonly readonly?: boolean;
  /** True for a further connection to a file that this process has opened, and checked, already. */
  readonly isChecked?: boolean;
}

/** A database file that can't be used; the message says what to do. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
}

/** Opens (and creates) the database at `path`, checks it and brings its schema up to date. */
export function openDatabase(
  path: string,
  { migrations, readonly = false, isChecked = false }: OpenOptions,
): Database {
  if (!readonly) mkdirSync(dirname(path), { recursive: true });
  const db = new BetterSqlite3(path, { readonly });
  try {
    if (!readonly) {
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = FULL');
    }
    db.pragma('foreign_keys = ON');
    db.pragma('busy_timeout = 5000');
    const verdict = isChecked ? 'ok' : db.pragma('quick_check', { simple: true });
    if (verdict !== 'ok') throw new DatabaseError(`integrity check says: ${String(verdict)}`);
    if (!readonly) migrate(db, migrations);
    return db;
  } catch (error) {
    db.close();
    const reason = error instanceof Error ? error.message : String(error);
    throw new DatabaseError(
      `${path}: ${reason}. The file can't be used as it is: restore it from a backup, or move it away to start empty.`,
      { cause: error },
    );
  }
}

function migrate(db: Database, migrations: readonly string[]): void {
  const done = Number(db.pragma('user_version', { simple: true }));
  if (done > migrations.length) {
    throw new DatabaseError(`schema version ${done} is newer than this program knows (${migrations.length})`);
  }
  for (let version = done; version < migrations.length; version++) {
    db.transaction(() => {
      // Another process that opened the file at the same time may have been faster.
      if (Number(db.pragma('user_version', { simple: true })) !== version) return;
      db.exec(migrations[version] as string);
      db.pragma(`user_version = ${version + 1}`);
    }).immediate();
  }
}
