/**
 * The embedded database behind `Sql`. Writes of many callers share a commit: what has come by the time that the last
 * commit is through is done in one transaction, each piece in a savepoint of its own, and is answered after the
 * commit. A disk's flush so costs once for many. Reads go over a connection of their own and see what is committed.
 */
import { type Database, openDatabase, type Statement } from '../../lib/sqlite.js';
import type { Sql, SqlValue } from './sql.js';

/** Pieces of work in one transaction. */
const MAX_BATCH = 256;

/** Statements on an open connection; used directly inside a transaction. */
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

  runAhead(sql: string, ...params: SqlValue[]): Promise<number> {
    return this.run(sql, ...params);
  }

  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T> {
    return work(this);
  }

  /** A statement of the connection's own: savepoints and the like. */
  command(sql: string): void {
    this.#prepare(sql).run();
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

/** A piece of work that waits for its turn. */
interface Job {
  readonly work: (tx: Sql) => Promise<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

export class SqliteSql implements Sql {
  readonly #writer: Connection;
  readonly #reader: Connection;
  readonly #jobs: Job[] = [];
  #draining: Promise<void> | undefined;
  #isClosed = false;

  /** Opens the file, which is made where it is missing, and brings its schema up to date. */
  constructor(path: string, migrations: readonly string[]) {
    const writer = openDatabase(path, { migrations });
    this.#writer = new Connection(writer);
    try {
      this.#reader = new Connection(openDatabase(path, { migrations: [], readonly: true, isChecked: true }));
    } catch (error) {
      writer.close();
      throw error;
    }
  }

  get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined> {
    return this.#reader.get<R>(sql, ...params);
  }

  all<R>(sql: string, ...params: SqlValue[]): Promise<R[]> {
    return this.#reader.all<R>(sql, ...params);
  }

  run(sql: string, ...params: SqlValue[]): Promise<number> {
    return this.transaction((tx) => tx.run(sql, ...params));
  }

  /** Writes share commits here: there is nothing to gain. */
  runAhead(sql: string, ...params: SqlValue[]): Promise<number> {
    return this.run(sql, ...params);
  }

  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new Error('the database is closed'));
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ work, resolve, reject });
      this.#draining ??= this.#drain();
    });
  }

  /** Closes the database once all work that was taken is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#draining;
    this.#reader.db.close();
    this.#writer.db.close();
  }

  async #drain(): Promise<void> {
    // What else comes in this turn of the event loop belongs to the same commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#jobs.length > 0) await this.#commit(this.#jobs.splice(0, MAX_BATCH));
    this.#draining = undefined;
  }

  async #commit(jobs: readonly Job[]): Promise<void> {
    const { db } = this.#writer;
    const done: Array<() => void> = [];
    try {
      db.exec('BEGIN IMMEDIATE');
      for (const job of jobs) await this.#perform(job, done);
      db.exec('COMMIT');
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      // Nothing of it is kept: neither what went well before the error nor what had not begun.
      for (const job of jobs) job.reject(error);
      return;
    }
    for (const answer of done) answer();
  }

  /** A job that fails takes back what it did, and nothing else; its error is for its caller. */
  async #perform(job: Job, done: Array<() => void>): Promise<void> {
    this.#writer.command('SAVEPOINT job');
    try {
      const result = await job.work(this.#writer);
      this.#writer.command('RELEASE job');
      done.push(() => job.resolve(result as never));
    } catch (error) {
      // SQLite has given up the whole transaction (a full disk): all jobs of it have failed.
      if (!this.#writer.db.inTransaction) throw error;
      this.#writer.command('ROLLBACK TO job');
      this.#writer.command('RELEASE job');
      done.push(() => job.reject(error));
    }
  }
}
