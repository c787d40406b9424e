/** Thing groups of AWS IoT's registry: a tree of named groups, and the things in each. */
import { given, type Sql } from './sql.js';
import { ConflictError } from './store.js';

export interface ThingGroup {
  readonly name: string;
  readonly groupId: string;
  readonly parentName?: string;
  readonly description?: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly version: number;
  readonly createdAt: string;
}

export interface ThingGroupStore {
  create(group: ThingGroup): Promise<void>;
  find(name: string): Promise<ThingGroup | undefined>;
  /** Answers false where the group is no longer of the version before. */
  update(group: ThingGroup): Promise<boolean>;
  /** With its memberships. Answers false, and deletes nothing, where it has groups below it. */
  delete(name: string): Promise<boolean>;
  /** Ordered by name, from `after` (exclusive) on. */
  list(limit: number, after?: string): Promise<ThingGroup[]>;
  childrenOf(name: string): Promise<ThingGroup[]>;
  addThing(groupName: string, thingName: string): Promise<void>;
  removeThing(groupName: string, thingName: string): Promise<void>;
  /** Names of the things, in their order, from `after` (exclusive) on. */
  thingsOf(groupName: string, limit: number, after?: string): Promise<string[]>;
  /** Groups that the thing was put into, by name. */
  groupsOf(thingName: string): Promise<ThingGroup[]>;
}

interface Row {
  name: string;
  group_id: string;
  parent_name: string | null;
  description: string | null;
  attributes: string;
  version: number;
  created_at: string;
}

export class SqlThingGroups implements ThingGroupStore {
  constructor(readonly sql: Sql) {}

  async create(group: ThingGroup): Promise<void> {
    const created = await this.sql.run(
      `INSERT INTO thing_groups (name, group_id, parent_name, description, attributes, version, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      group.name,
      group.groupId,
      group.parentName ?? null,
      group.description ?? null,
      JSON.stringify(group.attributes),
      group.version,
      group.createdAt,
    );
    if (created === 0) throw new ConflictError(`thing group ${group.name} exists already`);
  }

  async find(name: string): Promise<ThingGroup | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM thing_groups WHERE name = ?', name);
    return row && toGroup(row);
  }

  async update(group: ThingGroup): Promise<boolean> {
    const changed = await this.sql.run(
      'UPDATE thing_groups SET description = ?, attributes = ?, version = ? WHERE name = ? AND version = ?',
      group.description ?? null,
      JSON.stringify(group.attributes),
      group.version,
      group.name,
      group.version - 1,
    );
    return changed > 0;
  }

  delete(name: string): Promise<boolean> {
    return this.sql.transaction(async (tx) => {
      const child = await tx.get('SELECT name FROM thing_groups WHERE parent_name = ? LIMIT 1', name);
      if (child) return false;
      await tx.run('DELETE FROM thing_group_members WHERE group_name = ?', name);
      await tx.run('DELETE FROM thing_groups WHERE name = ?', name);
      return true;
    });
  }

  async list(limit: number, after = ''): Promise<ThingGroup[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM thing_groups WHERE name > ? ORDER BY name LIMIT ?',
      after,
      limit,
    );
    return rows.map(toGroup);
  }

  async childrenOf(name: string): Promise<ThingGroup[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM thing_groups WHERE parent_name = ? ORDER BY name',
      name,
    );
    return rows.map(toGroup);
  }

  async addThing(groupName: string, thingName: string): Promise<void> {
    await this.sql.run(
      'INSERT INTO thing_group_members (group_name, thing_name) VALUES (?, ?) ON CONFLICT DO NOTHING',
      groupName,
      thingName,
    );
  }

  async removeThing(groupName: string, thingName: string): Promise<void> {
    await this.sql.run(
      'DELETE FROM thing_group_members WHERE group_name = ? AND thing_name = ?',
      groupName,
      thingName,
    );
  }

  async thingsOf(groupName: string, limit: number, after = ''): Promise<string[]> {
    const rows = await this.sql.all<{ thing_name: string }>(
      `SELECT thing_name FROM thing_group_members WHERE group_name = ? AND thing_name > ?
       ORDER BY thing_name LIMIT ?`,
      groupName,
      after,
      limit,
    );
    return rows.map((row) => row.thing_name);
  }

  async groupsOf(thingName: string): Promise<ThingGroup[]> {
    const rows = await this.sql.all<Row>(
      `SELECT g.* FROM thing_group_members m JOIN thing_groups g ON g.name = m.group_name
       WHERE m.thing_name = ? ORDER BY g.name`,
      thingName,
    );
    return rows.map(toGroup);
  }
}

function toGroup(row: Row): ThingGroup {
  return {
    name: row.name,
    groupId: row.group_id,
    ...given('parentName', row.parent_name),
    ...given('description', row.description),
    attributes: JSON.parse(row.attributes),
    version: row.version,
    createdAt: row.created_at,
  };
}
