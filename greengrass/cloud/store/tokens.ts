/** Answers given to client tokens; remembered for a day. */
import type { Sql } from './sql.js';
import type { TokenStore } from './store.js';

const REMEMBERED_MS = 24 * 60 * 60 * 1000;
const FORGET_EVERY_MS = 60_000;

export class SqlTokens implements TokenStore {
  #forgotAtMs = 0;

  constructor(readonly sql: Sql) {}

  find(key: string): Promise<{ fingerprint: string; response: string } | undefined> {
    return this.sql.get('SELECT fingerprint, response FROM tokens WHERE token_key = ?', key);
  }

  /** `at` is ISO 8601; answers that are older than a day by then are forgotten. */
  async put(key: string, fingerprint: string, response: string, at: string): Promise<void> {
    await this.#forget(Date.parse(at));
    await this.sql.run(
      `INSERT INTO tokens (token_key, fingerprint, response, given_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (token_key) DO UPDATE SET fingerprint = excluded.fingerprint,
         response = excluded.response, given_at = excluded.given_at`,
      key,
      fingerprint,
      response,
      at,
    );
  }

  /** Not more often than need be: it is a statement that finds nothing nearly always. */
  async #forget(nowMs: number): Promise<void> {
    if (Math.abs(nowMs - this.#forgotAtMs) < FORGET_EVERY_MS) return;
    this.#forgotAtMs = nowMs;
    await this.sql.run(
      'DELETE FROM tokens WHERE given_at < ?',
      new Date(nowMs - REMEMBERED_MS).toISOString(),
    );
  }
}
