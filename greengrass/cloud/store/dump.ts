/**
 * A backup: one zip that holds all of a store whatever database it is in. `tables/<name>.jsonl` has a row per line,
 * `artifacts/<sha256>` the functions' zips, `master.key` what secrets are sealed with, and `manifest.json` what
 * must be there: counts and digests.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, createWriteStream, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import yazl from 'yazl';
import { syncFolder } from '../../lib/atomic-file.js';
import { z } from '../../lib/check.js';
import { openDatabase } from '../../lib/sqlite.js';
import { MIGRATIONS } from './schema.js';
import type { Sql, SqlValue } from './sql.js';

export type Row = Readonly<Record<string, SqlValue>>;

export interface Artifact {
  readonly sha256: string;
  /** In bytes. */
  readonly size: number;
}

/** What a backup is made from: one moment of a store. */
export interface DumpSource {
  readonly schemaVersion: number;
  readonly artifacts: readonly Artifact[];
  readonly masterKey?: Buffer;
  rows(table: string): AsyncIterable<Row>;
  artifact(sha256: string): AsyncIterable<Uint8Array>;
}

/** Where a backup is put back. */
export interface DumpTarget {
  /** Inside of the transaction that keeps all or nothing. */
  readonly sql: Sql;
  /** Rejects where `content` is not what digest and size say. */
  putArtifact(artifact: Artifact, content: AsyncIterable<Uint8Array>): Promise<void>;
  putMasterKey(key: Buffer): void;
}

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const count = z.number().int().nonnegative();

/** The content of manifest.json. */
export const manifestSchema = z.object({
  format: z.literal(1),
  /** The program that made it. */
  version: z.string(),
  createdAt: z.string(),
  schemaVersion: z.number().int().positive(),
  tables: z.record(z.string(), z.object({ rows: count, sha256: digest })),
  artifacts: z.array(z.object({ sha256: digest, size: count })),
  masterKeySha256: digest.optional(),
});
export type Manifest = z.output<typeof manifestSchema>;

/** Traffic between replicas, and what a dump keeps in another form. */
const NOT_DUMPED = new Set(['bus_messages', 'bus_position', 'artifacts', 'artifact_chunks']);

/** The tables (and their columns) of a schema version, by making them: the list belongs to no database. */
export function tablesAt(schemaVersion: number): Map<string, string[]> {
  const db = openDatabase(':memory:', { migrations: MIGRATIONS.slice(0, schemaVersion) });
  try {
    const columns = db
      .prepare<[], { table_name: string; column_name: string }>(
        `SELECT m.name AS table_name, c.name AS column_name FROM sqlite_master m JOIN pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid`,
      )
      .all();
    const tables = new Map<string, string[]>();
    for (const { table_name, column_name } of columns) {
      tables.set(table_name, [...(tables.get(table_name) ?? []), column_name]);
    }
    return tables;
  } finally {
    db.close();
  }
}

/** Those of them that a backup holds row by row. */
export function dumpedTables(schemaVersion: number): Map<string, string[]> {
  return new Map([...tablesAt(schemaVersion)].filter(([name]) => !NOT_DUMPED.has(name)));
}

/** Throws where the database was made by a newer program, or by none. */
export function checkSchemaVersion(schemaVersion: number, where: string): void {
  if (schemaVersion < 1) throw new Error(`${where} holds no store of greengrass-cloud`);
  if (schemaVersion <= MIGRATIONS.length) return;
  throw new Error(
    `${where}: its schema version ${schemaVersion} is newer than this program knows (${MIGRATIONS.length}): ` +
      'use the version of greengrass-cloud that made it, or a newer one',
  );
}

/**
 * Writes the backup to `file`, which appears when it is whole, readable for its owner only: it holds private keys.
 * `version` is the program's. Answers the manifest.
 */
export async function writeDump(source: DumpSource, file: string, version: string): Promise<Manifest> {
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}.tmp`);
  const streams = new Set<Readable>();
  try {
    const zip = new yazl.ZipFile();
    const manifest = addEntries(zip, source, version, streams);
    await writeZip(zip, temporary);
    renameSync(temporary, file);
    syncFolder(dirname(file));
    return manifest;
  } catch (error) {
    for (const stream of streams) stream.destroy();
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * The manifest is complete when the zip is: it is filled while the entries are read, and the last of them. `streams`
 * gets those that were begun: yazl neither ends them nor hears of their errors.
 */
function addEntries(
  zip: yazl.ZipFile,
  source: DumpSource,
  version: string,
  streams: Set<Readable>,
): Manifest {
  const { schemaVersion, artifacts, masterKey } = source;
  const manifest: Manifest = {
    ...{ format: 1, version, createdAt: new Date().toISOString(), schemaVersion },
    ...{ tables: {}, artifacts: [...artifacts] },
    ...(masterKey ? { masterKeySha256: createHash('sha256').update(masterKey).digest('hex') } : {}),
  };
  const add = (name: string, compress: boolean, content: () => AsyncIterable<Uint8Array>) =>
    zip.addReadStreamLazy(name, { compress, mode: 0o100600 }, (give) => {
      const stream = Readable.from(content(), { objectMode: false });
      streams.add(stream);
      stream.on('error', (error) => zip.emit('error', error));
      stream.on('close', () => streams.delete(stream));
      give(null, stream);
    });
  for (const table of dumpedTables(schemaVersion).keys()) {
    add(`tables/${table}.jsonl`, true, () => linesOf(source.rows(table), table, manifest));
  }
  for (const { sha256 } of artifacts) add(`artifacts/${sha256}`, false, () => source.artifact(sha256));
  if (masterKey) zip.addBuffer(masterKey, 'master.key', { mode: 0o100600 });
  add('manifest.json', true, async function* () {
    yield Buffer.from(JSON.stringify(manifest, null, 2));
  });
  zip.end();
  return manifest;
}

async function* linesOf(
  source: AsyncIterable<Row>,
  table: string,
  manifest: Manifest,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let rows = 0;
  for await (const row of source) {
    const line = Buffer.from(encodeRow(row));
    hash.update(line);
    rows++;
    yield line;
  }
  manifest.tables[table] = { rows, sha256: hash.digest('hex') };
}

async function writeZip(zip: yazl.ZipFile, file: string): Promise<void> {
  const output = zip.outputStream as Readable;
  // The output of a zip that can't go on would never end.
  zip.on('error', (error: Error) => output.destroy(error));
  const target = createWriteStream(file, { flags: 'wx', mode: 0o600 });
  await once(target, 'open');
  await pipeline(output, target);
  const fd = openSync(file, 'r+');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** One line of a table: an object of its columns; bytes are `{"base64": …}`. */
function encodeRow(row: Row): string {
  const members = Object.entries(row).map(([column, value]) => [
    column,
    value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value,
  ]);
  return `${JSON.stringify(Object.fromEntries(members))}\n`;
}

const rowSchema = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.null(), z.object({ base64: z.base64() })]),
);

/** The way back; throws where the line is no row. */
export function decodeRow(line: string): Row {
  const members = Object.entries(rowSchema.parse(JSON.parse(line))).map(([column, value]) => [
    column,
    value !== null && typeof value === 'object' ? Buffer.from(value.base64, 'base64') : value,
  ]);
  return Object.fromEntries(members);
}
