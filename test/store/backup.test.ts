import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { Command } from 'commander';
import yauzl from 'yauzl';
import yazl from 'yazl';
import { backupCommand, restoreCommand } from '../../greengrass/cloud/bin/backup.js';
import { type DumpSource, dumpedTables } from '../../greengrass/cloud/store/dump.js';
import { fromPostgres } from '../../greengrass/cloud/store/dump-postgres.js';
import { fromDataFolder } from '../../greengrass/cloud/store/dump-sqlite.js';
import { type OpenedStore, openStore } from '../../greengrass/cloud/store/open-store.js';
import { MIGRATIONS } from '../../greengrass/cloud/store/schema.js';
import { openDatabase } from '../../greengrass/lib/sqlite.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';

/** Runs a command as the program does; answers what it prints, rejects with its error. */
async function cloud(...args: string[]): Promise<string> {
  const lines: string[] = [];
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  backupCommand(program, (line) => lines.push(line));
  restoreCommand(program, (line) => lines.push(line));
  await program.parseAsync(args, { from: 'user' });
  return lines.join('\n');
}

const AT = '2026-01-02T03:04:05.678Z';
const ARTIFACT = randomBytes(2.5 * 1024 * 1024);

// Commands would take the database from there.
delete process.env.GREENGRASS_DATABASE_URL;

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gg-backup-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A place for a store, and the arguments that name it. */
interface Place {
  readonly dataFolder: string;
  readonly databaseUrl?: string;
  readonly args: readonly string[];
}

let places = 0;
function sqlite(): Place {
  const dataFolder = join(folder, `data ${++places}`);
  return { dataFolder, args: ['--data', dataFolder] };
}

/** Everything that the store holds, in an order of its own. */
async function contentOf({ dataFolder, databaseUrl }: Place): Promise<unknown> {
  const read = async (source: DumpSource) => {
    const tables: Record<string, string[]> = {};
    for (const table of dumpedTables(source.schemaVersion).keys()) {
      const rows: string[] = [];
      for await (const row of source.rows(table)) rows.push(JSON.stringify(Object.entries(row).sort()));
      tables[table] = rows.sort();
    }
    const artifacts: Record<string, string> = {};
    for (const { sha256 } of source.artifacts) {
      const parts: Uint8Array[] = [];
      for await (const part of source.artifact(sha256)) parts.push(part);
      artifacts[sha256] = Buffer.concat(parts).toString('base64');
    }
    return { version: source.schemaVersion, tables, artifacts, masterKey: source.masterKey?.toString() };
  };
  return databaseUrl === undefined
    ? fromDataFolder(dataFolder, read)
    : fromPostgres({ url: databaseUrl, dataFolder }, read);
}

async function fillStore({ store, artifacts }: OpenedStore, isSqlite: boolean): Promise<void> {
  const quirks = `'"\\ \u00e4\u{1f600}\n\u2028`;
  const settings = Array.from(
    { length: 250 },
    (_, n) => [`setting ${n} ${quirks}`, quirks.repeat(n)] as const,
  );
  // At once they share one commit of SQLite; in PostgreSQL they would collide.
  const step = isSqlite ? settings.length : 1;
  for (let n = 0; n < settings.length; n += step) {
    await Promise.all(settings.slice(n, n + step).map(([name, value]) => store.settings.set(name, value)));
  }
  await store.things.create({
    ...{
      thingName: 'core',
      thingId: 'i',
      thingArn: 'arn',
      attributes: { colour: quirks },
      version: 1,
      createdAt: AT,
    },
  });
  await store.shadows.replace('core', undefined, { version: 7 });
  await store.authorities.create({
    ...{ authorityId: 'a', groupId: 'g', certificatePem: 'c', privateKeyPem: 'k', createdAt: AT },
  });
  await store.authorities.setServerCertificateExpiryMs('g', 2_592_000_000);
  await artifacts.put(ARTIFACT);
  await artifacts.put(Buffer.alloc(0));
}

async function filled(place: Place): Promise<Place> {
  const opened = await openStore(place);
  await fillStore(opened, place.databaseUrl === undefined);
  await opened.store.close();
  await mkdir(place.dataFolder, { recursive: true });
  await writeFile(join(place.dataFolder, 'master.key'), 'the key', { mode: 0o600 });
  return place;
}

async function backUpAndRestore(from: Place, to: Place): Promise<void> {
  const file = join(folder, 'backup.zip');
  await cloud('backup', ...from.args, '--to', file);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  await cloud('restore', ...to.args, '--from', file);
  const content = await contentOf(to);
  expect(content).toEqual(await contentOf(from));
  expect(content).toMatchObject({ version: MIGRATIONS.length, masterKey: 'the key' });
  expect((await stat(join(to.dataFolder, 'master.key'))).mode & 0o777).toBe(0o600);
  if (to.databaseUrl === undefined) {
    expect((await stat(join(to.dataFolder, 'cloud.db'))).mode & 0o777).toBe(0o600);
  }
  const { store, artifacts } = await openStore(to);
  expect((await store.things.find('core'))?.thingArn).toBe('arn');
  await artifacts.put(Buffer.from('new'));
  await store.close();
}

