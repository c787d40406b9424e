/**
 * Sessions of devices that asked to be remembered (clean session 0), in SQLite: topic filters, and QoS 1 messages that
 * the device has not acknowledged. Changes gather in memory and become durable together in `commit`.
 */
import { join } from 'node:path';
import { type Database, openDatabase, type Statement } from '../../lib/sqlite.js';

/** Where a core keeps them. */
export function sessionStorePath(writeDirectory: string): string {
  return join(writeDirectory, 'var', 'state', 'sessions.db');
}

const MIGRATIONS = [
  `CREATE TABLE session (client_id TEXT PRIMARY KEY) WITHOUT ROWID;
   CREATE TABLE filter (
     client_id TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
     filter TEXT NOT NULL,
     qos INTEGER NOT NULL,
     PRIMARY KEY (client_id, filter)
   ) WITHOUT ROWID;
   CREATE TABLE message (
     seq INTEGER PRIMARY KEY,
     client_id TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
     packet_id INTEGER NOT NULL,
     topic TEXT NOT NULL,
     payload BLOB NOT NULL,
     priority INTEGER NOT NULL,
     expires_at INTEGER,
     sent INTEGER NOT NULL
   );
   CREATE INDEX message_client ON message (client_id);`,
];

/** A message that waits for its PUBACK; the payload is in the file. */
export interface StoredMessage {
  /** Order of arrival, over all sessions. */
  readonly seq: number;
  readonly packetId: number;
  readonly bytes: number;
  readonly priority: number;
  /** Unix time in ms; absent: waits for ever. */
  readonly expiresAt?: number;
  /** Its place among those that were sent to the device, 0 where it was not: what may have reached it before. */
  sent: number;
}

export interface StoredSession {
  readonly clientId: string;
  readonly filters: ReadonlyMap<string, 0 | 1>;
  readonly messages: readonly StoredMessage[];
}

interface MessageRow {
  seq: number;
  packet_id: number;
  bytes: number;
  priority: number;
  expires_at: number | null;
  sent: number;
}

export class SessionStore {
  readonly #db: Database;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #runAll: (changes: ReadonlyArray<() => void>) => void;
  #changes: Array<() => void> = [];
  /** What is tried again with the next changes: nobody else asks again for something to be deleted. */
  #again: Array<() => void> = [];
  readonly #ended = new Set<string>();
  readonly #removed = new Set<number>();
  /** Sessions that are in the file, as far as is known. */
  readonly #inFile = new Set<string>();
  /** Messages of this turn: they can be sent before they are in the file. */
  #fresh = new Map<number, { topic: string; payload: Buffer }>();
  #lastSeq: number;

