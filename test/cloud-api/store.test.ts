import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArtifactFolder } from '../../greengrass/cloud/store/artifact-folder.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import { describeStore } from './store-suite.js';

let folder = '';
const file = () => join(folder, 'data', 'cloud.db');

describeStore(
  'SQLite',
  async () => {
    folder = await mkdtemp(join(tmpdir(), 'gg-store-'));
    return openSqliteStore(file());
  },
  () => openSqliteStore(file()),
  () => rm(folder, { recursive: true, force: true }),
);

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

describe('the artifact folder', () => {
  let artifacts: ArtifactFolder;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gg-artifacts-'));
    artifacts = new ArtifactFolder(folder);
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function read(stream: NodeJS.ReadableStream): Promise<string> {
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(Buffer.from(part));
    return Buffer.concat(parts).toString();
  }

  it('keeps content once under its digest and gives ranges of it', async () => {
    const digest = await artifacts.put(Buffer.from('hello'));
    expect(await artifacts.put(Buffer.from('hello'))).toBe(digest);
    expect(await artifacts.size(digest)).toBe(5);
    expect(await read(artifacts.read(digest))).toBe('hello');
    expect(await read(artifacts.read(digest, 1, 3))).toBe('ell');
  });

  it('knows nothing under names that are no digests', async () => {
    expect(await artifacts.size('../../etc/passwd')).toBeUndefined();
    expect(await artifacts.size('0'.repeat(64))).toBeUndefined();
    expect(() => artifacts.read('../../etc/passwd')).toThrow('not a SHA-256');
  });
});
