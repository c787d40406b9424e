/**
 * The spool in a file: survives kill -9 and power cuts. Group commit: what is pushed in one turn of the event loop is
 * stored by one transaction at its end, together with the removals that are due. Memory holds only what is not stored yet, however many messages lie on the disk.
 *
 * While storing fails (full disk) the messages stay in memory, within the bound, may be sent from there, and are tried
 * to be stored again and again.
 */
import { type Database, openDatabase, type Statement } from '../../lib/sqlite.js';
import { DiskReserve } from './disk-reserve.js';
import { rowBytes, type Spool, type SpooledMessage, type SpoolLimits, type SpoolListener } from './spool.js';

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
] as const;

const LOG_PAGES = 128;
/** More than that is not gathered for one transaction. */
const MAX_BATCH_BYTES = 256 * 1024;
/** Removals alone may wait so long: a crash before only makes the cloud get these messages twice. */
const REMOVAL_DELAY_MS = 20;
/** Between attempts while storing fails. */
const RETRY_MS = 1000;

/** What a transaction leaves behind. */
interface Change {
  rows: number;
  bytes: number;
  evicted: number;
  evictedThrough: number;
}

type Row = { id: number; topic: string; payload: Buffer; expires_at: number | null };

export class FileSpool implements Spool {
  readonly #db: Database;
  readonly #reserve: DiskReserve;
  readonly #insert: Statement<[number, string, Buffer, number | null]>;
  readonly #delete: Statement<[number]>;
  readonly #read: Statement<[number, number], Row>;
  readonly #oldest: Statement<[], { id: number; bytes: number }>;
  readonly #store: (batch: Iterable<SpooledMessage>, maxBytes: number) => Change;
  #limits: SpoolLimits;
  /** Rows in the file. */
  #rows: number;
  #rowBytes: number;
  #nextId: number;
  #evictedThrough = 0;
  /** Not stored yet. */
  readonly #pending = new Map<number, SpooledMessage>();
  #pendingBytes = 0;
  /** Stored, and to be deleted: the cloud has them. Bytes by id. */
  readonly #gone = new Map<number, number>();
  #goneBytes = 0;
  #turn: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #trouble = false;
  /** How long the last transaction took: no more than half of the time goes into waiting for the disk. */
  #lastMs = 0;