/** The backup with its entries changed. */
async function forge(file: string, change: (entries: Map<string, Buffer>) => void): Promise<string> {
  const entries = new Map<string, Buffer>();
  const zip = await promisify<string, yauzl.Options, yauzl.ZipFile>(yauzl.open)(file, { autoClose: false });
  const found: yauzl.Entry[] = [];
  zip.on('entry', (entry: yauzl.Entry) => found.push(entry));
  await new Promise((resolve) => zip.once('end', resolve));
  for (const entry of found) {
    const parts: Buffer[] = [];
    const stream = await promisify<yauzl.Entry, Readable>(zip.openReadStream.bind(zip))(entry);
    for await (const part of stream) parts.push(part as Buffer);
    entries.set(entry.fileName, Buffer.concat(parts));
  }
  zip.close();
  change(entries);
  const forged = new yazl.ZipFile();
  for (const [name, content] of entries) forged.addBuffer(content, name, { compress: false });
  forged.end();
  const path = join(folder, 'forged.zip');
  await pipeline(forged.outputStream, createWriteStream(path));
  return path;
}

function describeRestore(empty: () => Promise<Place>): void {
  const replaced = (entries: Map<string, Buffer>, name: string, from: string | RegExp, to: string) => {
    const text = entries.get(name)?.toString() ?? '';
    const changed = text.replace(from, to);
    if (changed === text) throw new Error(`${name} holds no ${from}`);
    entries.set(name, Buffer.from(changed));
  };
  const damages: ReadonlyArray<readonly [string, string, (entries: Map<string, Buffer>) => void]> = [
    ['a row is missing', 'is damaged', (e) => replaced(e, 'tables/settings.jsonl', /^[^\n]*\n/, '')],
    ['a value changed', 'is damaged', (e) => replaced(e, 'tables/things.jsonl', '"arn"', '"arm"')],
    ['a line is no JSON', 'things.jsonl: line 1', (e) => replaced(e, 'tables/things.jsonl', '{', '[')],
    [
      'a column is unknown',
      'no column "evil"',
      (e) => replaced(e, 'tables/things.jsonl', 'thing_arn', 'evil'),
    ],
    [
      'a value is missing',
      'lines 1 to 1',
      (e) => replaced(e, 'tables/things.jsonl', '"thing_arn":"arn",', ''),
    ],
    ['a table is missing', 'it lacks tables/things.jsonl', (e) => void e.delete('tables/things.jsonl')],
    ['there is more', 'it holds evil', (e) => void e.set('evil', Buffer.from(''))],
    ['the manifest is missing', 'holds no manifest.json', (e) => void e.delete('manifest.json')],
    ['its manifest is broken', 'manifest.json', (e) => replaced(e, 'manifest.json', '"format"', '"formal"')],
    [
      'it is of a newer program',
      'is newer than',
      (e) => replaced(e, 'manifest.json', '"schemaVersion": ', '"schemaVersion": 9'),
    ],
    ['the key changed', 'master.key is not', (e) => replaced(e, 'master.key', 'the', 'thy')],
    [
      'an artifact changed',
      'its content is not',
      (e) => {
        const [name = ''] = [...e.keys()].filter((key) => key.startsWith('artifacts/') && e.get(key)?.length);
        e.get(name)?.writeUInt8(1 ^ (e.get(name)?.readUInt8(5) ?? 0), 5);
      },
    ],
  ];

  it('keeps nothing of a backup that is not whole', async () => {
    const file = join(folder, 'backup.zip');
    await cloud('backup', ...(await filled(sqlite())).args, '--to', file);
    const target = await empty();
    for (const [what, message, change] of damages) {
      const forged = await forge(file, change);
      const error: Error | string = await cloud('restore', ...target.args, '--from', forged).catch((e) => e);
      expect(`${what}: ${error}`).toContain(message);
    }
    const left = await readdir(target.dataFolder, { recursive: true, withFileTypes: true }).catch(() => []);
    expect(left.filter((entry) => entry.isFile() && entry.name !== 'cloud.lock')).toEqual([]);
    await writeFile(join(folder, 'text.zip'), 'no zip');
    const restored = cloud('restore', ...target.args, '--from', join(folder, 'text.zip'));
    await expect(restored).rejects.toThrow("can't be read as a backup");
    await cloud('restore', ...target.args, '--from', file);
  }, 180_000);

  it('does not touch a store that holds something', async () => {
    const file = join(folder, 'backup.zip');
    await cloud('backup', ...(await filled(sqlite())).args, '--to', file);
    const target = await empty();
    const { store } = await openStore(target);
    await store.settings.set('mine', 'yes');
    await store.close();
    const before = await contentOf(target);
    const restored = cloud('restore', ...target.args, '--from', file);
    await expect(restored).rejects.toThrow(/exists|is not empty/);
    expect(await contentOf(target)).toEqual(before);
  });

  it('brings a backup of an older version to the present tables', async () => {
    const old = sqlite();
    await mkdir(old.dataFolder);
    const db = openDatabase(join(old.dataFolder, 'cloud.db'), { migrations: MIGRATIONS.slice(0, 1) });
    db.exec(`INSERT INTO settings VALUES ('accountId', '123456789012')`);
    db.exec(`INSERT INTO access_keys VALUES ('AKIA', 's', '${AT}')`);
    db.close();
    const file = join(folder, 'old.zip');
    await cloud('backup', ...old.args, '--to', file);
    const target = await empty();
    await cloud('restore', ...target.args, '--from', file);
    const { store } = await openStore(target);
    expect(await store.settings.get('accountId')).toBe('123456789012');
    expect(await store.settings.accessKeys()).toMatchObject([{ accessKeyId: 'AKIA', status: 'Active' }]);
    await store.close();
  });
}

