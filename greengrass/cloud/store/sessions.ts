/**
 * Persistent MQTT sessions (cleanSession=false): what each subscribed to, and the QoS-1 messages that wait for its
 * PUBACK. A session belongs to a client id; it is seen as long as its client is connected, and forgotten some time after.
 */
import type { Sql } from './sql.js';

export interface StoredSession {
  readonly clientId: string;
  /** When its client was connected last, as far as it was noted. */
  readonly seenAt: string;
  readonly filters: ReadonlyArray<readonly [filter: string, qos: number]>;
}

export interface QueuedMessage {
  /** Orders the messages of a session; hexadecimal digits only, so that every collation orders it alike. */
  readonly key: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Packet identifier that it was sent under, where it was sent before. */
  readonly messageId?: number;
}

export type QueueChange =
  | { readonly kind: 'add'; readonly clientIds: readonly string[]; readonly message: QueuedMessage }
  | { readonly kind: 'remove'; readonly clientId: string; readonly key: string }
  | { readonly kind: 'sent'; readonly clientId: string; readonly key: string; readonly messageId: number };

/** Of one session. */
export interface QueueLimits {
  readonly messages: number;
  /** Payloads and topics. */
  readonly bytes: number;
}

export interface DroppedMessages {
  readonly clientId: string;
  readonly messages: number;
}

export interface SessionStore {
  list(): Promise<StoredSession[]>;
  find(clientId: string): Promise<StoredSession | undefined>;
  /** Creates the session, or notes that it was seen at `at`. */
  open(clientId: string, at: string): Promise<void>;
  touch(clientIds: readonly string[], at: string): Promise<void>;
  /** With its subscriptions and messages. */
  delete(clientId: string): Promise<void>;
  /** Deletes the session where it was not seen since `before`; answers whether it did. */
  deleteUnseen(clientId: string, before: string): Promise<boolean>;
  unseen(before: string, limit: number): Promise<string[]>;
  /** Does nothing where there is no such session. */
  subscribe(clientId: string, filter: string, qos: number): Promise<void>;
  unsubscribe(clientId: string, filters: readonly string[]): Promise<void>;
  /**
   * All changes in order, or none. Messages for sessions that do not exist are left out; where a session's queue grows
   * beyond its limits the oldest messages go, and the answer tells.
   */
  change(changes: readonly QueueChange[], limits: QueueLimits): Promise<DroppedMessages[]>;
  /** Oldest first. */
  queued(clientId: string, limit: number): Promise<QueuedMessage[]>;
  /** While all queues together hold more than `maxBytes`, the largest one loses the older half of its bytes. */
  shrink(maxBytes: number): Promise<DroppedMessages[]>;
}

const DROPPED_AT_ONCE = 100;

interface SessionRow {
  readonly client_id: string;
  readonly seen_at: string;
}
interface Size {
  messages: number;
  bytes: number;
}

export class SqlSessions implements SessionStore {
  constructor(readonly sql: Sql) {}

  async list(): Promise<StoredSession[]> {
    const filters = new Map<string, Array<readonly [string, number]>>();
    const rows = await this.sql.all<{ client_id: string; filter: string; qos: number }>(
      'SELECT client_id, filter, qos FROM mqtt_session_filters',
    );
    for (const { client_id, filter, qos } of rows) {
      const known = filters.get(client_id);
      if (known) known.push([filter, qos]);
      else filters.set(client_id, [[filter, qos]]);
    }
    const sessions = await this.sql.all<SessionRow>('SELECT client_id, seen_at FROM mqtt_sessions');
    return sessions.map(({ client_id, seen_at }) => ({
      clientId: client_id,
      seenAt: seen_at,
      filters: filters.get(client_id) ?? [],
    }));
  }

  async find(clientId: string): Promise<StoredSession | undefined> {
    const row = await this.sql.get<SessionRow>(
      'SELECT client_id, seen_at FROM mqtt_sessions WHERE client_id = ?',
      clientId,
    );
    if (!row) return undefined;
    const filters = await this.sql.all<{ filter: string; qos: number }>(
      'SELECT filter, qos FROM mqtt_session_filters WHERE client_id = ? ORDER BY filter',
      clientId,
    );
    return { clientId, seenAt: row.seen_at, filters: filters.map(({ filter, qos }) => [filter, qos]) };
  }

