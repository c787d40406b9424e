/**
 * What the aggregates need of a database: four calls, all asynchronous. SQLite is behind it now; the SQL that goes
 * through it is plain (question marks, ON CONFLICT, LIMIT), so that a PostgreSQL driver can stand here too.
 */
export type SqlValue = string | number | null;

export interface Sql {
  /** The first row, or undefined where there is none. */
  get<R>(sql: string, ...params: SqlValue[]): Promise<R | undefined>;
  all<R>(sql: string, ...params: SqlValue[]): Promise<R[]>;
  /** Answers the number of rows that changed. */
  run(sql: string, ...params: SqlValue[]): Promise<number>;
  /** All of `work` or nothing of it; nobody else's statement runs in between. Use only `tx` inside. */
  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T>;
}

/** `{[key]: value}`, or `{}` where the column is NULL: optional members are absent, not undefined. */
export function given<K extends string, V>(key: K, value: V | null | undefined): { [P in K]?: V } {
  return value === null || value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });
}
