/** Thing types of AWS IoT's registry: a name, a description, and whether new things may have it. */
import { given, type Sql } from './sql.js';
import { ConflictError } from './store.js';

export interface ThingType {
  readonly name: string;
  readonly typeId: string;
  readonly description?: string;
  readonly searchableAttributes: readonly string[];
  readonly createdAt: string;
  /** Present where it is deprecated: things keep it, no other thing gets it. */
  readonly deprecatedAt?: string;
}

export interface ThingTypeStore {
  create(type: ThingType): Promise<void>;
  find(name: string): Promise<ThingType | undefined>;
  /** Ordered by name, from `after` (exclusive) on. */
  list(limit: number, after?: string): Promise<ThingType[]>;
  /** Undefined: no longer deprecated. */
  setDeprecated(name: string, at: string | undefined): Promise<void>;
  delete(name: string): Promise<void>;
}

interface Row {
  name: string;
  type_id: string;
  description: string | null;
  searchable_attributes: string;
  created_at: string;
  deprecated_at: string | null;
}

export class SqlThingTypes implements ThingTypeStore {
  constructor(readonly sql: Sql) {}

  async create(type: ThingType): Promise<void> {
    const created = await this.sql.run(
      `INSERT INTO thing_types (name, type_id, description, searchable_attributes, created_at, deprecated_at)
       VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      type.name,
      type.typeId,
      type.description ?? null,
      JSON.stringify(type.searchableAttributes),
      type.createdAt,
      type.deprecatedAt ?? null,
    );
    if (created === 0) throw new ConflictError(`thing type ${type.name} exists already`);
  }

  async find(name: string): Promise<ThingType | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM thing_types WHERE name = ?', name);
    return row && toType(row);
  }

  async list(limit: number, after = ''): Promise<ThingType[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM thing_types WHERE name > ? ORDER BY name LIMIT ?',
      after,
      limit,
    );
    return rows.map(toType);
  }

  async setDeprecated(name: string, at: string | undefined): Promise<void> {
    await this.sql.run('UPDATE thing_types SET deprecated_at = ? WHERE name = ?', at ?? null, name);
  }

  async delete(name: string): Promise<void> {
    await this.sql.run('DELETE FROM thing_types WHERE name = ?', name);
  }
}

function toType(row: Row): ThingType {
  return {
    name: row.name,
    typeId: row.type_id,
    ...given('description', row.description),
    searchableAttributes: JSON.parse(row.searchable_attributes),
    createdAt: row.created_at,
    ...given('deprecatedAt', row.deprecated_at),
  };
}
