/**
 * A damaged file of a spool is put aside, and what can still be read of it goes on in a new one: with the same ids, so in the
 * same order. SQLite says where it can't go on; what is behind such a place is found by looking further and further on.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { type Database, DatabaseError, openDatabase } from '../../lib/sqlite.js';
import type { SpooledMessage } from './spool.js';
import { type MessageRow, messageOf, SPOOL_SCHEMA_VERSION, SpoolFile } from './spool-file.js';

const BATCH = 256;
const FARTHEST = 2 ** 53;
const FILES = ['', '-wal', '-shm'] as const;

/** What became of a damaged file. */
export interface Damage {
  readonly reason: string;
  /** Messages that go on. */
  readonly saved: number;
  /** Where the damaged file is now. */
  readonly aside: string;
}

/** True where the content of the file is broken, and not the disk full or a right missing. */
export function isDamage(error: unknown): boolean {
  if (error instanceof DatabaseError) {
    return error.message.includes('integrity check') || isDamage(error.cause);
  }
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'SQLITE_NOTADB' || (typeof code === 'string' && code.startsWith('SQLITE_CORRUPT'));
}

/**
 * `makeRoom` gives up what is kept for a full disk: opening, too, writes. Throws, with the name of the file, where it can't be
 * opened and is not damaged.
 */
export function openSpoolFile(
  path: string,
  onDamage: (damage: Damage) => void,
  makeRoom?: () => void,
): SpoolFile {
  try {
    return new SpoolFile(path);
  } catch (error) {
    if (isDamage(error)) return renewSpoolFile(path, error as Error, onDamage);
    if (makeRoom) {
      makeRoom();
      return openSpoolFile(path, onDamage);
    }
    const { message } = error as Error;
    throw message.includes(path) ? error : new DatabaseError(`${path}: ${message}`, { cause: error });
  }
}

/** The file is closed. Throws where no new one can be made. */
export function renewSpoolFile(path: string, error: Error, onDamage: (damage: Damage) => void): SpoolFile {
  const aside = `${path}.broken`;
  for (const suffix of FILES) {
    rmSync(`${aside}${suffix}`, { force: true });
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${aside}${suffix}`);
  }
  const file = new SpoolFile(path);
  let saved = 0;
  try {
    saved = rescue(aside, file);
  } catch {
    // No room, or a file that is none at all: what was saved so far is what there is.
  }
  onDamage({ reason: error.message, saved, aside });
  return file;
}

function rescue(aside: string, to: SpoolFile): number {
  const db = openDatabase(aside, { migrations: [], readonly: true, isChecked: true });
  try {
    // Rows of earlier versions have other ids.
    if (Number(db.pragma('user_version', { simple: true })) !== SPOOL_SCHEMA_VERSION) return 0;
    let saved = 0;
    let batch: SpooledMessage[] = [];
    const store = () => {
      to.apply({ rows: 0, bytes: 0 }, { removed: [], added: batch, maxBytes: Number.MAX_SAFE_INTEGER });
      saved += batch.length;
      batch = [];
    };
    readableRows(db, (message) => {
      batch.push(message);
      if (batch.length >= BATCH) store();
    });
    store();
    return saved;
  } finally {
    db.close();
  }
}

/** Every row that can be read, once; not in order. */
function readableRows(db: Database, take: (message: SpooledMessage) => void): void {
  const upwards = db.prepare<[number], MessageRow>('SELECT * FROM message WHERE id > ? ORDER BY id');
  const downwards = db.prepare<[number, number], MessageRow>(
    'SELECT * FROM message WHERE id > ? AND id < ? ORDER BY id DESC',
  );
  const next = db.prepare<[number], { id: number }>(
    'SELECT id FROM message WHERE id > ? ORDER BY id LIMIT 1',
  );
  const openedAt = Date.now();
  /** Answers the last id, and whether it ended at a damaged place: also where ids don't go on as they should. */
  const readAll = (
    rows: Iterable<MessageRow>,
    from: number,
    sign: 1 | -1,
  ): { last: number; isAll: boolean } => {
    let last = from;
    try {
      for (const row of rows) {
        if ((row.id - last) * sign <= 0) return { last, isAll: false };
        last = row.id;
        if (typeof row.topic === 'string' && Buffer.isBuffer(row.payload)) take(messageOf(row, openedAt));
      }
      return { last, isAll: true };
    } catch (error) {
      if (!isDamage(error)) throw error;
      return { last, isAll: false };
    }
  };
  let from = 0;
  for (;;) {
    const { last, isAll } = readAll(upwards.iterate(from), from, 1);
    if (isAll) return;
    const behind = firstReadable(next, last);
    if (behind === undefined) return;
    readAll(downwards.iterate(last, behind), behind, -1);
    from = behind - 1;
  }
}

/** The id of a row behind a place that can't be read, by steps that double. */
function firstReadable(
  next: { get(id: number): { id: number } | undefined },
  last: number,
): number | undefined {
  for (let step = 1; last + step < FARTHEST; step *= 2) {
    try {
      return next.get(last + step)?.id;
    } catch {
      // Still within the damage.
    }
  }
  return undefined;
}
