import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../greengrass/cloud/store/open-store.js';
import { MIGRATIONS } from '../../greengrass/cloud/store/schema.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import { openDatabase } from '../../greengrass/lib/sqlite.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';
import { describeStore } from './store-suite.js';

let folder = '';
const file = () => join(folder, 'data', 'cloud.db');

describeStore(
  'SQLite',
  async () => {
    folder = await mkdtemp(join(tmpdir(), 'gg-store-'));
    return openStore({ dataFolder: join(folder, 'data') });
  },
  () => openStore({ dataFolder: join(folder, 'data') }),
  () => rm(folder, { recursive: true, force: true }),
);

describeWithPostgres('with PostgreSQL', () => {
  let server: PostgresServer;
  let databaseUrl = '';
  beforeAll(async () => {
    server = await PostgresServer.create();
  });
  afterAll(() => server?.remove());

  describeStore(
    'PostgreSQL',
    async () => {
      databaseUrl = await server.createDatabase();
      return openStore({ dataFolder: '/nowhere', databaseUrl });
    },
    () => openStore({ dataFolder: '/nowhere', databaseUrl }),
    async () => {},
  );
});

describe('the SQLite file', () => {
  it('is readable for its owner only, since it holds private keys', async () => {
    folder = await mkdtemp(join(tmpdir(), 'gg-store-'));
    const store = await openSqliteStore(file());
    expect((await stat(file())).mode & 0o777).toBe(0o600);
    expect((await stat(`${file()}-wal`)).mode & 0o777).toBe(0o600);
    await store.close();
    await rm(folder, { recursive: true });
  });
});

describe('two stores', () => {
  it('do not share a file', async () => {
    folder = await mkdtemp(join(tmpdir(), 'gg-store-'));
    const store = await openSqliteStore(file());
    await expect(openSqliteStore(file())).rejects.toThrow('is in use');
    await store.close();
    await (await openSqliteStore(file())).close();
    await rm(folder, { recursive: true });
  });
});

describe('the tables of a SQLite file', () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gg-store-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it.each(MIGRATIONS.map((_, n) => n + 1))(
    'are brought up to date from version %i, with their rows',
    async (from) => {
      const db = openDatabase(file(), { migrations: MIGRATIONS.slice(0, from) });
      db.exec(`INSERT INTO settings VALUES ('accountId', '123456789012')`);
      db.close();
      const store = await openSqliteStore(file());
      expect(await store.settings.get('accountId')).toBe('123456789012');
      expect(await store.settings.accessKeys()).toEqual([]);
      await store.close();
    },
  );

  it('are refused where a newer program made them', async () => {
    openDatabase(file(), { migrations: [...MIGRATIONS, 'CREATE TABLE of_tomorrow (a TEXT)'] }).close();
    await expect(openSqliteStore(file())).rejects.toThrow('is newer than this program knows');
  });
});
