import { openStore } from '../../greengrass/cloud/store/open-store.js';
import { toPostgres } from '../../greengrass/cloud/store/postgres-schema.js';
import { PostgresSql } from '../../greengrass/cloud/store/postgres-sql.js';
import { MIGRATIONS } from '../../greengrass/cloud/store/schema.js';
import { DatabaseUnavailableError, openPool } from '../../greengrass/lib/postgres.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';

it.each(['mysql://a/b', 'postgres://host', 'cloud.db', ''])(
  'refuses the database URL "%s"',
  async (databaseUrl) => {
    await expect(openStore({ dataFolder: '/nowhere', databaseUrl })).rejects.toThrow(
      'postgres://USER:PASSWORD@HOST',
    );
  },
);

it('turns the types of a migration into those of PostgreSQL', () => {
  expect(toPostgres('CREATE TABLE t (a TEXT NOT NULL, b INTEGER, c BLOB); SELECT CAST(b AS TEXT)')).toBe(
    'CREATE TABLE t (a TEXT COLLATE "C" NOT NULL, b BIGINT, c BYTEA); SELECT CAST(b AS TEXT)',
  );
});

describeWithPostgres('a PostgreSQL database', () => {
  let server: PostgresServer;
  let url = '';
  let sql: PostgresSql;

  beforeAll(async () => {
    server = await PostgresServer.create();
  });
  afterAll(() => server?.remove());
  beforeEach(async () => {
    url = await server.createDatabase();
    sql = new PostgresSql(openPool(url, 4), 'the test database');
    await sql.run('CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL, bytes BYTEA)');
    await sql.run('INSERT INTO counters (name, value) VALUES (?, ?)', 'a', 0);
  });
  afterEach(() => sql.close());

  const value = async () => (await sql.get<{ value: number }>('SELECT value FROM counters'))?.value;

  it('gives integers as numbers and bytes as they were, and leaves question marks in quotes alone', async () => {
    const bytes = new Uint8Array([7, 0, 255]).subarray(1);
    await sql.run('UPDATE counters SET value = ?, bytes = ?', Number.MAX_SAFE_INTEGER, bytes);
    const row = await sql.get(`SELECT value, bytes, '?' AS mark, COUNT(*) AS n FROM counters GROUP BY 1, 2`);
    expect(row).toEqual({ value: Number.MAX_SAFE_INTEGER, bytes: Buffer.from([0, 255]), mark: '?', n: 1 });
    await sql.run('UPDATE counters SET value = 9007199254740993');
    await expect(value()).rejects.toThrow('beyond 2^53');
  });

  it('repeats transactions that collide until each has counted', async () => {
    const add = () =>
      sql.transaction(async (tx) => {
        const row = await tx.get<{ value: number }>('SELECT value FROM counters WHERE name = ?', 'a');
        await tx.run('UPDATE counters SET value = ? WHERE name = ?', (row?.value ?? 0) + 1, 'a');
      });
    await Promise.all(Array.from({ length: 30 }, add));
    expect(await value()).toBe(30);
  });

  it('sees collisions of transactions that write different rows', async () => {
    await sql.run('INSERT INTO counters (name, value) VALUES (?, ?)', 'b', 0);
    const onlyFirst = (name: string) =>
      sql.transaction(async (tx) => {
        const row = await tx.get<{ total: number }>('SELECT SUM(value) AS total FROM counters');
        if (row?.total === 0) await tx.run('UPDATE counters SET value = 1 WHERE name = ?', name);
      });
    await Promise.all([onlyFirst('a'), onlyFirst('b')]);
    expect(await sql.get('SELECT SUM(value) AS total FROM counters')).toEqual({ total: 1 });
  });

  it('keeps nothing of a transaction that failed, or in which a failure was passed over', async () => {
    const failing = sql.transaction(async (tx) => {
      await tx.run('UPDATE counters SET value = 5');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    const careless = sql.transaction(async (tx) => {
      await tx.run('UPDATE counters SET value = 5');
      await tx.run('INSERT INTO counters (name, value) VALUES (?, ?)', 'a', 1).catch(() => {});
    });
    await expect(careless).rejects.toThrow('nothing was kept');
    expect(await value()).toBe(0);
  });

  it('says that the connection broke, without the password, and works again after a restart', async () => {
    const interrupted = sql.transaction(async (tx) => {
      await tx.run('UPDATE counters SET value = 5');
      await server.stop();
      await tx.run('UPDATE counters SET value = 6');
    });
    await expect(interrupted).rejects.toThrow(DatabaseUnavailableError);
    await expect(value()).rejects.toThrow("the test database can't be reached");
    await expect(openStore({ dataFolder: '/nowhere', databaseUrl: url })).rejects.toThrow(
      `PostgreSQL at 127.0.0.1:${server.port}/`,
    );
    await server.start();
    expect(await value()).toBe(0);
  });

  it('survives connections that break while they are idle', async () => {
    await Promise.all(Array.from({ length: 8 }, value));
    await server.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      url,
    );
    const answers = await Promise.allSettled([value(), value()]);
    expect(
      answers.every((a) => a.status === 'fulfilled' || a.reason instanceof DatabaseUnavailableError),
    ).toBe(true);
    expect(await value()).toBe(0);
  });

  it('goes on where a newer replica gives a table another column', async () => {
    const read = () => sql.get<{ value: number }>('SELECT * FROM counters WHERE name = ?', 'a');
    const readInside = () =>
      sql.transaction((tx) => tx.get<{ value: number }>('SELECT * FROM counters WHERE name = ?', 'a'));
    await Promise.all(Array.from({ length: 8 }, (_, n) => (n % 2 ? read() : readInside())));
    await server.query('ALTER TABLE counters ADD COLUMN more TEXT', url);
    const rows = await Promise.all(Array.from({ length: 8 }, (_, n) => (n % 2 ? read() : readInside())));
    expect(rows.map((row) => row?.value)).toEqual(rows.map(() => 0));
  });

  it('gets its tables once where many replicas start together', async () => {
    const stores = await Promise.all(
      [1, 2, 3, 4].map(() => openStore({ dataFolder: '/nowhere', databaseUrl: url })),
    );
    expect(await sql.get('SELECT COUNT(*) AS n, MAX(version) AS newest FROM schema_versions')).toEqual({
      n: MIGRATIONS.length,
      newest: MIGRATIONS.length,
    });
    await Promise.all(stores.map(({ store }) => store.close()));
  });

  it('is refused where a newer program made it', async () => {
    const { store } = await openStore({ dataFolder: '/nowhere', databaseUrl: url });
    await store.close();
    await sql.run('INSERT INTO schema_versions VALUES (?, now())', MIGRATIONS.length + 1);
    const refused = openStore({ dataFolder: '/nowhere', databaseUrl: url });
    await expect(refused).rejects.toThrow(
      `version ${MIGRATIONS.length + 1} is newer than this program knows`,
    );
  });
});
