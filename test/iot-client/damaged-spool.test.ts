/** A spool whose file is damaged: never a crash, what can be read goes on in order, the rest is told and counted. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import { FileSpool } from '../../greengrass/core/iot-client/file-spool.js';
import { MemorySpool } from '../../greengrass/core/iot-client/memory-spool.js';
import type { SpoolListener } from '../../greengrass/core/iot-client/spool.js';
import { moveSpool } from '../../greengrass/core/iot-client/spool-move.js';
import { DEFAULT_SPOOL } from '../../greengrass/core/iot-client/spool-settings.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';

const PAGE = 4096;
let root: string;
let damages: Array<{ saved: number; lost?: number; reason: string }>;
let troubles: Array<string | undefined>;
const listener: SpoolListener = {
  onReady: () => undefined,
  onDropped: () => undefined,
  onTrouble: (error) => void troubles.push(error?.message),
  onDamage: (damage) => void damages.push(damage),
};
beforeEach(() => {
  [damages, troubles] = [[], []];
  root = mkdtempSync(join(tmpdir(), 'greengrass-damaged-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const open = (path: string) => new FileSpool(path, { maxBytes: 1e9, full: 'keepNewest' }, listener);
const payload = (n: number, bytes: number) => Buffer.from(String(n).padEnd(bytes, ' '));

function filled(path: string, count: number, bytes = 1000): FileSpool {
  const spool = open(path);
  for (let n = 0; n < count; n++) spool.push('t', payload(n, bytes));
  expect(spool.flush()).toBe(true);
  return spool;
}

function numbers(spool: FileSpool): number[] {
  const found: number[] = [];
  for (let after = 0; ; ) {
    const read = spool.after(after, 500, 1e6);
    const last = read.at(-1);
    if (!last) return found;
    found.push(...read.map((message) => Number(message.payload)));
    after = last.id;
  }
}

const isInOrder = (list: readonly number[]) =>
  list.every((n, at) => at === 0 || n > (list[at - 1] as number));

function spoil(path: string, at: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

/** The page with the message of this number. */
function pageOf(path: string, n: number): number {
  const at = readFileSync(path).indexOf(`t${String(n).padEnd(10, ' ')}`);
  if (at < 0) throw new Error(`no message ${n} in ${path}`);
  return Math.floor(at / PAGE) * PAGE;
}

