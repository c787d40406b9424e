/** A PostgreSQL database behind `Sql`: a pool; transactions are serializable and run again where they collide. */
import { setTimeout as delay } from 'node:timers/promises';
import { explain, isCollision, type PostgresPool, type PostgresPoolClient } from '../../lib/postgres.js';
import type { Sql, SqlValue } from './sql.js';

/** Collisions are short: with this many tries only a program that fights itself gives up. */
const MOST_TRIES = 40;
const LONGEST_PAUSE_MS = 100;

type Queryable = Pick<PostgresPoolClient, 'query'>;

/** Statements on anything that takes queries; used directly inside a transaction. */
export class Statements implements Sql {
  constructor(readonly queryable: Queryable) {}

  async get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined> {
    return (await this.all<R>(sql, ...params))[0];
  }

  async all<R>(sql: string, ...params: SqlValue[]): Promise<R[]> {
    return (await this.queryable.query(numbered(sql), params.map(toParameter))).rows as R[];
  }

  async run(sql: string, ...params: SqlValue[]): Promise<number> {
    return (await this.queryable.query(numbered(sql), params.map(toParameter))).rowCount ?? 0;
  }

  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T> {
    return work(this);
  }
}

export class PostgresSql implements Sql {
  readonly #pool: PostgresPool;
  readonly #place: string;
  readonly #statements: Statements;

  /** `place` names the database in errors. The pool is closed with this. */
  constructor(pool: PostgresPool, place: string) {
    this.#pool = pool;
    this.#place = place;
    this.#statements = new Statements(pool);
  }

  get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined> {
    return this.#retried(() => this.#statements.get<R>(sql, ...params));
  }

  all<R>(sql: string, ...params: SqlValue[]): Promise<R[]> {
    return this.#retried(() => this.#statements.all<R>(sql, ...params));
  }

  run(sql: string, ...params: SqlValue[]): Promise<number> {
    return this.#retried(() => this.#statements.run(sql, ...params));
  }

  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T> {
    return this.#retried(async () => {
      const client = await this.#pool.connect();
      let broken = false;
      try {
        await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
        const result = await work(new Statements(client));
        const { command } = await client.query('COMMIT');
        if (command !== 'COMMIT') throw new Error(`${this.#place}: a statement failed, so nothing was kept`);
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {
          broken = true;
        });
        throw error;
      } finally {
        client.release(broken);
      }
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  /** Runs `work` again, after a short pause, as long as it collides with others. */
  async #retried<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (!isCollision(error)) throw explain(error, this.#place);
        if (tries >= MOST_TRIES) {
          throw new Error(
            `${this.#place}: a transaction collided ${tries} times with others and was given up`,
            {
              cause: error,
            },
          );
        }
        await delay(Math.random() * Math.min(LONGEST_PAUSE_MS, 2 ** tries));
      }
    }
  }
}

/** pg takes bytes as a Buffer only. */
function toParameter(value: SqlValue): string | number | Buffer | null {
  if (!(value instanceof Uint8Array)) return value;
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

const known = new Map<string, string>();

/** `?` becomes `$1`, `$2`, …, except inside quotes. The statements of a program are few: their forms are kept. */
function numbered(sql: string): string {
  let form = known.get(sql);
  if (form === undefined) {
    let count = 0;
    form = sql.replaceAll(/'[^']*'|"[^"]*"|\?/g, (part) => (part === '?' ? `$${++count}` : part));
    known.set(sql, form);
  }
  return form;
}
