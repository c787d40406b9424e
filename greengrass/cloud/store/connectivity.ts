/** Addresses of cores, as discovery hands them to devices. */
import type { Sql } from './sql.js';
import type { ConnectivityStore, Endpoint } from './store.js';

export class SqlConnectivity implements ConnectivityStore {
  constructor(readonly sql: Sql) {}

  async find(thingName: string): Promise<{ version: string; endpoints: Endpoint[] } | undefined> {
    const row = await this.sql.get<{ version: string; endpoints: string }>(
      'SELECT version, endpoints FROM connectivity WHERE thing_name = ?',
      thingName,
    );
    return row && { version: row.version, endpoints: JSON.parse(row.endpoints) };
  }

  async put(thingName: string, version: string, endpoints: readonly Endpoint[]): Promise<void> {
    await this.sql.run(
      `INSERT INTO connectivity (thing_name, version, endpoints) VALUES (?, ?, ?)
       ON CONFLICT (thing_name) DO UPDATE SET version = excluded.version, endpoints = excluded.endpoints`,
      thingName,
      version,
      JSON.stringify(endpoints),
    );
  }
}
