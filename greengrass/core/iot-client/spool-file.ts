/** The file of a FileSpool: its table, and what one transaction does to it. */
import { type Database, openDatabase, type Statement } from '../../lib/sqlite.js';
import { laneOf } from './lanes.js';
import { ROW_OVERHEAD_BYTES, rowBytes, type SpooledMessage } from './spool.js';

const MIGRATIONS = [
  `CREATE TABLE message (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     topic TEXT NOT NULL,
     payload BLOB NOT NULL
   )`,
  // Without AUTOINCREMENT, which writes a second table with every row.
  `ALTER TABLE message RENAME TO old_message;
   CREATE TABLE message (
     id INTEGER PRIMARY KEY,
     topic TEXT NOT NULL,
     payload BLOB NOT NULL,
     expires_at INTEGER
   );
   INSERT INTO message (id, topic, payload) SELECT id, topic, payload FROM old_message;
   DROP TABLE old_message`,
  // Ids say the priority (lanes.ts); what is there has none of its own: 0.
  `UPDATE message SET id = id + 100 * 35184372088832;
   ALTER TABLE message ADD COLUMN came_at INTEGER`,
] as const;

/** What `user_version` says of a file of this version. */
export const SPOOL_SCHEMA_VERSION = MIGRATIONS.length;

const LOG_PAGES = 128;
const BYTES = `length(CAST(topic AS BLOB)) + length(payload) + ${ROW_OVERHEAD_BYTES}`;

/** Rows of the file and their bytes. */
export interface Stock {
  readonly rows: number;
  readonly bytes: number;
}

/** What a transaction is to do. */
export interface Batch {
  /** Ids and their bytes. */
  readonly removed: Iterable<readonly [number, number]>;
  readonly added: Iterable<SpooledMessage>;
  readonly maxBytes: number;
}

/** What a transaction leaves behind. */
export interface Change extends Stock {
  /** How many gave way. */
  readonly evicted: number;
  /** The last of each lane that gave way. */
  readonly evictedThrough: ReadonlyMap<number, number>;
}

/** A message in the file. */
export interface MessageRow {
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
  readonly expires_at: number | null;
  /** Missing in rows of earlier versions. */
  readonly came_at: number | null;
}

export class SpoolFile {
  readonly #db: Database;
  readonly #insert: Statement<[number, string, Buffer, number | null, number]>;
  readonly #delete: Statement<[number]>;
  readonly #read: Statement<[number, number, number], MessageRow>;
  readonly #oldest: Statement<[number], { id: number; bytes: number }>;
  readonly #last: Statement<[], { id: number | null }>;
  readonly #openedAt = Date.now();
  readonly #apply: (stock: Stock, batch: Batch) => Change;

  /** Throws DatabaseError. */
  constructor(path: string) {
    const db = openDatabase(path, { migrations: MIGRATIONS });
    this.#db = db;
    // A short log: it has to find its place in the file also where the disk is nearly full.
    db.pragma(`wal_autocheckpoint = ${LOG_PAGES}`);
    db.pragma(`journal_size_limit = ${LOG_PAGES * 4096}`);
    this.#insert = db.prepare(
      'INSERT INTO message (id, topic, payload, expires_at, came_at) VALUES (?, ?, ?, ?, ?)',
    );
    this.#delete = db.prepare('DELETE FROM message WHERE id = ?');
    this.#read = db.prepare(
      'SELECT id, topic, payload, expires_at, came_at FROM message WHERE id > ? AND id < ? ORDER BY id LIMIT ?',
    );
    this.#oldest = db.prepare(`SELECT id, ${BYTES} AS bytes FROM message WHERE id > ? ORDER BY id LIMIT 1`);
    this.#last = db.prepare('SELECT max(id) AS id FROM message');
    this.#apply = db.transaction((stock, batch) => this.#change(stock, batch));
  }

  /** All rows, and the last id of each lane that has some. Reads the whole file. */
  stock(): Stock & { readonly lastIds: ReadonlyMap<number, number> } {
    const lastBefore = this.#db.prepare<[number], { id: number | null }>(
      'SELECT max(id) AS id FROM message WHERE id < ?',
    );
    const count = this.#db.prepare<[number, number], { n: number; bytes: number }>(
      `SELECT count(*) AS n, sum(${BYTES}) AS bytes FROM message WHERE id > ? AND id <= ?`,
    );
    const lastIds = new Map<number, number>();
    let [rows, bytes] = [0, 0];
    let last = lastBefore.get(Number.MAX_SAFE_INTEGER)?.id;
    while (typeof last === 'number') {
      const lane = laneOf(last);
      lastIds.set(lane, last);
      const found = count.get(lane, last);
      rows += found?.n ?? 0;
      bytes += found?.bytes ?? 0;
      last = lastBefore.get(lane)?.id;
    }
    return { rows, bytes, lastIds };
  }

  *read(after: number, until: number, count: number): Generator<SpooledMessage> {
    for (const row of this.#read.iterate(after, until, count)) yield messageOf(row, this.#openedAt);
  }

  /** All of it or, where it throws, nothing; durable when it answers. */
  apply(stock: Stock, batch: Batch): Change {
    return this.#apply(stock, batch);
  }

  /** Empties the log into the file. */
  checkpoint(): void {
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
  }

  close(): void {
    this.#db.close();
  }

  #change(stock: Stock, { removed, added, maxBytes }: Batch): Change {
    let { rows, bytes } = stock;
    for (const [id, size] of removed) {
      if (this.#delete.run(id).changes === 0) continue;
      rows -= 1;
      bytes -= size;
    }
    for (const message of added) {
      this.#insert.run(message.id, message.topic, message.payload, message.expiresAt ?? null, message.cameAt);
      rows += 1;
      bytes += rowBytes(message);
    }
    let evicted = 0;
    const evictedThrough = new Map<number, number>();
    while (bytes > maxBytes && rows > 1) {
      const least = this.#leastImportant([...evictedThrough.keys()].at(-1));
      if (!least) break;
      this.#delete.run(least.id);
      rows -= 1;
      bytes -= least.bytes;
      evicted += 1;
      evictedThrough.set(laneOf(least.id), least.id);
    }
    return { rows, bytes, evicted, evictedThrough };
  }

  /** The oldest of the lowest priority; `lane`: where the one before was found. */
  #leastImportant(lane?: number): { id: number; bytes: number } | undefined {
    const next = lane === undefined ? undefined : this.#oldest.get(lane);
    if (next) return next;
    const last = this.#last.get()?.id;
    return typeof last === 'number' ? this.#oldest.get(laneOf(last)) : undefined;
  }
}

/** `openedAt`: taken for the time of coming where the row has none; Unix time in ms. */
export function messageOf(row: MessageRow, openedAt: number): SpooledMessage {
  const { id, topic, payload, expires_at: expiresAt, came_at: cameAt } = row;
  const message = { id, topic, payload, cameAt: cameAt ?? openedAt };
  return expiresAt === null ? message : { ...message, expiresAt };
}