describe('a backup of a data folder', () => {
  it('comes back in another data folder', async () => {
    await backUpAndRestore(await filled(sqlite()), sqlite());
  });

  it('holds one moment, while the cloud writes', async () => {
    const place = sqlite();
    const { store } = await openStore(place);
    let isOver = false;
    let count = 0;
    const writing = (async () => {
      for (; !isOver; count++) {
        const id = `v${count}`;
        const container = { kind: 'cores' as const, id, createdAt: AT, updatedAt: AT, tags: {} };
        await store.containers.create(container, {
          kind: 'cores',
          id,
          version: id,
          createdAt: AT,
          content: '{}',
        });
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const file = join(folder, 'backup.zip');
    await waitFor(() => count > 20);
    await cloud('backup', ...place.args, '--to', file);
    isOver = true;
    await writing;
    await store.close();
    const copy = sqlite();
    await cloud('restore', ...copy.args, '--from', file);
    const { tables } = (await contentOf(copy)) as { tables: Record<string, string[]> };
    const rows = tables.containers?.length ?? 0;
    expect(rows).toBe(tables.container_versions?.length);
    expect(rows).toBeGreaterThan(0);
    expect(rows).toBeLessThanOrEqual(count);
  });

  it('says what is wrong with the command line, or with the folder', async () => {
    const file = join(folder, 'backup.zip');
    await expect(cloud('backup', '--to', file)).rejects.toThrow('--data DIR');
    await expect(cloud('backup', '--data', folder, '--to', file)).rejects.toThrow('no cloud.db');
    await expect(cloud('restore', '--data', folder, '--from', file)).rejects.toThrow('no such file');
    await expect(cloud('backup', '--database-url', 'mysql://a/b', '--to', file)).rejects.toThrow(
      'postgres://',
    );
    expect(await readdir(folder)).not.toContain('backup.zip');
  });

  it('leaves the old file where a new one can not be finished', async () => {
    const place = await filled(sqlite());
    const file = join(folder, 'backup.zip');
    await writeFile(file, 'the old one');
    const [first = ''] = await readdir(join(place.dataFolder, 'artifacts'));
    const artifacts = join(place.dataFolder, 'artifacts', first);
    const [name = ''] = await readdir(artifacts);
    await rm(join(artifacts, name));
    await mkdir(join(artifacts, name));
    await expect(cloud('backup', ...place.args, '--to', file)).rejects.toThrow();
    expect(await readFile(file, 'utf8')).toBe('the old one');
    expect((await readdir(folder)).filter((entry) => entry.endsWith('.tmp'))).toEqual([]);
  });
});

describe('a restore to a data folder', () => {
  describeRestore(async () => sqlite());

  it('waits for no running cloud, it refuses', async () => {
    const place = await filled(sqlite());
    const file = join(folder, 'backup.zip');
    await cloud('backup', ...place.args, '--to', file);
    const running = sqlite();
    const { store } = await openStore(running);
    try {
      await expect(cloud('restore', ...running.args, '--from', file)).rejects.toThrow('is in use');
    } finally {
      await store.close();
    }
  });
});

describeWithPostgres('with PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.create();
  });
  afterAll(() => server?.remove());

  async function postgres(): Promise<Place> {
    const databaseUrl = await server.createDatabase();
    const dataFolder = join(folder, `replica ${++places}`);
    return { dataFolder, databaseUrl, args: ['--database-url', databaseUrl, '--data', dataFolder] };
  }

  it('a backup of a data folder comes back in a database', async () => {
    await backUpAndRestore(await filled(sqlite()), await postgres());
  });

  it('a backup of a database comes back in a data folder', async () => {
    await backUpAndRestore(await filled(await postgres()), sqlite());
  });

  it('a backup of a database comes back in another, also where its tables are made already', async () => {
    const target = await postgres();
    await (await openStore(target)).store.close();
    await backUpAndRestore(await filled(await postgres()), target);
  });

  describe('a restore to a database', () => {
    describeRestore(postgres);
  });

  it('a master key needs a folder to go to', async () => {
    const file = join(folder, 'backup.zip');
    await cloud('backup', ...(await filled(sqlite())).args, '--to', file);
    const { databaseUrl = '' } = await postgres();
    const restored = cloud('restore', '--database-url', databaseUrl, '--from', file);
    await expect(restored).rejects.toThrow('name the data folder');
  });
});
