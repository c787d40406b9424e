/** Work that only one may do at a time, over all replicas of the cloud: on one group, one core, one thing. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, explain, isConnectionError, type PostgresClient, placeOf } from '../../lib/postgres.js';

export interface Exclusive {
  /**
   * Runs `work` when nobody else works on `name`; calls on one name go in the order of their coming (between replicas:
   * nearly). Not to be called inside of a transaction: who waits here would hold it. Work may call `run` again with another name, never with its own, and everybody in the same order of names.
   * Rejects with what `work` rejects with.
   */
  run<T>(name: string, work: () => Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 50;
/** A connection that is silent for so long is given up. */
const SILENCE_MS = 10_000;

const LOCKS = `
SELECT CASE WHEN is_lock THEN pg_try_advisory_lock(key) ELSE pg_advisory_unlock(key) END AS done
FROM unnest($1::BOOLEAN[], $2::BIGINT[]) WITH ORDINALITY AS asked (is_lock, key, place) ORDER BY place`;

/** One process alone: a queue for each name. */
export class LocalExclusive implements Exclusive {
  readonly #last = new Map<string, Promise<void>>();

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    let finished = () => {};
    const mine = new Promise<void>((resolve) => {
      finished = resolve;
    });
    this.#last.set(name, mine);
    try {
      await before;
      return await work();
    } finally {
      if (this.#last.get(name) === mine) this.#last.delete(name);
      finished();
    }
  }

  async stop(): Promise<void> {}
}

/**
 * All replicas on one database: the queue within the process, and then an advisory lock that one connection holds for
 * the whole process. It is asked for again and again and never waited for in the server: so one connection serves any
 * number of names. If the connection breaks, the server frees its locks: work that runs is not stopped, the next
 * connects again.
 */
export class PostgresExclusive implements Exclusive {
  readonly #queue = new LocalExclusive();
  readonly #url: string;
  #locks: Promise<LockConnection> | undefined;
  #stopped = false;

  constructor(url: string) {
    this.#url = url;
  }

  run<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#queue.run(name, async () => {
      const key = keyOf(name);
      const holder = await this.#lock(name, key);
      try {
        return await work();
      } finally {
        // On a broken connection there is nothing left to free.
        await holder.unlock(key).catch(() => {});
      }
    });
  }

  /** Ends the connection, and with it what is still held. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await (await this.#locks?.catch(() => undefined))?.end();
  }

  async #lock(name: string, key: string): Promise<LockConnection> {
    for (let pause = FIRST_PAUSE_MS, reconnected = false; ; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
      if (this.#stopped) throw new Error(`work on ${name} was not begun: the cloud is stopping`);
      const opening = this.#connect();
      try {
        const connection = await opening;
        if (await connection.tryLock(key)) return connection;
      } catch (error) {
        this.#forget(opening);
        if (reconnected || !isConnectionError(error)) throw explain(error, placeOf(this.#url));
        reconnected = true;
        continue;
      }
      await delay(pause * (0.5 + Math.random() / 2));
    }
  }

  /** The connection, or a new one where it broke. */
  #connect(): Promise<LockConnection> {
    if (!this.#locks) {
      const opening = LockConnection.open(this.#url, () => this.#forget(opening));
      this.#locks = opening;
    }
    return this.#locks;
  }

  #forget(opening: Promise<LockConnection>): void {
    if (this.#locks === opening) this.#locks = undefined;
  }
}

interface Request {
  readonly isLock: boolean;
  readonly key: string;
  readonly resolve: (done: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** One connection that holds locks; what is asked while a statement runs goes together in the next. */
class LockConnection {
  #requests: Request[] = [];
  #busy = false;

  private constructor(readonly client: PostgresClient) {}

  /** `ended` is called once, when the connection is of no use any more. */
  static async open(url: string, ended: () => void): Promise<LockConnection> {
    const client = await connect(url, SILENCE_MS);
    client.once('end', ended);
    return new LockConnection(client);
  }

  tryLock(key: string): Promise<boolean> {
    return this.#ask(true, key);
  }

  unlock(key: string): Promise<boolean> {
    return this.#ask(false, key);
  }

  async end(): Promise<void> {
    await this.client.end().catch(() => {});
  }

  #ask(isLock: boolean, key: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#requests.push({ isLock, key, resolve, reject });
      if (!this.#busy) void this.#answerAll();
    });
  }

  async #answerAll(): Promise<void> {
    this.#busy = true;
    while (this.#requests.length > 0) {
      const requests = this.#requests.splice(0);
      try {
        const { rows } = await this.client.query({
          name: 'locks',
          text: LOCKS,
          values: [requests.map(({ isLock }) => isLock), requests.map(({ key }) => key)],
        });
        for (const [place, { resolve }] of requests.entries())
          resolve((rows[place] as { done: boolean }).done);
      } catch (error) {
        for (const { reject } of requests) reject(error);
        // A connection that is merely silent is closed: that frees its locks.
        void this.end();
      }
    }
    this.#busy = false;
  }
}

/** The lock's number: the first 64 bits of the name's digest. Two names that share one would only wait for each other. */
function keyOf(name: string): string {
  return createHash('sha256').update(name).digest().readBigInt64BE().toString();
}
