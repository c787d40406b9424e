import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fromDataFolder } from '../../greengrass/cloud/store/dump-sqlite.js';
import { type OpenStoreOptions, openStore } from '../../greengrass/cloud/store/open-store.js';
import { start, waitForExit } from '../../greengrass/lib/subprocess.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';

const WRITER = fileURLToPath(new URL('./writer.js', import.meta.url));

/** Starts a writer, kills it after `count` acknowledged writes, and answers all that it acknowledged. */
async function killedWriter(place: OpenStoreOptions, count: number): Promise<string[]> {
  const { dataFolder, databaseUrl } = place;
  const args = [WRITER, dataFolder, ...(databaseUrl === undefined ? [] : [databaseUrl])];
  const child = await start(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = waitForExit(child);
  const acknowledged: string[] = [];
  if (!child.stdout) throw new Error('no pipe');
  for await (const id of createInterface(child.stdout)) {
    acknowledged.push(id);
    if (acknowledged.length === count) child.kill('SIGKILL');
  }
  expect(await ended).toEqual({ code: null, signal: 'SIGKILL' });
  return acknowledged;
}

async function expectAllKept(place: OpenStoreOptions, acknowledged: readonly string[]): Promise<void> {
  const { store, artifacts, exclusive } = await openStore(place);
  try {
    for (const id of acknowledged) {
      expect(await store.containers.findVersion('cores', id, 'v')).toBeDefined();
      expect(await artifacts.size(createHash('sha256').update(id).digest('hex'))).toBe(id.length);
    }
    for (const { id } of await store.containers.list('cores', 10_000)) {
      // What was not acknowledged is there as a whole, or not at all; and its lock went with the process.
      expect(await exclusive.run(id, () => store.containers.findVersion('cores', id, 'v'))).toBeDefined();
    }
  } finally {
    await store.close();
  }
}

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gg-crash-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it.each([1, 57, 300])(
  'a data folder keeps what it acknowledged when its process is killed (%i)',
  async (count) => {
    const place = { dataFolder: folder };
    const acknowledged = await killedWriter(place, count);
    expect(acknowledged.length).toBeGreaterThanOrEqual(count);
    const backedUp = await fromDataFolder(folder, async (source) => {
      let rows = 0;
      for await (const _ of source.rows('containers')) rows++;
      return rows;
    });
    expect(backedUp).toBeGreaterThanOrEqual(acknowledged.length);
    await expectAllKept(place, acknowledged);
  },
);

describeWithPostgres('with PostgreSQL', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await PostgresServer.create();
  });
  afterAll(() => server?.remove());

  it.each([1, 57, 300])(
    'a database keeps what it acknowledged when a replica is killed (%i)',
    async (count) => {
      const place = { dataFolder: folder, databaseUrl: await server.createDatabase() };
      await expectAllKept(place, await killedWriter(place, count));
    },
  );
});