  async open(clientId: string, at: string): Promise<void> {
    await this.sql.run(
      `INSERT INTO mqtt_sessions (client_id, seen_at, messages, bytes) VALUES (?, ?, 0, 0)
       ON CONFLICT (client_id) DO UPDATE SET seen_at = excluded.seen_at`,
      clientId,
      at,
    );
  }

  touch(clientIds: readonly string[], at: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      for (const clientId of [...clientIds].sort())
        await tx.run('UPDATE mqtt_sessions SET seen_at = ? WHERE client_id = ?', at, clientId);
    });
  }

  delete(clientId: string): Promise<void> {
    return this.sql.transaction((tx) => deleteAll(tx, clientId));
  }

  deleteUnseen(clientId: string, before: string): Promise<boolean> {
    return this.sql.transaction(async (tx) => {
      const row = await tx.get<SessionRow>('SELECT seen_at FROM mqtt_sessions WHERE client_id = ?', clientId);
      if (!row || row.seen_at >= before) return false;
      await deleteAll(tx, clientId);
      return true;
    });
  }

  async unseen(before: string, limit: number): Promise<string[]> {
    const rows = await this.sql.all<{ client_id: string }>(
      'SELECT client_id FROM mqtt_sessions WHERE seen_at < ? ORDER BY seen_at LIMIT ?',
      before,
      limit,
    );
    return rows.map(({ client_id }) => client_id);
  }

  subscribe(clientId: string, filter: string, qos: number): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const session = await tx.get('SELECT client_id FROM mqtt_sessions WHERE client_id = ?', clientId);
      if (!session) return;
      await tx.run(
        `INSERT INTO mqtt_session_filters (client_id, filter, qos) VALUES (?, ?, ?)
         ON CONFLICT (client_id, filter) DO UPDATE SET qos = excluded.qos`,
        clientId,
        filter,
        qos,
      );
    });
  }

  unsubscribe(clientId: string, filters: readonly string[]): Promise<void> {
    return this.sql.transaction(async (tx) => {
      for (const filter of filters)
        await tx.run('DELETE FROM mqtt_session_filters WHERE client_id = ? AND filter = ?', clientId, filter);
    });
  }

  change(changes: readonly QueueChange[], limits: QueueLimits): Promise<DroppedMessages[]> {
    return this.sql.transaction((tx) => new QueueTransaction(tx).run(changes, limits));
  }

  async queued(clientId: string, limit: number): Promise<QueuedMessage[]> {
    const rows = await this.sql.all<{
      message_key: string;
      topic: string;
      payload: Buffer;
      message_id: number | null;
    }>(
      `SELECT message_key, topic, payload, message_id FROM mqtt_session_messages
       WHERE client_id = ? ORDER BY message_key LIMIT ?`,
      clientId,
      limit,
    );
    return rows.map(({ message_key, topic, payload, message_id }) => ({
      key: message_key,
      topic,
      payload,
      ...(message_id === null ? {} : { messageId: message_id }),
    }));
  }

  async shrink(maxBytes: number): Promise<DroppedMessages[]> {
    const dropped: DroppedMessages[] = [];
    for (;;) {
      const total = await this.sql.get<{ bytes: number | null }>(
        'SELECT SUM(bytes) AS bytes FROM mqtt_sessions',
      );
      if (Number(total?.bytes ?? 0) <= maxBytes) return dropped;
      const largest = await this.sql.get<{ client_id: string; bytes: number }>(
        'SELECT client_id, bytes FROM mqtt_sessions WHERE bytes > 0 ORDER BY bytes DESC LIMIT 1',
      );
      if (!largest) return dropped;
      const { client_id: clientId, bytes } = largest;
      const limits = { messages: Number.MAX_SAFE_INTEGER, bytes: Math.floor(bytes / 2) };
      dropped.push(...(await this.sql.transaction((tx) => new QueueTransaction(tx).limit(clientId, limits))));
    }
  }
}