describe('found at the start', () => {
  it.each([
    ['at its beginning', [3]],
    ['in the middle', [500]],
    ['at its end', [996]],
    ['in several places', [100, 101, 400, 800]],
  ])('a damage %s costs only what lies there', (_where, places) => {
    const path = join(root, 'spool.db');
    filled(path, 1000).close();
    const pages = new Set(places.map((n) => pageOf(path, n)));
    for (const page of pages) spoil(path, page, Buffer.alloc(PAGE, 0xa5));
    const spool = open(path);
    const kept = numbers(spool);
    // Three of a thousand bytes lie in a page.
    expect(kept.length).toBeGreaterThanOrEqual(1000 - 4 * pages.size);
    expect(kept.length).toBeLessThan(1000);
    expect(isInOrder(kept)).toBe(true);
    for (const n of places) expect(kept).not.toContain(n);
    expect(damages).toEqual([expect.objectContaining({ saved: kept.length })]);
    expect(existsSync(`${path}.broken`)).toBe(true);
    expect([spool.length, spool.flush()]).toEqual([kept.length, true]);
    // It goes on: behind what was saved, and over a restart.
    spool.push('t', payload(5000, 10));
    spool.close();
    const again = open(path);
    expect(numbers(again)).toEqual([...kept, 5000]);
    again.close();
    expect(damages).toHaveLength(1);
  });

  it.each([
    ['is no database', (path: string) => writeFileSync(path, 'no database '.repeat(2000))],
    ['lost its header', (path: string) => spoil(path, 0, Buffer.alloc(100))],
    [
      'was cut off',
      (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2 / PAGE) * PAGE + 77),
    ],
    ['was cut within its first page', (path: string) => truncateSync(path, 700)],
  ])('a file that %s is put aside', (_how, harm) => {
    const path = join(root, 'spool.db');
    filled(path, 200).close();
    harm(path);
    const spool = open(path);
    const kept = numbers(spool);
    expect(isInOrder(kept)).toBe(true);
    expect(damages).toEqual([expect.objectContaining({ saved: kept.length })]);
    spool.push('t', payload(9999, 10));
    expect(spool.flush()).toBe(true);
    expect(numbers(spool)).toEqual([...kept, 9999]);
    spool.close();
  });

  it('any bits flipped anywhere: it opens, gives what it has in order, and takes more', () => {
    const path = join(root, 'spool.db');
    filled(path, 120, 700).close();
    const good = readFileSync(path);
    const flips = fc.array(fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(flips, (list) => {
        const bad = Buffer.from(good);
        for (const [at, bits] of list) bad[at] = (bad[at] as number) ^ bits;
        for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true });
        writeFileSync(path, bad);
        const spool = open(path);
        try {
          const ids = spool.after(0, 1e6, 1e12).map(({ id }) => id);
          expect(isInOrder(ids)).toBe(true);
          const pushed = spool.push('t', payload(1, 10));
          // Not always behind all others: a bit of an id may have made another priority of it.
          expect(pushed).toBeDefined();
          expect(ids).not.toContain(pushed?.id);
          expect(spool.flush()).toBe(true);
        } finally {
          spool.close();
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('found while it runs', () => {
  // More than what SQLite keeps in memory of the file: it has to read again what is on the disk.
  const COUNT = 7000;
  const BYTES = 3000;

  it('a page that can no longer be read: the others go on, the loss is counted', () => {
    const path = join(root, 'spool.db');
    const spool = filled(path, COUNT, BYTES);
    spoil(path, pageOf(path, 700), Buffer.alloc(PAGE, 0xff));
    const kept = numbers(spool);
    expect(isInOrder(kept)).toBe(true);
    expect(damages).toHaveLength(1);
    expect(damages[0]).toMatchObject({ saved: kept.length, lost: COUNT - kept.length });
    expect(damages[0]?.lost).toBeGreaterThan(0);
    expect(damages[0]?.lost).toBeLessThan(4);
    expect([kept[0], kept.at(-1), spool.length]).toEqual([0, COUNT - 1, kept.length]);
    spool.push('t', payload(COUNT, 10));
    expect(spool.flush()).toBe(true);
    spool.close();
    const again = open(path);
    expect(again.length).toBe(kept.length + 1);
    again.close();
  });

  it('a page that can no longer be written', () => {
    const path = join(root, 'spool.db');
    const spool = filled(path, COUNT, BYTES);
    // To be removed is what lies there.
    const [, , third] = spool.after(0, 3, 1e6);
    expect(numbers(spool)).toHaveLength(COUNT);
    spoil(path, pageOf(path, 2), Buffer.alloc(PAGE, 0xff));
    if (third) spool.remove(third);
    spool.push('t', payload(COUNT, 10));
    expect(spool.flush()).toBe(true);
    expect(damages).toHaveLength(1);
    expect(troubles).toEqual([]);
    const kept = numbers(spool);
    expect(isInOrder(kept)).toBe(true);
    expect(kept.at(-1)).toBe(COUNT);
    expect(kept.length).toBeGreaterThan(COUNT - 4);
    spool.close();
  });
});

it('the core comes up with a damaged file, says so, and sends what is left', async () => {
  mkdirSync(join(root, 'var', 'state'), { recursive: true });
  const path = join(root, 'var', 'state', 'spooler.db');
  filled(path, 300).close();
  spoil(path, pageOf(path, 150), Buffer.alloc(PAGE, 0xa5));
  const lines: Array<Record<string, unknown> & { msg: string; level: number }> = [];
  const sent: number[] = [];
  const endpoint = new CloudEndpoint({
    connection: {
      connected: true,
      publish: async (_topic, bytes) => void sent.push(Number(bytes)),
      subscribe: () => undefined,
      unsubscribe: () => undefined,
      settled: async () => undefined,
      onConnected: () => undefined,
    },
    onMessage: () => undefined,
    writeDirectory: root,
    logger: createLogger({
      level: 'info',
      stream: { write: (text: string) => lines.push(JSON.parse(text)) },
    }),
  });
  endpoint.configure({ ...DEFAULT_SPOOL, storage: 'FileSystem', maxBytes: 1e9 });
  await endpoint.start();
  await waitFor(() => sent.length > 0 && endpoint.waiting.messages === 0);
  expect(isInOrder(sent)).toBe(true);
  expect(sent.length).toBeGreaterThan(295);
  expect(lines.filter(({ level }) => level === 50)).toEqual([
    expect.objectContaining({ msg: expect.stringContaining('was damaged'), saved: sent.length }),
  ]);
  expect(endpoint.health()).toEqual({ healthy: true });
  await endpoint.stop();
});

it('what finds no room in another spool is told, not lost in silence', () => {
  const from = filled(join(root, 'from.db'), 10);
  const to = new MemorySpool({ maxBytes: 5 * 1033, full: 'keepOldest' }, listener);
  let refused = 0;
  moveSpool(from, to, new Set(), (count) => {
    refused += count;
  });
  expect([to.length, refused]).toEqual([5, 5]);
  from.close();
});
