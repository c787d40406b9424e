/** A PostgreSQL database behind `Sql`: a pool; transactions are serializable and run again where they collide. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  explain,
  isCollision,
  isStalePlan,
  type PostgresPool,
  type PostgresPoolClient,
} from '../../lib/postgres.js';
import type { Sql, SqlValue, TransactionOptions } from './sql.js';

/** Collisions are short: with this many tries only a program that fights itself gives up. */
const MOST_TRIES = 60;
/** Transactions that have collided so often go one after the other: they no longer collide among themselves. */
const TRIES_BEFORE_QUEUE = 6;
/** Any number that no other advisory lock of ours has: the names of exclusive.ts become 64 random bits. */
const QUEUE_LOCK = 4_740_112_017;
const LONGEST_PAUSE_MS = 100;

type Queryable = Pick<PostgresPoolClient, 'query'>;

/** Statements on anything that takes queries; used directly inside a transaction. */
export class Statements implements Sql {
  constructor(readonly queryable: Queryable) {}

  async get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined> {
    return (await this.all<R>(sql, ...params))[0];
  }

  async all<R>(sql: string, ...params: SqlValue[]): Promise<R[]> {
    return (await this.queryable.query(prepared(sql, params))).rows as R[];
  }

  async run(sql: string, ...params: SqlValue[]): Promise<number> {
    return (await this.queryable.query(prepared(sql, params))).rowCount ?? 0;
  }

  runAhead(sql: string, ...params: SqlValue[]): Promise<number> {
    return this.run(sql, ...params);
  }

  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T> {
    return work(this);
  }
}

export class PostgresSql implements Sql {
  readonly #pool: PostgresPool;
  readonly #place: string;
  readonly #statements: Statements;
  readonly #aheadPool: PostgresPool;
  readonly #ahead: Statements;

  /**
   * `place` names the database in errors. `aheadPool`: connections whose commits don't wait for the disk; the pool itself
   * where there is none. The pools are closed with this.
   */
  constructor(pool: PostgresPool, place: string, aheadPool: PostgresPool = pool) {
    this.#pool = pool;
    this.#aheadPool = aheadPool;
    this.#place = place;
    this.#statements = new Statements(pool);
    this.#ahead = new Statements(aheadPool);
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

  runAhead(sql: string, ...params: SqlValue[]): Promise<number> {
    return this.#retried(() => this.#ahead.run(sql, ...params));
  }

  transaction<T>(work: (tx: Sql) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const isolation = options.isOnlyWriting ? 'READ COMMITTED' : 'SERIALIZABLE';
    return this.#retried(async (tries) => {
      const client = await this.#pool.connect();
      const isQueued = tries > TRIES_BEFORE_QUEUE;
      let broken = false;
      try {
        // Before the transaction begins, and with it what it sees.
        if (isQueued) await client.query('SELECT pg_advisory_lock($1)', [QUEUE_LOCK]);
        await client.query(`BEGIN ISOLATION LEVEL ${isolation}`);
        const result = await work(new Statements(client));
        const { command } = await client.query('COMMIT');
        if (command !== 'COMMIT') throw new Error(`${this.#place}: a statement failed, so nothing was kept`);
        return result;
      } catch (error) {
        broken = isStalePlan(error);
        await client.query('ROLLBACK').catch(() => {
          broken = true;
        });
        throw error;
      } finally {
        if (isQueued && !broken) {
          await client.query('SELECT pg_advisory_unlock($1)', [QUEUE_LOCK]).catch(() => {
            broken = true;
          });
        }
        client.release(broken);
      }
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
    if (this.#aheadPool !== this.#pool) await this.#aheadPool.end();
  }

  /** Runs `work` again, after a short pause, as long as it collides with others. */
  async #retried<T>(work: (tries: number) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await work(tries);
      } catch (error) {
        if (!isCollision(error) && !isStalePlan(error)) throw explain(error, this.#place);
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

const known = new Map<string, { readonly name: string; readonly text: string }>();

/**
 * `?` becomes `$1`, `$2`, …, except inside quotes. The statements of a program are few: their forms are kept, and each
 * has a name, under which a connection parses and plans it once.
 */
function prepared(sql: string, params: readonly SqlValue[]) {
  let form = known.get(sql);
  if (form === undefined) {
    let count = 0;
    const text = sql.replaceAll(/'[^']*'|"[^"]*"|\?/g, (part) => (part === '?' ? `$${++count}` : part));
    form = { name: `gg${known.size}`, text };
    known.set(sql, form);
  }
  return { ...form, values: params.map(toParameter) };
}
