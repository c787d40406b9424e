/** Backup from and restore to a data folder: cloud.db, the folder of artifacts, master.key. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { syncFolder, writeFileAtomic } from '../../lib/atomic-file.js';
import { type Database, openDatabase } from '../../lib/sqlite.js';
import { type Artifact, checkSchemaVersion, type DumpSource, type DumpTarget, type Row } from './dump.js';
import { MIGRATIONS } from './schema.js';
import { SqliteSql } from './sqlite-sql.js';
import { holdAlone } from './sqlite-store.js';

const DIGEST = /^[0-9a-f]{64}$/;

/** Runs `work` on one moment of the data folder's store; the cloud may run on it meanwhile. */
export async function fromDataFolder<T>(
  folder: string,
  work: (source: DumpSource) => Promise<T>,
): Promise<T> {
  const path = join(folder, 'cloud.db');
  if (!existsSync(path)) throw new Error(`${folder} holds no store: there is no cloud.db in it`);
  const db = openDatabase(path, { migrations: [], readonly: true });
  try {
    db.exec('BEGIN');
    const schemaVersion = Number(db.pragma('user_version', { simple: true }));
    checkSchemaVersion(schemaVersion, path);
    // Only after this first read is the moment fixed; artifacts are never removed, so all that it names are there.
    db.prepare('SELECT COUNT(*) FROM settings').get();
    const masterKey = readMasterKey(folder);
    return await work({
      schemaVersion,
      artifacts: listArtifacts(join(folder, 'artifacts')),
      ...(masterKey ? { masterKey } : {}),
      rows: (table) => rowsOf(db, table),
      artifact: (sha256) => createReadStream(artifactPath(folder, sha256)),
    });
  } finally {
    db.close();
  }
}

/** The key that secrets are sealed with, where the folder has one. */
export function readMasterKey(folder: string): Buffer | undefined {
  const path = join(folder, 'master.key');
  return existsSync(path) ? readFileSync(path) : undefined;
}

/** Puts the key into the folder; answers how to take it out again. Refuses to replace another one. */
export function writeMasterKey(folder: string, key: Buffer): () => void {
  const path = join(folder, 'master.key');
  const present = readMasterKey(folder);
  if (present?.equals(key)) return () => {};
  if (present) throw new Error(`${path} is another master key than the backup's: move it away first`);
  writeFileAtomic(path, key, 0o600);
  return () => rmSync(path, { force: true });
}

async function* rowsOf(db: Database, table: string): AsyncGenerator<Row> {
  yield* db.prepare<[], Row>(`SELECT * FROM "${table}"`).iterate();
}

function artifactPath(folder: string, sha256: string): string {
  return join(folder, 'artifacts', sha256.slice(0, 2), sha256);
}

function listArtifacts(folder: string): Artifact[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((part) => part.isDirectory())
    .flatMap(({ name }) => readdirSync(join(folder, name)).map((sha256) => [name, sha256] as const))
    .filter(([, sha256]) => DIGEST.test(sha256))
    .map(([name, sha256]) => ({ sha256, size: statSync(join(folder, name, sha256)).size }));
}

/**
 * Lets `fill` put a store of `schemaVersion` into the folder, which holds none; it appears when it is whole, with the
 * present program's tables. Where something fails the folder is as it was.
 */
export async function intoDataFolder(
  folder: string,
  schemaVersion: number,
  fill: (target: DumpTarget) => Promise<void>,
): Promise<void> {
  const path = join(folder, 'cloud.db');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = holdAlone(folder, path);
  const undo: Array<() => void> = [() => lock.close()];
  try {
    if (existsSync(path)) {
      throw new Error(
        `${path} exists: a backup goes into an empty folder only. Name another, or move it away.`,
      );
    }
    const temporary = mkdtempSync(join(folder, '.restore-'));
    undo.push(() => rmSync(temporary, { recursive: true, force: true }));
    const made = join(temporary, 'cloud.db');
    closeSync(openSync(made, 'a', 0o600));
    const sql = new SqliteSql(made, MIGRATIONS.slice(0, schemaVersion));
    try {
      await sql.transaction((tx) =>
        fill({
          sql: tx,
          putArtifact: (artifact, content) => putArtifact(folder, artifact, content, temporary, undo),
          putMasterKey: (key) => void undo.push(writeMasterKey(folder, key)),
        }),
      );
    } finally {
      await sql.close();
    }
    openDatabase(made, { migrations: MIGRATIONS }).close();
    renameSync(made, path);
    syncFolder(folder);
    undo.splice(2);
  } finally {
    for (const step of undo.reverse()) step();
  }
}

/** Adds the file under its digest; one that is there stays. */
async function putArtifact(
  folder: string,
  { sha256, size }: Artifact,
  content: AsyncIterable<Uint8Array>,
  temporary: string,
  undo: Array<() => void>,
): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  const check = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const file = join(temporary, sha256);
  await pipeline(content, check, createWriteStream(file, { mode: 0o600, flush: true }));
  if (bytes !== size || hash.digest('hex') !== sha256) {
    throw new Error(`artifact ${sha256}: its content is not what its digest and size (${size} bytes) say`);
  }
  const path = artifactPath(folder, sha256);
  if (existsSync(path)) return;
  mkdirSync(join(path, '..'), { recursive: true });
  renameSync(file, path);
  syncFolder(join(path, '..'));
  undo.push(() => rmSync(path, { force: true }));
}