async function deleteAll(tx: Sql, clientId: string): Promise<void> {
  await tx.run('DELETE FROM mqtt_session_messages WHERE client_id = ?', clientId);
  await tx.run('DELETE FROM mqtt_session_filters WHERE client_id = ?', clientId);
  await tx.run('DELETE FROM mqtt_sessions WHERE client_id = ?', clientId);
}

/** One batch; the sizes of the queues are read once and written once. */
class QueueTransaction {
  readonly #sizes = new Map<string, Size | undefined>();

  constructor(private readonly tx: Sql) {}

  async run(changes: readonly QueueChange[], limits: QueueLimits): Promise<DroppedMessages[]> {
    for (const change of changes) {
      if (change.kind === 'add') {
        for (const clientId of change.clientIds) await this.#add(clientId, change.message);
      } else if (change.kind === 'remove') {
        await this.#remove(change.clientId, change.key);
      } else {
        await this.tx.run(
          'UPDATE mqtt_session_messages SET message_id = ? WHERE client_id = ? AND message_key = ?',
          change.messageId,
          change.clientId,
          change.key,
        );
      }
    }
    return this.#finish(limits);
  }

  /** Holds one session to the limits. */
  async limit(clientId: string, limits: QueueLimits): Promise<DroppedMessages[]> {
    await this.#size(clientId);
    return this.#finish(limits);
  }

  async #finish(limits: QueueLimits): Promise<DroppedMessages[]> {
    const dropped: DroppedMessages[] = [];
    for (const [clientId, size] of this.#sizes) {
      if (!size) continue;
      const messages = await this.#dropOldest(clientId, size, limits);
      if (messages > 0) dropped.push({ clientId, messages });
      await this.tx.run(
        'UPDATE mqtt_sessions SET messages = ?, bytes = ? WHERE client_id = ?',
        size.messages,
        size.bytes,
        clientId,
      );
    }
    return dropped;
  }

  async #size(clientId: string): Promise<Size | undefined> {
    if (this.#sizes.has(clientId)) return this.#sizes.get(clientId);
    const row = await this.tx.get<Size>(
      'SELECT messages, bytes FROM mqtt_sessions WHERE client_id = ?',
      clientId,
    );
    const size = row && { messages: row.messages, bytes: row.bytes };
    this.#sizes.set(clientId, size);
    return size;
  }

  async #add(clientId: string, { key, topic, payload }: QueuedMessage): Promise<void> {
    const size = await this.#size(clientId);
    if (!size) return;
    const bytes = payload.length + Buffer.byteLength(topic);
    const added = await this.tx.run(
      `INSERT INTO mqtt_session_messages (client_id, message_key, topic, payload, bytes) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (client_id, message_key) DO NOTHING`,
      clientId,
      key,
      topic,
      payload,
      bytes,
    );
    size.messages += added;
    size.bytes += added * bytes;
  }

  async #remove(clientId: string, key: string): Promise<void> {
    const size = await this.#size(clientId);
    const row = await this.tx.get<{ bytes: number }>(
      'SELECT bytes FROM mqtt_session_messages WHERE client_id = ? AND message_key = ?',
      clientId,
      key,
    );
    if (!row) return;
    await this.tx.run(
      'DELETE FROM mqtt_session_messages WHERE client_id = ? AND message_key = ?',
      clientId,
      key,
    );
    if (!size) return;
    size.messages -= 1;
    size.bytes -= row.bytes;
  }

  async #dropOldest(clientId: string, size: Size, limits: QueueLimits): Promise<number> {
    let dropped = 0;
    const isOver = () => size.messages > limits.messages || size.bytes > limits.bytes;
    while (isOver()) {
      const oldest = await this.tx.all<{ message_key: string }>(
        'SELECT message_key FROM mqtt_session_messages WHERE client_id = ? ORDER BY message_key LIMIT ?',
        clientId,
        DROPPED_AT_ONCE,
      );
      if (oldest.length === 0) break;
      for (const { message_key } of oldest) {
        if (!isOver()) break;
        await this.#remove(clientId, message_key);
        dropped += 1;
      }
    }
    return dropped;
  }
}
