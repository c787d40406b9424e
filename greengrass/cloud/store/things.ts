/** The registry of things, and which certificates are their principals. */
import { given, type Sql } from './sql.js';
import { ConflictError, type Thing, type ThingFilter, type ThingStore } from './store.js';

interface Row {
  thing_name: string;
  thing_id: string;
  thing_arn: string;
  attributes: string;
  thing_type_name: string | null;
  version: number;
  created_at: string;
}

export class SqlThings implements ThingStore {
  constructor(readonly sql: Sql) {}

  async create(thing: Thing): Promise<void> {
    const created = await this.sql.run(
      `INSERT INTO things (thing_name, thing_id, thing_arn, attributes, thing_type_name, version, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      thing.thingName,
      thing.thingId,
      thing.thingArn,
      JSON.stringify(thing.attributes),
      thing.thingTypeName ?? null,
      thing.version,
      thing.createdAt,
    );
    if (created === 0) throw new ConflictError(`thing ${thing.thingName} exists already`);
  }

  async find(thingName: string): Promise<Thing | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM things WHERE thing_name = ?', thingName);
    return row && toThing(row);
  }

  async update(thing: Thing): Promise<void> {
    await this.sql.run(
      'UPDATE things SET attributes = ?, thing_type_name = ?, version = ? WHERE thing_name = ?',
      JSON.stringify(thing.attributes),
      thing.thingTypeName ?? null,
      thing.version,
      thing.thingName,
    );
  }

  delete(thingName: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run('DELETE FROM thing_principals WHERE thing_name = ?', thingName);
      await tx.run('DELETE FROM thing_group_members WHERE thing_name = ?', thingName);
      await tx.run('DELETE FROM things WHERE thing_name = ?', thingName);
    });
  }

  async list(limit: number, after = '', filter: ThingFilter = {}): Promise<Thing[]> {
    const { thingTypeName, attribute } = filter;
    const text = attribute && textOf(attribute);
    const rules = [
      'thing_name > ?',
      ...(thingTypeName === undefined ? [] : ['thing_type_name = ?']),
      // LIKE would have wildcards, and other ideas of case in each database.
      ...(text === undefined ? [] : ["REPLACE(attributes, ?, '') <> attributes"]),
    ];
    const rows = await this.sql.all<Row>(
      `SELECT * FROM things WHERE ${rules.join(' AND ')} ORDER BY thing_name LIMIT ?`,
      after,
      ...(thingTypeName === undefined ? [] : [thingTypeName]),
      ...(text === undefined ? [] : [text]),
      limit,
    );
    return rows.map(toThing);
  }

  async attachPrincipal(thingName: string, certificateId: string): Promise<void> {
    await this.sql.run(
      'INSERT INTO thing_principals (thing_name, certificate_id) VALUES (?, ?) ON CONFLICT DO NOTHING',
      thingName,
      certificateId,
    );
  }

  async detachPrincipal(thingName: string, certificateId: string): Promise<void> {
    await this.sql.run(
      'DELETE FROM thing_principals WHERE thing_name = ? AND certificate_id = ?',
      thingName,
      certificateId,
    );
  }

  async principalsOf(thingName: string): Promise<string[]> {
    const rows = await this.sql.all<{ certificate_id: string }>(
      'SELECT certificate_id FROM thing_principals WHERE thing_name = ? ORDER BY certificate_id',
      thingName,
    );
    return rows.map((row) => row.certificate_id);
  }

  async thingsOf(certificateId: string): Promise<string[]> {
    const rows = await this.sql.all<{ thing_name: string }>(
      'SELECT thing_name FROM thing_principals WHERE certificate_id = ? ORDER BY thing_name',
      certificateId,
    );
    return rows.map((row) => row.thing_name);
  }
}

/** The attribute in the JSON text of all attributes; names and values have neither quotes nor backslashes. */
function textOf({ name, value, isPrefix }: NonNullable<ThingFilter['attribute']>): string {
  const key = `${JSON.stringify(name)}:`;
  if (value === undefined) return key;
  const text = JSON.stringify(value);
  return `${key}${isPrefix ? text.slice(0, -1) : text}`;
}

function toThing(row: Row): Thing {
  return {
    thingName: row.thing_name,
    thingId: row.thing_id,
    thingArn: row.thing_arn,
    attributes: JSON.parse(row.attributes),
    ...given('thingTypeName', row.thing_type_name),
    version: row.version,
    createdAt: row.created_at,
  };
}
