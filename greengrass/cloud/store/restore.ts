/** Reads a backup into an empty store; nothing of it stays where something is not as the manifest says. */
import { createHash } from 'node:crypto';
import { StringDecoder } from 'node:string_decoder';
import { type Entry, open, type ZipFile } from 'yauzl';
import { checkJson } from '../../lib/check.js';
import {
  checkSchemaVersion,
  type DumpTarget,
  decodeRow,
  dumpedTables,
  type Manifest,
  manifestSchema,
  type Row,
} from './dump.js';
import type { Sql } from './sql.js';

/** Values in one INSERT: SQLite takes 32766, PostgreSQL 65535. */
const MOST_VALUES = 10_000;
/** Characters of the lines that go into one INSERT. */
const MOST_TEXT = 4 * 1024 * 1024;
/** More than any manifest or key. */
const MOST_BYTES_AT_ONCE = 256 * 1024 * 1024;

/** `into` makes the store of the schema version, calls the function with it, and keeps it if that resolves. */
export async function readDump(
  file: string,
  into: (schemaVersion: number, fill: (target: DumpTarget) => Promise<void>) => Promise<void>,
): Promise<Manifest> {
  const backup = await Backup.open(file);
  try {
    const text = (await backup.bytes('manifest.json')).toString();
    const manifest = checkJson(manifestSchema, text, `${file}: manifest.json`);
    checkSchemaVersion(manifest.schemaVersion, file);
    checkEntries(backup, manifest);
    await into(manifest.schemaVersion, (target) => fill(backup, manifest, target));
    return manifest;
  } finally {
    backup.close();
  }
}

/** The backup is whole: the tables of its version, and nothing else than its manifest names. */
function checkEntries(backup: Backup, manifest: Manifest): void {
  const expected = new Set([
    'manifest.json',
    ...[...dumpedTables(manifest.schemaVersion).keys()].map((table) => `tables/${table}.jsonl`),
    ...manifest.artifacts.map(({ sha256 }) => `artifacts/${sha256}`),
    ...(manifest.masterKeySha256 === undefined ? [] : ['master.key']),
  ]);
  const missing = [...expected].filter((name) => !backup.names.has(name));
  const unknown = [...backup.names].filter((name) => !expected.has(name));
  if (missing.length > 0) throw new Error(`${backup.file} is damaged: it lacks ${missing.join(', ')}`);
  if (unknown.length > 0)
    throw new Error(`${backup.file} is no backup of this kind: it holds ${unknown.join(', ')}`);
}

async function fill(backup: Backup, manifest: Manifest, target: DumpTarget): Promise<void> {
  for (const [table, columns] of dumpedTables(manifest.schemaVersion)) {
    await fillTable(backup, manifest, target.sql, table, columns);
  }
  for (const artifact of manifest.artifacts) {
    await target.putArtifact(artifact, await backup.stream(`artifacts/${artifact.sha256}`));
  }
  if (manifest.masterKeySha256 === undefined) return;
  const key = await backup.bytes('master.key');
  if (createHash('sha256').update(key).digest('hex') !== manifest.masterKeySha256) {
    throw new Error(`${backup.file} is damaged: master.key is not what the manifest says`);
  }
  target.putMasterKey(key);
}

async function fillTable(
  backup: Backup,
  manifest: Manifest,
  sql: Sql,
  table: string,
  columns: readonly string[],
): Promise<void> {
  const where = `${backup.file}: tables/${table}.jsonl`;
  const hash = createHash('sha256');
  const most = Math.floor(MOST_VALUES / columns.length);
  let rows = 0;
  let batch: Row[] = [];
  let text = 0;
  const flush = async () => {
    await insert(sql, table, columns, batch).catch((error: unknown) => {
      throw new Error(`${where}: lines ${rows - batch.length + 1} to ${rows}: ${(error as Error).message}`, {
        cause: error,
      });
    });
    batch = [];
    text = 0;
  };
  await sql.run(`DELETE FROM "${table}"`);
  for await (const line of linesOf(await backup.stream(`tables/${table}.jsonl`))) {
    hash.update(`${line}\n`);
    batch.push(rowOf(line, columns, `${where}: line ${++rows}`));
    text += line.length;
    if (batch.length === most || text > MOST_TEXT) await flush();
  }
  if (batch.length > 0) await flush();
  const said = manifest.tables[table];
  const kept = await sql.get<{ rows: number }>(`SELECT COUNT(*) AS rows FROM "${table}"`);
  if (rows === said?.rows && kept?.rows === rows && hash.digest('hex') === said.sha256) return;
  throw new Error(`${where} is damaged: its ${rows} rows are not the ${said?.rows ?? 0} of the manifest`);
}

function rowOf(line: string, columns: readonly string[], where: string): Row {
  try {
    const row = decodeRow(line);
    const unknown = Object.keys(row).find((column) => !columns.includes(column));
    if (unknown !== undefined) throw new Error(`there is no column "${unknown}"`);
    return row;
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

async function insert(
  sql: Sql,
  table: string,
  columns: readonly string[],
  rows: readonly Row[],
): Promise<void> {
  const places = `(${columns.map(() => '?').join(', ')})`;
  await sql.run(
    `INSERT INTO "${table}" (${columns.map((column) => `"${column}"`).join(', ')})
     VALUES ${rows.map(() => places).join(', ')}`,
    ...rows.flatMap((row) => columns.map((column) => row[column] ?? null)),
  );
}

async function* linesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(Buffer.from(chunk))).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  rest += decoder.end();
  if (rest !== '') yield rest;
}

/** The zip's entries by name. */
class Backup {
  private constructor(
    readonly file: string,
    readonly zip: ZipFile,
    readonly entries: ReadonlyMap<string, Entry>,
  ) {}

  static open(file: string): Promise<Backup> {
    return new Promise((resolve, reject) => {
      const refuse = (error: Error) =>
        reject(new Error(`${file} can't be read as a backup: ${error.message}`, { cause: error }));
      open(file, { lazyEntries: true, autoClose: false }, (error, zip) => {
        if (error) return refuse(error);
        const entries = new Map<string, Entry>();
        zip.on('error', refuse);
        zip.on('entry', (entry: Entry) => {
          entries.set(entry.fileName, entry);
          zip.readEntry();
        });
        zip.on('end', () => resolve(new Backup(file, zip, entries)));
        zip.readEntry();
      });
    });
  }

  get names(): ReadonlySet<string> {
    return new Set(this.entries.keys());
  }

  stream(name: string): Promise<NodeJS.ReadableStream & AsyncIterable<Buffer>> {
    const entry = this.entries.get(name);
    if (!entry) return Promise.reject(new Error(`${this.file} is no backup: it holds no ${name}`));
    return new Promise((resolve, reject) => {
      this.zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream)));
    });
  }

  async bytes(name: string): Promise<Buffer> {
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of await this.stream(name)) {
      size += part.length;
      if (size > MOST_BYTES_AT_ONCE) throw new Error(`${this.file}: ${name} is too long`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  }

  close(): void {
    this.zip.close();
  }
}
