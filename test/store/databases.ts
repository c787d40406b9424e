/** The same tests over both databases. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenedStore, openStore } from '../../greengrass/cloud/store/open-store.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';

/** Calls `tests` once for SQLite and once for PostgreSQL; `opened` answers the present test's empty store. */
export function describeDatabases(name: string, tests: (opened: () => OpenedStore) => void): void {
  let current: OpenedStore | undefined;
  const opened = () => {
    if (!current) throw new Error('the store is open inside of tests only');
    return current;
  };

  describe(`${name} in SQLite`, () => {
    let folder = '';
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'gg-store-'));
      current = await openStore({ dataFolder: folder });
    });
    afterEach(async () => {
      await current?.store.close();
      await rm(folder, { recursive: true });
    });
    tests(opened);
  });

  describeWithPostgres(`${name} in PostgreSQL`, () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await PostgresServer.create();
    });
    afterAll(() => server?.remove());
    beforeEach(async () => {
      current = await openStore({ dataFolder: '/nowhere', databaseUrl: await server.createDatabase() });
    });
    afterEach(() => current?.store.close());
    tests(opened);
  });
}
