/**
 * The only importer of pg: how this project talks to a PostgreSQL server. Integers of eight bytes are numbers here
 * (and refused where they don't fit), errors of the connection are told from errors of a statement.
 */
import { createRequire } from 'node:module';
import type pg from 'pg';

/** Loaded where there is a PostgreSQL server: every start without one would pay for it. */
let loaded: typeof pg | undefined;
function load(): typeof pg {
  loaded ??= createRequire(import.meta.url)('pg') as typeof pg;
  return loaded;
}

export type PostgresPool = pg.Pool;
export type PostgresClient = pg.Client;
export type PostgresPoolClient = pg.PoolClient;

/** The server can't be reached, or went away in the middle; the next call tries a new connection. */
export class DatabaseUnavailableError extends Error {
  override readonly name = 'DatabaseUnavailableError';
}

const INT8 = 20;
const NUMERIC = 1700;
const CONNECT_TIMEOUT_MS = 10_000;

function toNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) && !text.includes('.')) {
    throw new RangeError(
      `the integer ${text} in the database is beyond 2^53: this program can't hold it exactly`,
    );
  }
  return value;
}

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === INT8 || oid === NUMERIC ? toNumber : load().types.getTypeParser(oid, format as 'text'),
};

function configuration(url: string): pg.ClientConfig {
  checkPostgresUrl(url);
  return {
    connectionString: url,
    types,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: 'greengrass-cloud',
  };
}

/** Throws where `url` is not the address of a PostgreSQL database; the message holds no password. */
export function checkPostgresUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && ['postgres:', 'postgresql:'].includes(parsed.protocol) && parsed.pathname.length > 1) return;
  throw new Error('the database URL is not one: it has the form postgres://USER:PASSWORD@HOST:PORT/DATABASE');
}

/** The database's address for messages: without the password. */
export function placeOf(url: string): string {
  const { hostname, port, pathname, searchParams } = new URL(url);
  return `PostgreSQL at ${hostname || searchParams.get('host') || 'localhost'}:${port || '5432'}${pathname}`;
}

/**
 * A pool of at most `max` connections. One that breaks is replaced; who was using it hears of it by his statement.
 * `isAhead`: commits are answered before they reach the disk. They do so with the next commit of any other connection.
 */
export function openPool(url: string, max: number, { isAhead = false } = {}): PostgresPool {
  const ahead = isAhead ? { options: '-c synchronous_commit=off' } : {};
  const pool = new (load().Pool)({ ...configuration(url), ...ahead, max });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/**
 * One connection of its own, outside of any pool. With `queryTimeoutMs` a statement that gets no answer in time
 * rejects as a connection error: the network may be gone without a word. End the client then.
 */
export async function connect(url: string, queryTimeoutMs?: number): Promise<PostgresClient> {
  const client = new (load().Client)({
    ...configuration(url),
    ...(queryTimeoutMs === undefined ? {} : { query_timeout: queryTimeoutMs }),
  });
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    client.end().catch(() => {});
    throw explain(error, placeOf(url));
  }
}

/** SQLSTATE of an error of the server, or the code of the system. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Whether the error says that the connection is gone or never was: class 08, a shutdown, the socket. */
export function isConnectionError(error: unknown): boolean {
  if (error instanceof DatabaseUnavailableError) return true;
  const code = codeOf(error);
  if (code !== undefined) return /^(08|57P0[1-5]|53300)|^E[A-Z]{3,}$|^EAI_/.test(code);
  return (
    error instanceof Error &&
    /connection (terminated|ended|error)|timeout|not queryable|closed/i.test(error.message)
  );
}

/** Whether the server undid a transaction, or a statement, because of another one: it may be run again. */
export function isCollision(error: unknown): boolean {
  return ['40001', '40P01'].includes(codeOf(error) ?? '');
}

/**
 * Whether a prepared statement is of no use any more because a newer replica changed its tables. The connection that
 * prepared it is to be dropped; on another one the statement may be run again.
 */
export function isStalePlan(error: unknown): boolean {
  return codeOf(error) === '0A000' && error instanceof Error && error.message.includes('cached plan');
}

/** The error as it is, or, where the connection failed, one that says so with the database's place. */
export function explain(error: unknown, place: string): unknown {
  if (!isConnectionError(error) || error instanceof DatabaseUnavailableError) return error;
  const reason = error instanceof AggregateError ? String(error.errors[0]) : (error as Error).message;
  return new DatabaseUnavailableError(
    `${place} can't be reached (${reason || codeOf(error)}). What was being written may or may not be kept; ` +
      'the next request connects again. See that the server runs and the URL is right.',
    { cause: error },
  );
}
