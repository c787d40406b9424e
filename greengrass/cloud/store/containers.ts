/** Groups and the seven kinds of definitions: named containers of immutable versions, counted upwards inside. */
import { given, type Sql } from './sql.js';
import { ConflictError, type Container, type ContainerStore, type ContainerVersion } from './store.js';

type Kind = Container['kind'];

const ONLY_WRITING = { isOnlyWriting: true } as const;

interface Row {
  kind: Kind;
  id: string;
  name: string | null;
  created_at: string;
  updated_at: string;
  latest_version: string | null;
  tags: string;
}

interface VersionRow {
  kind: Kind;
  id: string;
  version: string;
  created_at: string;
  content: string;
}

export class SqlContainers implements ContainerStore {
  constructor(readonly sql: Sql) {}

  create(container: Container, initial?: ContainerVersion): Promise<void> {
    return this.sql.transaction(async (tx) => {
      const created = await tx.run(
        `INSERT INTO containers (kind, id, name, created_at, updated_at, latest_version, tags)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        container.kind,
        container.id,
        container.name ?? null,
        container.createdAt,
        container.updatedAt,
        container.latestVersion ?? null,
        JSON.stringify(container.tags),
      );
      if (created === 0) throw new ConflictError(`${container.kind} ${container.id} exists already`);
      if (initial) await insertVersion(tx, initial);
    }, ONLY_WRITING);
  }

  async find(kind: Kind, id: string): Promise<Container | undefined> {
    const row = await this.sql.get<Row>('SELECT * FROM containers WHERE kind = ? AND id = ?', kind, id);
    return row && toContainer(row);
  }

  async rename(kind: Kind, id: string, name: string, updatedAt: string): Promise<void> {
    await this.sql.run(
      'UPDATE containers SET name = ?, updated_at = ? WHERE kind = ? AND id = ?',
      name,
      updatedAt,
      kind,
      id,
    );
  }

  async setTags(kind: Kind, id: string, tags: Readonly<Record<string, string>>): Promise<void> {
    const text = JSON.stringify(tags);
    await this.sql.run('UPDATE containers SET tags = ? WHERE kind = ? AND id = ?', text, kind, id);
  }

  delete(kind: Kind, id: string): Promise<void> {
    return this.sql.transaction(async (tx) => {
      await tx.run('DELETE FROM container_versions WHERE kind = ? AND id = ?', kind, id);
      await tx.run('DELETE FROM containers WHERE kind = ? AND id = ?', kind, id);
    });
  }

  async list(kind: Kind, limit: number, after = ''): Promise<Container[]> {
    const rows = await this.sql.all<Row>(
      'SELECT * FROM containers WHERE kind = ? AND id > ? ORDER BY id LIMIT ?',
      kind,
      after,
      limit,
    );
    return rows.map(toContainer);
  }

  addVersion(version: ContainerVersion): Promise<void> {
    return this.sql.transaction((tx) => insertVersion(tx, version), ONLY_WRITING);
  }

  async findVersion(kind: Kind, id: string, version: string): Promise<ContainerVersion | undefined> {
    return this.sql
      .get<VersionRow>(
        'SELECT * FROM container_versions WHERE kind = ? AND id = ? AND version = ?',
        kind,
        id,
        version,
      )
      .then((row) => row && toVersion(row));
  }

  async findWithVersion(
    kind: Kind,
    id: string,
    version: string,
  ): Promise<{ version?: ContainerVersion } | undefined> {
    const row = await this.sql.get<Omit<VersionRow, 'version'> & { version: string | null }>(
      `SELECT c.kind, c.id, v.version, v.created_at, v.content FROM containers c LEFT JOIN container_versions v
         ON v.kind = c.kind AND v.id = c.id AND v.version = ? WHERE c.kind = ? AND c.id = ?`,
      version,
      kind,
      id,
    );
    if (!row) return undefined;
    return row.version === null ? {} : { version: toVersion({ ...row, version: row.version }) };
  }

  async listVersions(kind: Kind, id: string, limit: number, after?: string): Promise<ContainerVersion[]> {
    const rows =
      after === undefined
        ? await this.sql.all<VersionRow>(
            'SELECT * FROM container_versions WHERE kind = ? AND id = ? ORDER BY number DESC LIMIT ?',
            kind,
            id,
            limit,
          )
        : await this.sql.all<VersionRow>(
            `SELECT * FROM container_versions WHERE kind = ? AND id = ? AND number <
               (SELECT number FROM container_versions WHERE kind = ? AND id = ? AND version = ?)
             ORDER BY number DESC LIMIT ?`,
            kind,
            id,
            kind,
            id,
            after,
            limit,
          );
    return rows.map(toVersion);
  }
}

/**
 * Adds the version under the next number and makes it the latest; not a change of the container itself. The container's
 * row comes first: it is held until the commit, so that versions of one container are numbered one after the other.
 */
async function insertVersion(tx: Sql, version: ContainerVersion): Promise<void> {
  const { kind, id } = version;
  const named = await tx.run(
    'UPDATE containers SET latest_version = ? WHERE kind = ? AND id = ?',
    version.version,
    kind,
    id,
  );
  if (named === 0) throw new ConflictError(`${kind} ${id} does not exist, so no version can be added to it`);
  const created = await tx.run(
    `INSERT INTO container_versions (kind, id, version, number, created_at, content)
     SELECT ?, ?, ?, COALESCE(MAX(number), 0) + 1, ?, ? FROM container_versions WHERE kind = ? AND id = ?
     ON CONFLICT DO NOTHING`,
    kind,
    id,
    version.version,
    version.createdAt,
    version.content,
    kind,
    id,
  );
  if (created === 0) throw new ConflictError(`version ${version.version} of ${kind} ${id} exists already`);
}

function toContainer(row: Row): Container {
  return {
    kind: row.kind,
    id: row.id,
    ...given('name', row.name),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    ...given('latestVersion', row.latest_version),
    tags: JSON.parse(row.tags),
  };
}

function toVersion(row: VersionRow): ContainerVersion {
  return {
    kind: row.kind,
    id: row.id,
    version: row.version,
    createdAt: row.created_at,
    content: row.content,
  };
}
