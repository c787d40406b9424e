/**
 * Messages for the cloud (V1's GGCloudSpooler): a bounded FIFO, sent with QoS 1, one after the other, each removed when
 * its PUBACK has come. Full: the oldest message gives way to the new one. Kept in memory, or in a file where the group
 * says so (GG_CONFIG_STORAGE_TYPE), which survives a kill -9.
 */
import { type Database, openDatabase } from '../../lib/sqlite.js';

/** V1: at least this many bytes. */
export const MIN_SPOOL_BYTES = 262_144;
export const DEFAULT_SPOOL_BYTES = 2_621_440;

export interface SpoolSettings {
  readonly storage: 'Memory' | 'FileSystem';
  readonly maxBytes: number;
}

export const DEFAULT_SPOOL: SpoolSettings = { storage: 'Memory', maxBytes: DEFAULT_SPOOL_BYTES };

/** Reads the environment variables of GGCloudSpooler:1. Throws with V1's text. */
export function spoolSettings(variables: Readonly<Record<string, string>>): SpoolSettings {
  const type = variables.GG_CONFIG_STORAGE_TYPE ?? 'Memory';
  if (type !== 'Memory' && type !== 'FileSystem') {
    throw new Error(`GG_CONFIG_STORAGE_TYPE must be Memory or FileSystem, but is "${type}"`);
  }
  const text = variables.GG_CONFIG_MAX_SIZE_BYTES;
  const maxBytes = text === undefined ? DEFAULT_SPOOL_BYTES : Number(text);
  if (!Number.isSafeInteger(maxBytes) || maxBytes < MIN_SPOOL_BYTES) {
    throw new Error(
      `Spool size should be at least ${MIN_SPOOL_BYTES} bytes, but GG_CONFIG_MAX_SIZE_BYTES is "${text}"`,
    );
  }
  return { storage: type, maxBytes };
}

export interface SpooledMessage {
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
}

/** A bounded FIFO of messages. */
export interface Spool {
  /** Appends; answers how many of the oldest had to go. Throws where it can't be stored. */
  push(topic: string, payload: Buffer): number;
  first(): SpooledMessage | undefined;
  remove(id: number): void;
  readonly length: number;
  readonly bytes: number;
  close(): void;
}

function sizeOf(topic: string, payload: Buffer): number {
  return Buffer.byteLength(topic) + payload.length;
}

export class MemorySpool implements Spool {
  #messages: SpooledMessage[] = [];
  #head = 0;
  #nextId = 1;
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  push(topic: string, payload: Buffer): number {
    this.#messages.push({ id: this.#nextId++, topic, payload });
    this.#bytes += sizeOf(topic, payload);
    let dropped = 0;
    while (this.#bytes > this.maxBytes && this.length > 1) {
      this.#shift();
      dropped += 1;
    }
    return dropped;
  }

  first(): SpooledMessage | undefined {
    return this.#messages[this.#head];
  }

  /** Does nothing where the message had to give way in the meantime. */
  remove(id: number): void {
    if (this.first()?.id === id) this.#shift();
  }

  get length(): number {
    return this.#messages.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  close(): void {}

  #shift(): void {
    const message = this.#messages[this.#head++];
    if (message) this.#bytes -= sizeOf(message.topic, message.payload);
    // The head moves through the array; now and then the part that is gone is cut off.
    if (this.#head > 1024 && this.#head * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head);
      this.#head = 0;
    }
  }
}

const MIGRATIONS = [
  `CREATE TABLE message (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     topic TEXT NOT NULL,
     payload BLOB NOT NULL
   )`,
] as const;

export class FileSpool implements Spool {
  readonly #db: Database;
  #bytes: number;
  #length: number;

  constructor(
    path: string,
    private readonly maxBytes: number,
  ) {
    this.#db = openDatabase(path, { migrations: MIGRATIONS });
    const row = this.#db
      .prepare(
        'SELECT count(*) AS n, coalesce(sum(length(CAST(topic AS BLOB)) + length(payload)), 0) AS bytes FROM message',
      )
      .get() as { n: number; bytes: number };
    this.#length = row.n;
    this.#bytes = row.bytes;
  }

  push(topic: string, payload: Buffer): number {
    this.#db.prepare('INSERT INTO message (topic, payload) VALUES (?, ?)').run(topic, payload);
    this.#bytes += sizeOf(topic, payload);
    this.#length += 1;
    let dropped = 0;
    while (this.#bytes > this.maxBytes && this.#length > 1) {
      const oldest = this.first();
      if (!oldest) break;
      this.remove(oldest.id);
      dropped += 1;
    }
    return dropped;
  }

  first(): SpooledMessage | undefined {
    return this.#db.prepare('SELECT id, topic, payload FROM message ORDER BY id LIMIT 1').get() as
      | SpooledMessage
      | undefined;
  }

  remove(id: number): void {
    const row = this.#db.prepare('DELETE FROM message WHERE id = ? RETURNING topic, payload').get(id) as
      | { topic: string; payload: Buffer }
      | undefined;
    if (!row) return;
    this.#bytes -= sizeOf(row.topic, row.payload);
    this.#length -= 1;
  }

  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  close(): void {
    this.#db.close();
  }
}
