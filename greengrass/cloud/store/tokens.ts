/** Answers given to client tokens; remembered for a day. */
import type { Sql } from './sql.js';
import type { TokenStore } from './store.js';

const REMEMBERED_MS = 24 * 60 * 60 * 1000;

export class SqlTokens implements TokenStore {
  constructor(readonly sql: Sql) {}

  find(key: string): Promise<{ fingerprint: string; response: string } | undefined> {
    return this.sql.get('SELECT fingerprint, response FROM tokens WHERE token_key = ?', key);
  }

  /** `at` is ISO 8601; answers that are older than a day by then are forgotten. */
  put(key: string, fingerprint: string, response: string, at: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const oldest = new Date(Date.parse(at) - REMEMBERED_MS).toISOString();
      await tx.run('DELETE FROM tokens WHERE given_at < ?', oldest);
      await tx.run(
        `INSERT INTO tokens (token_key, fingerprint, response, given_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (token_key) DO UPDATE SET fingerprint = excluded.fingerprint,
           response = excluded.response, given_at = excluded.given_at`,
        key,
        fingerprint,
        response,
        at,
      );
    });
  }
}