  constructor(
    path: string,
    limits: SpoolLimits,
    private readonly listener: SpoolListener,
  ) {
    this.#limits = limits;
    const db = openDatabase(path, { migrations: MIGRATIONS });
    this.#db = db;
    // A short log: it has to find its place in the file also where the disk is nearly full.
    db.pragma(`wal_autocheckpoint = ${LOG_PAGES}`);
    db.pragma(`journal_size_limit = ${LOG_PAGES * 4096}`);
    this.#reserve = new DiskReserve(`${path}-reserve`);
    this.#insert = db.prepare('INSERT INTO message (id, topic, payload, expires_at) VALUES (?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM message WHERE id = ?');
    this.#read = db.prepare(
      'SELECT id, topic, payload, expires_at FROM message WHERE id > ? ORDER BY id LIMIT ?',
    );
    this.#oldest = db.prepare(
      'SELECT id, length(CAST(topic AS BLOB)) + length(payload) + 32 AS bytes FROM message ORDER BY id LIMIT 1',
    );
    this.#store = db.transaction((batch, maxBytes) => this.#change(batch, maxBytes));
    const row = db
      .prepare(
        `SELECT count(*) AS n, coalesce(max(id), 0) AS last,
           coalesce(sum(length(CAST(topic AS BLOB)) + length(payload) + 32), 0) AS bytes FROM message`,
      )
      .get() as { n: number; last: number; bytes: number };
    this.#rows = row.n;
    this.#rowBytes = row.bytes;
    this.#nextId = row.last + 1;
  }

  push(topic: string, payload: Buffer, expiresAt?: number): SpooledMessage | undefined {
    const message = { id: this.#nextId, topic, payload, ...(expiresAt === undefined ? {} : { expiresAt }) };
    const bytes = rowBytes(message);
    if (!this.hasRoom(bytes)) return undefined;
    this.#nextId += 1;
    this.#pending.set(message.id, message);
    this.#pendingBytes += bytes;
    if (this.#trouble) this.listener.onReady();
    else if (this.#pendingBytes >= MAX_BATCH_BYTES) this.flush();
    else this.#schedule();
    return message;
  }

  hasRoom(bytes: number): boolean {
    const { maxBytes, full } = this.#limits;
    if (this.#trouble && this.#pendingBytes + bytes > maxBytes) return false;
    return full === 'keepNewest' || this.bytes + bytes <= maxBytes;
  }

  after(id: number, count: number, bytes: number): SpooledMessage[] {
    const found: SpooledMessage[] = [];
    let size = 0;
    const take = (message: SpooledMessage) => {
      found.push(message);
      size += rowBytes(message);
    };
    const wanted = () => found.length < count && size < bytes;
    for (const row of this.#read.iterate(id, count + this.#gone.size)) {
      if (!wanted()) break;
      if (!this.#gone.has(row.id)) take(messageOf(row));
    }
    // What can't be stored is sent from memory. Its ids are larger than all that are stored.
    if (this.#trouble) {
      for (const message of this.#pending.values()) {
        if (!wanted()) break;
        if (message.id > id) take(message);
      }
    }
    return found;
  }

  remove(message: SpooledMessage): void {
    const { id } = message;
    if (this.#pending.delete(id)) {
      this.#pendingBytes -= rowBytes(message);
      return;
    }
    if (id <= this.#evictedThrough || this.#gone.has(id)) return;
    const bytes = rowBytes(message);
    this.#gone.set(id, bytes);
    this.#goneBytes += bytes;
    if (!this.#turn && !this.#timer) this.#later(REMOVAL_DELAY_MS);
  }

  flush(): boolean {
    // While storing fails, attempts have their own time.
    return this.#trouble ? this.#pending.size === 0 : this.#flush();
  }

  setLimits(limits: SpoolLimits): void {
    this.#limits = limits;
    this.#flush();
  }

  get length(): number {
    return this.#rows + this.#pending.size - this.#gone.size;
  }

  get bytes(): number {
    return this.#rowBytes + this.#pendingBytes - this.#goneBytes;
  }

  close(): void {
    this.#flush();
    this.#clear();
    this.#db.close();
  }

  /** At the end of this turn; later where the disk is slow, so that the rest of the core has its share. */
  #schedule(): void {
    if (this.#turn) return;
    if (this.#lastMs > 5) {
      if (!this.#timer) this.#later(this.#lastMs);
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#turn = setImmediate(() => this.#flush());
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), ms);
  }

  #clear(): void {
    clearImmediate(this.#turn);
    clearTimeout(this.#timer);
    this.#turn = undefined;
    this.#timer = undefined;
  }

  #flush(): boolean {
    this.#clear();
    if (this.#pending.size === 0 && this.#gone.size === 0 && this.#rowBytes <= this.#limits.maxBytes)
      return true;
    const started = performance.now();
    try {
      this.#commit();
    } catch (error) {
      if (!this.#trouble) {
        this.#trouble = true;
        this.listener.onTrouble(error as Error);
        // From now on they may be sent from memory.
        this.listener.onReady();
      }
      this.#later(RETRY_MS);
      return false;
    }
    this.#lastMs = performance.now() - started;
    if (this.#trouble) {
      this.#trouble = false;
      this.listener.onTrouble(undefined);
    }
    return true;
  }

  #commit(): void {
    const hadPending = this.#pending.size > 0;
    try {
      this.#apply(this.#pending.values(), this.#limits.maxBytes);
    } catch (error) {
      if ((error as { code?: string }).code !== 'SQLITE_FULL') throw error;
      this.#makeRoomOnDisk();
      this.#apply(this.#pending.values(), this.#limits.maxBytes);
      this.#db.pragma('wal_checkpoint(TRUNCATE)');
      this.#reserve.take();
    }
    this.#pending.clear();
    this.#pendingBytes = 0;
    if (hadPending) this.listener.onReady();
  }

  /** The disk is full: what the cloud has goes, and the oldest messages give way as where the spool is full. */
  #makeRoomOnDisk(): void {
    this.#reserve.giveUp();
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
    const left = this.#rowBytes - this.#goneBytes;
    const room = this.#limits.full === 'keepNewest' ? 2 * this.#pendingBytes + 65_536 : 0;
    this.#apply([], Math.max(0, left - room));
    this.#db.pragma('wal_checkpoint(TRUNCATE)');
  }

  #apply(batch: Iterable<SpooledMessage>, maxBytes: number): void {
    const { rows, bytes, evicted, evictedThrough } = this.#store(batch, maxBytes);
    this.#rows = rows;
    this.#rowBytes = bytes;
    this.#evictedThrough = evictedThrough;
    this.#gone.clear();
    this.#goneBytes = 0;
    if (evicted > 0) this.listener.onDropped(evicted);
  }

  /** Runs in a transaction: no field of this object changes before its commit. */
  #change(batch: Iterable<SpooledMessage>, maxBytes: number): Change {
    const change = {
      rows: this.#rows,
      bytes: this.#rowBytes,
      evicted: 0,
      evictedThrough: this.#evictedThrough,
    };
    for (const [id, size] of this.#gone) {
      if (this.#delete.run(id).changes === 0) continue;
      change.rows -= 1;
      change.bytes -= size;
    }
    for (const message of batch) {
      this.#insert.run(message.id, message.topic, message.payload, message.expiresAt ?? null);
      change.rows += 1;
      change.bytes += rowBytes(message);
    }
    while (change.bytes > maxBytes && change.rows > 1) {
      const oldest = this.#oldest.get();
      if (!oldest) break;
      this.#delete.run(oldest.id);
      change.rows -= 1;
      change.bytes -= oldest.bytes;
      change.evicted += 1;
      change.evictedThrough = oldest.id;
    }
    return change;
  }
}

function messageOf({ id, topic, payload, expires_at }: Row): SpooledMessage {
  return expires_at === null ? { id, topic, payload } : { id, topic, payload, expiresAt: expires_at };
}
