/** The embedded database behind `Sql`: one connection, one transaction at a time. */
import type { Database, Statement } from '../../lib/sqlite.js';
import type { Sql, SqlValue } from './sql.js';

/** Statements on the open connection; used directly inside a transaction. */
class Connection implements Sql {
  readonly #statements = new Map<string, Statement>();

  constructor(readonly db: Database) {}

  async get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined> {
    return this.#prepare<R>(sql).get(...params);
  }

  async all<R>(sql: string, ...params: SqlValue[]): Promise<R[]> {
    return this.#prepare<R>(sql).all(...params);
  }

  async run(sql: string, ...params: SqlValue[]): Promise<number> {
    return this.#prepare(sql).run(...params).changes;
  }

  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T> {
    return work(this);
  }

  #prepare<R>(sql: string): Statement<unknown[], R> {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement as Statement<unknown[], R>;
  }
}

/**
 * Statements outside of a transaction wait until an open one is over: the connection is shared. Each method looks
 * again after each wait, and goes on without another: whoever wakes first may have opened the next transaction.
 */
export class SqliteSql implements Sql {
  readonly #connection: Connection;
  #open: Promise<void> | undefined;

  constructor(db: Database) {
    this.#connection = new Connection(db);
  }

  async get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined> {
    while (this.#open) await this.#open;
    return this.#connection.get<R>(sql, ...params);
  }

  async all<R>(sql: string, ...params: SqlValue[]): Promise<R[]> {
    while (this.#open) await this.#open;
    return this.#connection.all<R>(sql, ...params);
  }

  async run(sql: string, ...params: SqlValue[]): Promise<number> {
    while (this.#open) await this.#open;
    return this.#connection.run(sql, ...params);
  }

  async transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T> {
    while (this.#open) await this.#open;
    let finished = () => {};
    this.#open = new Promise((resolve) => {
      finished = resolve;
    });
    try {
      this.#connection.db.exec('BEGIN IMMEDIATE');
      try {
        const result = await work(this.#connection);
        this.#connection.db.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#connection.db.inTransaction) this.#connection.db.exec('ROLLBACK');
        throw error;
      }
    } finally {
      this.#open = undefined;
      finished();
    }
  }

  /** Closes the database once the open transaction, if there is one, is over. */
  async close(): Promise<void> {
    while (this.#open) await this.#open;
    this.#connection.db.close();
  }
}
