/**
 * What the aggregates need of a database: four calls, all asynchronous. SQLite or PostgreSQL is behind them; the SQL
 * that goes through is what both understand (question marks, ON CONFLICT, LIMIT). A BLOB comes back as a Buffer.
 */
export type SqlValue = string | number | Uint8Array | null;

export interface TransactionOptions {
  /**
   * The work decides nothing by what an earlier statement of it has read: each statement is right by itself, and all
   * are kept or none. PostgreSQL then need not watch what others do meanwhile, and nothing collides.
   */
  readonly isOnlyWriting?: boolean;
}

export interface Sql {
  /** The first row, or undefined where there is none. */
  get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined>;
  all<R>(sql: string, ...params: SqlValue[]): Promise<R[]>;
  /** Answers the number of rows that changed. */
  run(sql: string, ...params: SqlValue[]): Promise<number>;
  /**
   * As `run`, for what another write follows before anybody hears of it: PostgreSQL answers at once, and a crash of its
   * server (not of ours) may lose the statement as long as no later write was answered.
   */
  runAhead(sql: string, ...params: SqlValue[]): Promise<number>;
  /**
   * All of `work` or nothing of it, as if nobody else's statement ran in between. Use only `tx` inside. PostgreSQL may
   * have it run again from its start, so it changes nothing but the database.
   */
  transaction<T>(work: (tx: Sql) => Promise<T>, options?: TransactionOptions): Promise<T>;
}

/** `{[key]: value}`, or `{}` where the column is NULL: optional members are absent, not undefined. */
export function given<K extends string, V>(key: K, value: V | null | undefined): { [P in K]?: V } {
  return value === null || value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });
}
