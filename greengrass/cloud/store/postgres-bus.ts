/**
 * The bus through a table of PostgreSQL. Messages get their numbers from the one row of bus_position, which a sender
 * holds until its commit: so numbers appear in order, and a reader that remembers the last one misses nothing. NOTIFY
 * only wakes the readers; they look every second too, and after they had to connect again.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../lib/log.js';
import {
  connect,
  explain,
  isCollision,
  isConnectionError,
  type PostgresClient,
  type PostgresPool,
  placeOf,
} from '../../lib/postgres.js';
import type { Bus, BusMessage } from './bus.js';

const CHANNEL = 'greengrass_bus';
const LOOK_EVERY_MS = 1000;
/** Messages that a reader takes at once. */
const READ_BATCH = 500;
/** What one statement sends at most. */
const SEND_BATCH = 1000;
const SEND_BATCH_BYTES = 8 * 1024 * 1024;
/** A message that could not be sent for so long is given up. */
const SEND_PATIENCE_MS = 10_000;
const RETRY_PAUSE_MS = 100;
const KEPT_MS = 120_000;
/** A connection that is silent for so long is given up. */
const SILENCE_MS = 10_000;
const CLEAN_EVERY_MS = 30_000;

const SEND = `
WITH position AS (UPDATE bus_position SET last_id = last_id + $1 WHERE name = 'bus' RETURNING last_id - $1 AS base),
  sent AS (
    INSERT INTO bus_messages (id, sender, number, kind, headers, body, sent_at)
    SELECT base + m.place, $2, m.number, m.kind, m.headers, m.body, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT
    FROM position, unnest($3::BIGINT[], $4::TEXT[], $5::TEXT[], $6::BYTEA[]) WITH ORDINALITY
      AS m (number, kind, headers, body, place)
    ON CONFLICT (sender, number) DO NOTHING RETURNING id
  )
SELECT pg_notify('${CHANNEL}', $2) FROM sent LIMIT 1`;

/** One snapshot: where the bus stands, and the first of the messages of others after `$1`. */
const READ = `
SELECT p.last_id, p.deleted_id, m.id, m.kind, m.headers, m.body
FROM bus_position p LEFT JOIN LATERAL (
  SELECT id, kind, headers, body FROM bus_messages WHERE id > $1 AND sender <> $2 ORDER BY id LIMIT ${READ_BATCH}
) m ON true WHERE p.name = 'bus' ORDER BY m.id`;

const CLEAN = `
WITH deleted AS (
  DELETE FROM bus_messages WHERE sent_at < (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT - $1 RETURNING id
)
UPDATE bus_position SET deleted_id = GREATEST(deleted_id, (SELECT MAX(id) FROM deleted))
WHERE name = 'bus' AND EXISTS (SELECT 1 FROM deleted)`;

interface Row {
  readonly last_id: number;
  readonly deleted_id: number;
  readonly id: number | null;
  readonly kind: string;
  readonly headers: string | null;
  readonly body: Buffer;
}

interface Outgoing {
  readonly number: number;
  readonly message: BusMessage;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export interface PostgresBusOptions {
  readonly url: string;
  /** Messages are sent through it; the bus listens on a connection of its own. */
  readonly pool: PostgresPool;
  readonly log?: Logger;
  /** How long messages stay in the table, for a replica that lost its connection; in ms. */
  readonly keptMs?: number;
  /** How often old ones are deleted; in ms. */
  readonly cleanEveryMs?: number;
}

export class PostgresBus implements Bus {
  readonly #options: PostgresBusOptions;
  readonly #keptMs: number;
  readonly #me = randomUUID();
  readonly #listeners: Array<(message: BusMessage) => void> = [];
  #outgoing: Outgoing[] = [];
  #sending: Promise<void> | undefined;
  #count = 0;
  #client: PostgresClient | undefined;
  #lastId: number | undefined;
  #reading: Promise<void> | undefined;
  #readAgain = false;
  #timer: NodeJS.Timeout | undefined;
  #cleaned = Date.now();
  #stopped = false;

  constructor(options: PostgresBusOptions) {
    this.#options = options;
    this.#keptMs = options.keptMs ?? KEPT_MS;
  }

  onMessage(listener: (message: BusMessage) => void): void {
    this.#listeners.push(listener);
  }

