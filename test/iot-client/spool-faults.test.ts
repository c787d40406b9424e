/** The spool in a file: killed processes, torn files, full disks, and more messages than memory should hold. */
import { copyFileSync, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { FileSpool } from '../../greengrass/core/iot-client/file-spool.js';
import type { SpooledMessage, SpoolListener } from '../../greengrass/core/iot-client/spool.js';
import { start, waitForExit } from '../../greengrass/lib/subprocess.js';
import { SmallDisk } from '../support/small-disk.js';
import { waitFor } from '../support/wait-for.js';

const WRITER = fileURLToPath(new URL('./spool-writer.js', import.meta.url));
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('skipped: a full disk needs root (mount)');

let root: string;
let dropped: number;
let troubles: Array<string | undefined>;
const listener: SpoolListener = {
  onReady: () => undefined,
  onDropped: (count) => {
    dropped += count;
  },
  onTrouble: (error) => {
    troubles.push(error?.message);
  },
};
beforeEach(() => {
  [dropped, troubles] = [0, []];
  root = mkdtempSync(join(tmpdir(), 'greengrass-faults-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const open = (path: string, maxBytes = 1e9, full: 'keepNewest' | 'keepOldest' = 'keepNewest') =>
  new FileSpool(path, { maxBytes, full }, listener);
const numbers = (spool: FileSpool) => spool.after(0, 1e6, 1e9).map(({ payload }) => Number(payload));

/** True where the list is complete from its first to its last number. */
const isComplete = (list: readonly number[]) => list.every((n, index) => n === (list[0] ?? 0) + index);

it.each([1, 40, 300])(
  'what was stored is there, in order, after kill -9 (%i)',
  async (count) => {
    const path = join(root, 'killed.db');
    const child = await start(process.execPath, [WRITER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = waitForExit(child);
    if (!child.stdout) throw new Error('no pipe');
    let seen = 0;
    let last = '';
    for await (const line of createInterface(child.stdout)) {
      last = line;
      seen += 1;
      if (seen === count) child.kill('SIGKILL');
    }
    expect(await ended).toEqual({ code: null, signal: 'SIGKILL' });
    const [newest = 0, oldest = 0] = last.split(' ').map(Number);
    const spool = open(path);
    const kept = numbers(spool);
    // A removal may have been lost with the process, or a message stored that nobody heard of.
    expect(kept[0]).toBeLessThanOrEqual(oldest + 3);
    expect(kept.at(-1)).toBeGreaterThanOrEqual(newest);
    expect(isComplete(kept)).toBe(true);
    expect(spool.length).toBe(kept.length);
    spool.close();
  },
  30_000,
);

it('a power cut in the middle of a write costs only what was not stored yet', () => {
  const path = join(root, 'power.db');
  const spool = open(path);
  const sizes: number[] = [];
  for (let n = 0; n < 20; n++) {
    spool.push('t', Buffer.from(String(n)));
    expect(spool.flush()).toBe(true);
    sizes.push(statSync(`${path}-wal`).size);
  }
  // The disk as the power cut leaves it: the log ends somewhere in the transaction after the tenth.
  const [stored = 0, next = 0] = [sizes[10], sizes[11]];
  for (const size of [stored, stored + 1, Math.floor((stored + next) / 2), next - 1]) {
    const cut = join(root, `cut-${size}.db`);
    copyFileSync(path, cut);
    copyFileSync(`${path}-wal`, `${cut}-wal`);
    truncateSync(`${cut}-wal`, size);
    const after = open(cut);
    expect(numbers(after)).toEqual(Array.from({ length: 11 }, (_, n) => n));
    after.close();
  }
  spool.close();
});

it('memory does not grow with what lies on the disk', () => {
  const path = join(root, 'many.db');
  const COUNT = 50_000;
  const before = open(path);
  for (let n = 0; n < COUNT; n++) before.push('some/topic', Buffer.alloc(1000, 'x'));
  before.close();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heap = () => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const spool = open(path);
  const atStart = heap();
  let most = 0;
  let sent = 0;
  let last: SpooledMessage | undefined;
  for (;;) {
    const read = spool.after(last?.id ?? 0, 256, 1e6);
    if (read.length === 0) break;
    for (const message of read) spool.remove(message);
    sent += read.length;
    last = read.at(-1);
    if (sent % 2560 !== 0) continue;
    spool.flush();
    most = Math.max(most, heap());
  }
  expect(sent).toBe(COUNT);
  // All of it would be more than 50 MB.
  expect(most - atStart).toBeLessThan(5_000_000);
  spool.close();
});

(isRoot ? describe : describe.skip)('a full disk', () => {
  let disk: SmallDisk;
  beforeEach(async () => {
    disk = await SmallDisk.mount(join(root, 'disk'));
  });
  afterEach(() => disk.unmount());

  it('makes the oldest messages give way, as a full spool does', () => {
    const spool = open(join(disk.path, 'spool.db'));
    for (let n = 0; n < 40; n++) {
      spool.push('t', Buffer.alloc(100_000, String(n % 10)));
      expect(spool.flush()).toBe(true);
    }
    expect(troubles).toEqual([]);
    expect(dropped).toBeGreaterThan(20);
    const kept = spool.after(0, 1000, 1e9);
    expect(kept).toHaveLength(40 - dropped);
    expect((kept.at(-1)?.id ?? 0) - (kept[0]?.id ?? 0)).toBe(39 - dropped);
    expect(String(kept.at(-1)?.payload)[0]).toBe('9');
    expect(isComplete(kept.map(({ id }) => id))).toBe(true);
    spool.close();
  });

  it('keeps messages in memory where nothing can be stored, sends them from there, and stores again later', async () => {
    const spool = open(join(disk.path, 'spool.db'), 300_000);
    spool.push('t', Buffer.from('0'));
    expect(spool.flush()).toBe(true);
    // Others took the reserve as well.
    rmSync(join(disk.path, 'spool.db-reserve'));
    disk.fill();
    const taken: number[] = [];
    for (let n = 1; n < 10; n++) {
      if (spool.push('t', Buffer.alloc(50_000, String(n)))) taken.push(n);
      expect(spool.flush()).toBe(false);
    }
    expect(troubles).toEqual([expect.stringMatching(/full/)]);
    // No more than the bound.
    expect(taken).toEqual([1, 2, 3, 4, 5]);
    const read = spool.after(0, 100, 1e9);
    expect(read.map(({ payload }) => String(payload)[0])).toEqual(['0', '1', '2', '3', '4', '5']);
    for (const message of read.slice(0, 3)) spool.remove(message);
    expect(spool.length).toBe(3);
    disk.free();
    await waitFor(() => troubles.length === 2);
    expect([troubles[1], spool.flush(), spool.length]).toEqual([undefined, true, 3]);
    spool.close();
    const after = open(join(disk.path, 'spool.db'));
    expect(after.after(0, 100, 1e9).map(({ payload }) => String(payload)[0])).toEqual(['3', '4', '5']);
    after.close();
  });

  it('is no reason not to start: the reserve makes it possible to open what is there', () => {
    const path = join(disk.path, 'spool.db');
    const before = open(path, 1_000_000);
    for (let n = 0; n < 5; n++) before.push('t', Buffer.from(String(n)));
    before.close();
    disk.fill();
    const after = open(path, 1_000_000);
    expect(numbers(after)).toEqual([0, 1, 2, 3, 4]);
    after.push('t', Buffer.from('5'));
    expect(after.flush()).toBe(true);
    expect(numbers(after)).toEqual([0, 1, 2, 3, 4, 5]);
    after.close();
  });

  it('at the end costs what could not be stored, and says how much', () => {
    let lost = 0;
    const telling: SpoolListener = {
      ...listener,
      onLost: (count) => {
        lost += count;
      },
    };
    const spool = new FileSpool(
      join(disk.path, 'spool.db'),
      { maxBytes: 300_000, full: 'keepNewest' },
      telling,
    );
    rmSync(join(disk.path, 'spool.db-reserve'));
    disk.fill();
    for (let n = 0; n < 3; n++) spool.push('t', Buffer.alloc(50_000));
    expect(spool.flush()).toBe(false);
    spool.close();
    expect(lost).toBe(3);
  });
});