  /** `onChange`: something waits for a commit. Throws DatabaseError. */
  constructor(
    path: string,
    private readonly onChange: () => void,
  ) {
    this.#db = openDatabase(path, { migrations: MIGRATIONS });
    this.#statements = prepare(this.#db);
    this.#runAll = this.#db.transaction((changes: ReadonlyArray<() => void>) => {
      for (const change of changes) change();
    });
    this.#lastSeq = this.#statements.lastSeq.get()?.seq ?? 0;
  }

  load(): StoredSession[] {
    const { sessions, filters, messages } = this.#statements;
    return sessions.all().map(({ client_id: clientId }) => ({
      clientId,
      filters: new Map(filters.all(clientId).map(({ filter, qos }) => [filter, qos === 1 ? 1 : 0])),
      messages: messages.all(clientId).map(toMessage),
    }));
  }

  /** A new session. Of an old one nothing is left, also where the file still has it because deleting failed. */
  create(clientId: string): void {
    this.#change(() => {
      this.#statements.deleteSession.run(clientId);
      this.#inFile.delete(clientId);
      this.#ensure(clientId);
    });
  }

  delete(clientId: string): void {
    this.#ended.add(clientId);
    this.#change(() => {
      this.#statements.deleteSession.run(clientId);
      this.#inFile.delete(clientId);
    });
  }

  setFilter(clientId: string, filter: string, qos: 0 | 1): void {
    this.#change(() => {
      this.#ensure(clientId);
      this.#statements.setFilter.run(clientId, filter, qos);
    });
  }

  deleteFilter(clientId: string, filter: string): void {
    this.#change(() => this.#statements.deleteFilter.run(clientId, filter));
  }

  add(
    clientId: string,
    { topic, payload }: { topic: string; payload: Buffer },
    entry: Omit<StoredMessage, 'seq' | 'bytes' | 'sent'>,
  ): StoredMessage {
    const message: StoredMessage = { ...entry, seq: ++this.#lastSeq, bytes: payload.length, sent: 0 };
    const { seq, packetId, priority, expiresAt } = message;
    this.#fresh.set(seq, { topic, payload });
    this.#change(() => {
      this.#ensure(clientId);
      const { sent } = message;
      this.#statements.add.run(seq, clientId, packetId, topic, payload, priority, expiresAt ?? null, sent);
    });
    return message;
  }

  /** `place`: among those that were sent to the device. */
  markSent(message: StoredMessage, place: number): void {
    message.sent = place;
    if (this.#fresh.has(message.seq)) return;
    this.#change(() => this.#statements.markSent.run(place, message.seq));
  }

  remove({ seq }: StoredMessage): void {
    this.#removed.add(seq);
    this.#change(() => this.#statements.remove.run(seq));
  }

  /** Undefined where the message is gone. Throws where the file can't be read there. */
  read({ seq }: StoredMessage): { topic: string; payload: Buffer } | undefined {
    return this.#fresh.get(seq) ?? this.#statements.read.get(seq);
  }

  #change(change: () => void): void {
    if (this.#changes.push(change) === 1) this.onChange();
  }

  /** All changes so far, durable. Throws where they can't be: of them only what was to be deleted is tried again. */
  commit(): void {
    if (this.#changes.length === 0) return;
    const changes = this.#again.length > 0 ? [...this.#again, ...this.#changes] : this.#changes;
    this.#changes = [];
    this.#fresh = new Map();
    try {
      this.#runAll(changes);
    } catch (error) {
      this.#inFile.clear();
      this.#again = [
        ...[...this.#ended].map((clientId) => () => this.#statements.deleteSession.run(clientId)),
        ...[...this.#removed].map((seq) => () => this.#statements.remove.run(seq)),
      ];
      throw error;
    }
    this.#again = [];
    this.#ended.clear();
    this.#removed.clear();
  }

  /** What hangs on a session that could not be written must not fail for ever, and with it the changes of all others. */
  #ensure(clientId: string): void {
    if (this.#inFile.has(clientId)) return;
    this.#statements.addSession.run(clientId);
    this.#inFile.add(clientId);
  }

  close(): void {
    this.#db.close();
  }
}

function prepare(db: Database) {
  return {
    lastSeq: db.prepare('SELECT max(seq) AS seq FROM message') as Statement<[], { seq: number | null }>,
    sessions: db.prepare('SELECT client_id FROM session') as Statement<[], { client_id: string }>,
    filters: db.prepare('SELECT filter, qos FROM filter WHERE client_id = ?') as Statement<
      [string],
      { filter: string; qos: number }
    >,
    messages: db.prepare(
      `SELECT seq, packet_id, length(payload) AS bytes, priority, expires_at, sent
       FROM message WHERE client_id = ? ORDER BY seq`,
    ) as Statement<[string], MessageRow>,
    addSession: db.prepare('INSERT OR IGNORE INTO session VALUES (?)'),
    deleteSession: db.prepare('DELETE FROM session WHERE client_id = ?'),
    setFilter: db.prepare('INSERT OR REPLACE INTO filter VALUES (?, ?, ?)'),
    deleteFilter: db.prepare('DELETE FROM filter WHERE client_id = ? AND filter = ?'),
    add: db.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)'),
    markSent: db.prepare('UPDATE message SET sent = ? WHERE seq = ?'),
    remove: db.prepare('DELETE FROM message WHERE seq = ?'),
    read: db.prepare('SELECT topic, payload FROM message WHERE seq = ?') as Statement<
      [number],
      { topic: string; payload: Buffer }
    >,
  };
}

function toMessage(row: MessageRow): StoredMessage {
  return {
    seq: row.seq,
    packetId: row.packet_id,
    bytes: row.bytes,
    priority: row.priority,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    sent: row.sent,
  };
}
