/**
 * What crash.test.ts kills: writes to the store until it ends, and prints each name once the store says that it is
 * kept. Arguments: data folder, then the database URL if there is one.
 */
import { openStore } from '../../greengrass/cloud/store/open-store.js';

const AT = '2026-01-02T03:04:05.678Z';
const [dataFolder = '', databaseUrl] = process.argv.slice(2);
const { store, artifacts, exclusive } = await openStore({
  dataFolder,
  ...(databaseUrl === undefined ? {} : { databaseUrl }),
});

async function write(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const id = `${writer}-${n}`;
    const version = { kind: 'cores' as const, id, version: 'v', createdAt: AT, content: '{}' };
    const container = { kind: 'cores' as const, id, createdAt: AT, updatedAt: AT, tags: {} };
    await exclusive.run(id, () => store.containers.create(container, version));
    await artifacts.put(Buffer.from(id));
    process.stdout.write(`${id}\n`);
  }
}

await Promise.all([1, 2, 3, 4].map(write));
