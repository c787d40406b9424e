/** Runtime configurations of cores: the switch of their telemetry. */
import type { Sql } from './sql.js';

export type Telemetry = 'On' | 'Off';

export interface RuntimeConfigurationStore {
  /** What was asked for last; undefined where nothing ever was. */
  find(thingName: string): Promise<Telemetry | undefined>;
  put(thingName: string, telemetry: Telemetry): Promise<void>;
}

export class SqlRuntimeConfigurations implements RuntimeConfigurationStore {
  constructor(readonly sql: Sql) {}

  async find(thingName: string): Promise<Telemetry | undefined> {
    const row = await this.sql.get<{ telemetry: Telemetry }>(
      'SELECT telemetry FROM runtime_configurations WHERE thing_name = ?',
      thingName,
    );
    return row?.telemetry;
  }

  async put(thingName: string, telemetry: Telemetry): Promise<void> {
    await this.sql.run(
      `INSERT INTO runtime_configurations (thing_name, telemetry) VALUES (?, ?)
       ON CONFLICT (thing_name) DO UPDATE SET telemetry = excluded.telemetry`,
      thingName,
      telemetry,
    );
  }
}
