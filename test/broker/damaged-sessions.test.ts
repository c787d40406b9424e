/** Kept sessions on a disk that is full, and in a file that is damaged: never a crash, and nobody else suffers. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SmallDisk } from '../support/small-disk.js';
import { waitFor } from '../support/wait-for.js';
import { BrokerBench, makeDevice, type TestDevice } from './bench.js';
import { PUBLISH, pubackPacket, published, RawClient, subscribePacket } from './raw-client.js';

const KEEP = { flags: 0 };
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: a full disk needs root (mount)');

let folder: string;
let bench: BrokerBench;
let [lamp, fan]: TestDevice[] = [];
const clients: RawClient[] = [];
beforeAll(async () => {
  [lamp, fan] = await Promise.all([makeDevice('lamp'), makeDevice('fan')]);
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gg-damaged-'));
});
afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  await bench.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(path: string): Promise<void> {
  bench = await BrokerBench.start(path);
  bench.setGroup(lamp as TestDevice, fan as TestDevice);
}

async function connected(device: TestDevice | undefined, options = KEEP): Promise<RawClient> {
  const client = await RawClient.connected(bench, device as TestDevice, options);
  clients.push(client);
  return client;
}

function deliver(payload: string | Buffer, device = lamp as TestDevice): boolean {
  const message = { source: 'cloud', topic: 'a', payload: Buffer.from(payload), qos: 1 } as const;
  return bench.server.endpoint.deliver(message, device.arn);
}

async function subscribed(device: TestDevice | undefined): Promise<RawClient> {
  const client = await connected(device);
  client.send(subscribePacket(1, 'a'));
  await client.next(0x90);
  return client;
}

async function takeAll(client: RawClient, count: number): Promise<string[]> {
  const got: string[] = [];
  while (got.length < count) {
    const { id, payload } = published(await client.next(PUBLISH));
    got.push(payload.slice(0, 4));
    client.send(pubackPacket(id));
  }
  return got;
}

async function away(client: RawClient): Promise<void> {
  const before = bench.server.connected;
  client.socket.destroy();
  await waitFor(() => bench.server.connected < before);
}

/** Where `text` is in the file. */
function placeOf(path: string, text: string): number {
  const place = readFileSync(path).indexOf(text);
  if (place < 0) throw new Error(`no ${text} in ${path}`);
  return place;
}

function spoil(path: string, place: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, place);
  closeSync(file);
}

it('a page that is damaged before the start puts the file aside; devices come in and begin anew', async () => {
  const path = join(folder, 'sessions.db');
  await start(path);
  await away(await subscribed(lamp));
  for (let n = 0; n < 40; n++) deliver(`${1000 + n}${'x'.repeat(2000)}`);
  await bench.server.stop();
  const page = Math.floor(placeOf(path, '1020') / 4096) * 4096;
  spoil(path, page, Buffer.alloc(64, 0xff));
  await bench.restart(lamp as TestDevice, fan as TestDevice);
  expect(bench.lines.some(({ msg, level }) => level === 50 && msg.includes('put aside'))).toBe(true);
  await (await subscribed(lamp)).settle();
});

it('a page that is damaged while the core runs costs the messages in it, with a line for each; the rest arrives', async () => {
  const path = join(folder, 'sessions.db');
  await start(path);
  await away(await subscribed(lamp));
  const pad = 'x'.repeat(3000);
  for (let n = 0; n < 7000; n++) deliver(`${1000 + n}${pad}`);
  expect(bench.server.endpoint.settle?.()).toBe(true);
  // Far more than what SQLite keeps of the file in memory: it has to read what is on the disk now.
  const place = await waitFor(() => placeOf(path, '1700'));
  spoil(path, Math.floor(place / 4096) * 4096, Buffer.alloc(4096, 0xff));
  const client = await connected(lamp);
  const got: string[] = [];
  await waitFor(
    () => {
      for (const each of client.packets.splice(0)) {
        if (each.first >> 4 !== 3) continue;
        const { id, payload } = published(each);
        got.push(payload.slice(0, 4));
        client.send(pubackPacket(id));
      }
      return got.at(-1) === '7999';
    },
    { timeoutMs: 30_000 },
  );
  const lost = bench.lines.filter(({ msg }) => msg.includes('could not be read and is lost')).length;
  expect(lost).toBeGreaterThan(0);
  expect(got.length + lost).toBe(7000);
  expect(got).toEqual([...got].sort());
  expect(bench.server.health().healthy).toBe(true);
});

(isRoot ? describe : describe.skip)('on a full disk', () => {
  let disk: SmallDisk;
  beforeEach(async () => {
    disk = await SmallDisk.mount(join(folder, 'disk'));
    await start(join(disk.path, 'sessions.db'));
  });
  afterEach(() => disk.unmount());

  /** Until nothing more can be stored: the log of the database has some room of its own. */
  async function exhaust(): Promise<number> {
    disk.fill();
    let stored = 0;
    while (deliver(Buffer.alloc(8000, 'f')) && bench.server.endpoint.settle?.() !== false) stored += 1;
    return stored;
  }

  it('a new session that could not be written is not promised, and does not spoil the others when there is room', async () => {
    const first = await subscribed(lamp);
    const stored = await exhaust();
    const refused = await RawClient.open(bench, fan as TestDevice);
    clients.push(refused);
    const { connectPacket } = await import('./raw-client.js');
    refused.send(connectPacket('fan', KEEP));
    await refused.closed();
    expect(refused.packets).toEqual([]);
    disk.free();
    // The session is there in memory, its row is not: what hangs on it must be written all the same.
    const again = await subscribed(fan);
    expect(deliver('for the fan', fan)).toBe(true);
    expect(deliver('for the lamp')).toBe(true);
    expect(bench.server.endpoint.settle?.()).toBe(true);
    await away(again);
    await away(first);
    await bench.restart(lamp as TestDevice, fan as TestDevice);
    expect(await takeAll(await connected(fan), 1)).toEqual(['for ']);
    const kept = await takeAll(await connected(lamp), stored + 1);
    expect(kept.at(-1)).toBe('for ');
  });

  it('what was acknowledged, and a session that ended, does not come back when there was no room to delete it', async () => {
    const first = await subscribed(lamp);
    await away(await subscribed(fan));
    deliver('seen');
    const { id } = published(await first.next(PUBLISH));
    deliver('held', fan);
    expect(bench.server.endpoint.settle?.()).toBe(true);
    const stored = await exhaust();
    first.send(pubackPacket(id));
    await first.settle();
    // The end of the fan's session.
    await away(await connected(fan, { flags: 2 }));
    disk.free();
    await away(await subscribed(fan));
    expect(bench.server.endpoint.settle?.()).toBe(true);
    await bench.restart(lamp as TestDevice, fan as TestDevice);
    const [one, two] = [await connected(lamp), await connected(fan)];
    expect(await takeAll(one, stored)).not.toContain('seen');
    await two.settle();
    expect(two.packets).toEqual([]);
  });
});
