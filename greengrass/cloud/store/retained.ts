/** Retained MQTT messages: the last one of each topic that a subscriber is to get at once. */
import type { Sql } from './sql.js';

export interface RetainedMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: number;
}

export interface RetainedStore {
  /** Answers false, and keeps nothing, where the topic is new and `maxTopics` are kept already. */
  put(message: RetainedMessage, at: string, maxTopics: number): Promise<boolean>;
  delete(topic: string): Promise<void>;
  find(topic: string): Promise<RetainedMessage | undefined>;
  /** Topics that start with `prefix`, in order, from `after` (exclusive) on. */
  list(prefix: string, limit: number, after?: string): Promise<RetainedMessage[]>;
}

export class SqlRetained implements RetainedStore {
  constructor(readonly sql: Sql) {}

  put({ topic, payload, qos }: RetainedMessage, at: string, maxTopics: number): Promise<boolean> {
    return this.sql.transaction(async (tx) => {
      const known = await tx.get('SELECT qos FROM retained_messages WHERE topic = ?', topic);
      if (!known) {
        const row = await tx.get<{ count: number }>('SELECT COUNT(*) AS count FROM retained_messages');
        if (Number(row?.count ?? 0) >= maxTopics) return false;
      }
      await tx.run(
        `INSERT INTO retained_messages (topic, payload, qos, retained_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (topic) DO UPDATE SET payload = excluded.payload, qos = excluded.qos,
           retained_at = excluded.retained_at`,
        topic,
        payload,
        qos,
        at,
      );
      return true;
    });
  }

  async delete(topic: string): Promise<void> {
    await this.sql.run('DELETE FROM retained_messages WHERE topic = ?', topic);
  }

  find(topic: string): Promise<RetainedMessage | undefined> {
    return this.sql.get('SELECT topic, payload, qos FROM retained_messages WHERE topic = ?', topic);
  }

  list(prefix: string, limit: number, after = ''): Promise<RetainedMessage[]> {
    return this.sql.all(
      `SELECT topic, payload, qos FROM retained_messages
       WHERE topic > ? AND substr(topic, 1, ?) = ? ORDER BY topic LIMIT ?`,
      after,
      [...prefix].length,
      prefix,
      limit,
    );
  }
}