  send(message: BusMessage): Promise<void> {
    if (this.#stopped) return Promise.reject(new Error('the bus was stopped: nothing can be sent any more'));
    return new Promise((done, failed) => {
      this.#outgoing.push({ number: ++this.#count, message, done, failed });
      this.#sending ??= this.#sendAll();
    });
  }

  async start(): Promise<void> {
    await this.#listen();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Sends what waits, then ends the connection. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#sending;
    await this.#reading;
    await this.#client?.end().catch(() => {});
    this.#client = undefined;
  }

  /** Everything that came up to the end of this turn of the event loop, then what came meanwhile, goes in one statement. */
  async #sendAll(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#outgoing.length > 0) {
      const batch = this.#nextBatch();
      try {
        await this.#sendBatch(batch);
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    // In the same turn as the last look: whoever sends next starts anew.
    this.#sending = undefined;
  }

  #nextBatch(): Outgoing[] {
    let bytes = 0;
    let count = 0;
    for (const { message } of this.#outgoing) {
      bytes += message.body.length;
      if (count === SEND_BATCH || (count > 0 && bytes > SEND_BATCH_BYTES)) break;
      count++;
    }
    return this.#outgoing.splice(0, count);
  }

  /** Repeats over a broken connection: the numbers keep what was sent after all from being sent twice. */
  async #sendBatch(batch: readonly Outgoing[]): Promise<void> {
    const parameters = [
      batch.length,
      this.#me,
      batch.map(({ number }) => number),
      batch.map(({ message }) => message.kind),
      batch.map(({ message }) => (message.headers ? JSON.stringify(message.headers) : null)),
      batch.map(({ message }) => message.body),
    ];
    const patience = Date.now() + SEND_PATIENCE_MS;
    for (;;) {
      try {
        await this.#options.pool.query(SEND, parameters);
        return;
      } catch (error) {
        const isOver = this.#stopped || Date.now() > patience;
        if (isOver || !(isConnectionError(error) || isCollision(error)))
          throw explain(error, placeOf(this.#options.url));
        await delay(RETRY_PAUSE_MS);
      }
    }
  }

  /** Connects and listens; the place to read from is where the bus stands now, or where this replica was. */
  async #listen(): Promise<void> {
    const client = await connect(this.#options.url, SILENCE_MS);
    client.once('end', () => {
      if (this.#client === client) this.#client = undefined;
    });
    client.on('notification', ({ payload }) => {
      if (payload !== this.#me) this.#look();
    });
    try {
      await client.query(`LISTEN ${CHANNEL}`);
      const { rows } = await client.query("SELECT last_id FROM bus_position WHERE name = 'bus'");
      const now = (rows[0] as { last_id: number }).last_id;
      // A database that was set back counts anew from there.
      this.#lastId = Math.min(this.#lastId ?? now, now);
    } catch (error) {
      await client.end().catch(() => {});
      throw explain(error, placeOf(this.#options.url));
    }
    this.#client = client;
  }

  /** Reads what is new; a call during a reading has it look once more. */
  #look(): void {
    this.#readAgain = true;
    if (this.#reading || this.#stopped) return;
    this.#reading = this.#readAll()
      .catch((error: unknown) => {
        this.#client?.end().catch(() => {});
        this.#client = undefined;
        this.#options.log?.warn({ error: (error as Error).message }, 'the bus lost its connection');
      })
      .finally(() => {
        this.#reading = undefined;
        if (this.#readAgain && this.#client) this.#look();
      });
  }

  async #readAll(): Promise<void> {
    if (!this.#client) await this.#listen();
    while (this.#readAgain && this.#client && !this.#stopped) {
      this.#readAgain = false;
      const { rows } = await this.#client.query(READ, [this.#lastId, this.#me]);
      this.#take(rows as Row[]);
    }
    if (Date.now() - this.#cleaned < (this.#options.cleanEveryMs ?? CLEAN_EVERY_MS)) return;
    this.#cleaned = Date.now();
    await this.#client?.query(CLEAN, [this.#keptMs]);
  }

  #take(rows: readonly Row[]): void {
    const [first] = rows;
    if (!first) return;
    if (first.deleted_id > (this.#lastId ?? 0)) {
      this.#options.log?.error(
        { from: this.#lastId, to: first.deleted_id },
        `the bus was out of reach for more than ${this.#keptMs / 1000} s: messages of other replicas are lost`,
      );
    }
    for (const row of rows) {
      if (row.id === null) continue;
      this.#lastId = row.id;
      const headers = row.headers === null ? undefined : (JSON.parse(row.headers) as Record<string, string>);
      this.#tell({ kind: row.kind, body: row.body, ...(headers ? { headers } : {}) });
    }
    if (rows.length === READ_BATCH) this.#readAgain = true;
    else this.#lastId = first.last_id;
  }

  #tell(message: BusMessage): void {
    for (const listener of this.#listeners) {
      try {
        listener(message);
      } catch (error) {
        this.#options.log?.error({ kind: message.kind, error }, 'a listener of the bus failed');
      }
    }
  }
}
