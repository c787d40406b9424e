/**
 * Power cuts: a real process fills and empties a spool while every write and every sync of its files is written down
 * (write-log.c). From that the test makes disks as a power cut could leave them: what was synced is there, of what was
 * written since then any part is, also half of a write. What had been reported as stored must be there.
 */
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { FileSpool } from '../../greengrass/core/iot-client/file-spool.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { run, start, waitForExit } from '../../greengrass/lib/subprocess.js';
import { waitFor } from '../support/wait-for.js';

const WRITER = fileURLToPath(new URL('./spool-writer.js', import.meta.url));
const SOURCE = join(PACKAGE_ROOT, 'test', 'iot-client', 'write-log.c');
const SECTOR = 512;
/** Lines that the process prints before it is killed: several times around the write-ahead log. */
const LINES = 400;

interface Step {
  readonly what: 'write' | 'sync' | 'truncate' | 'output';
  /** 0: the database, 1: its log. */
  readonly file: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

const NAMES: Record<string, Step['what']> = { w: 'write', s: 'sync', t: 'truncate', o: 'output' };

function parse(log: Buffer): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at + 14 <= log.length; ) {
    const what = NAMES[String.fromCharCode(log[at] as number)];
    if (what === undefined) throw new Error(`no record at ${at}`);
    const length = what === 'write' || what === 'output' ? log.readUInt32LE(at + 10) : 0;
    steps.push({
      what,
      file: log[at + 1] as number,
      offset: Number(log.readBigUInt64LE(at + 2)),
      bytes: log.subarray(at + 14, at + 14 + length),
    });
    at += 14 + length;
  }
  return steps;
}

/** A file after these steps. */
function apply(content: Buffer, steps: readonly Step[]): Buffer {
  let [bytes, size] = [content, content.length];
  for (const { what, offset, bytes: written } of steps) {
    const end = what === 'truncate' ? offset : Math.max(size, offset + written.length);
    if (end > bytes.length || bytes === content) {
      const larger = Buffer.alloc(Math.max(end, size) * 2);
      bytes.copy(larger, 0, 0, size);
      bytes = larger;
    }
    if (what === 'truncate' && end < size) bytes.fill(0, end, size);
    written.copy(bytes, offset);
    size = end;
  }
  return bytes.subarray(0, size);
}

/** What the disk did with steps that were not synced: each is there, is not, or is there up to some sector. */
function survivors(steps: readonly Step[], fates: readonly number[]): Step[] {
  return steps.flatMap((step, index) => {
    const fate = fates[index % fates.length] ?? 0;
    if (fate < 0.3) return [];
    if (fate < 0.6 || step.what !== 'write') return [step];
    const sectors = Math.floor((step.bytes.length / SECTOR) * ((fate - 0.6) / 0.4));
    return [{ ...step, bytes: step.bytes.subarray(0, sectors * SECTOR) }];
  });
}

/** The disk when the power goes before step `cut`, and the last line that was printed until then. */
function cutAt(steps: readonly Step[], cut: number, fates: readonly number[]) {
  const files = [0, 1].map((file) => {
    const own = steps.slice(0, cut).filter((step) => step.file === file);
    const synced = own.findLastIndex(({ what }) => what === 'sync');
    const durable = apply(Buffer.alloc(0), own.slice(0, synced + 1));
    return apply(durable, survivors(own.slice(synced + 1), fates));
  });
  const printed = steps.slice(0, cut).findLast(({ what }) => what === 'output');
  return { files, line: printed === undefined ? undefined : String(printed.bytes).trim().split('\n').at(-1) };
}

let root: string;
beforeAll(() => {
  // A disk that syncs at once; what would be lost is the test's business.
  root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'greengrass-power-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function record(): Promise<Step[]> {
  const library = join(root, 'write-log.so');
  await run('cc', ['-shared', '-fPIC', '-O1', '-o', library, SOURCE, '-ldl']);
  const [path, log, printed] = ['spool.db', 'log', 'printed'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const child = await start(process.execPath, [WRITER, path], {
    env: { ...process.env, LD_PRELOAD: library, WRITE_LOG: log, WRITE_LOG_FILE: path },
    stdio: ['ignore', openSync(printed, 'w'), 'inherit'],
  });
  const ended = waitForExit(child);
  await waitFor(() => readFileSync(printed, 'utf8').split('\n').length > LINES, { timeoutMs: 60_000 });
  child.kill('SIGKILL');
  await ended;
  return parse(readFileSync(log));
}

const nothing = { onReady: () => undefined, onDropped: () => undefined, onTrouble: () => undefined };

it('no power cut takes a message that was reported as stored, or breaks the spool', async () => {
  const steps = await record();
  const syncs = (file: number) => steps.filter((step) => step.what === 'sync' && step.file === file).length;
  // Without these the rest of the test would prove nothing.
  expect(syncs(1)).toBeGreaterThanOrEqual(LINES);
  expect(syncs(0)).toBeGreaterThan(3);
  const fates = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 40 });
  let copies = 0;
  fc.assert(
    fc.property(fc.integer({ min: 1, max: steps.length }), fates, (cut, fate) => {
      const { files, line } = cutAt(steps, cut, fate);
      const path = join(root, `cut-${copies++}.db`);
      for (const [index, suffix] of ['', '-wal'].entries())
        writeFileSync(path + suffix, files[index] as Buffer);
      const spool = new FileSpool(path, { maxBytes: 1e9, full: 'keepNewest' }, nothing);
      const kept = spool.after(0, 1e6, 1e9).map(({ payload }) => Number(payload));
      const { length } = spool;
      // It goes on with what comes next.
      spool.push('t', Buffer.from('next'));
      expect(spool.flush()).toBe(true);
      spool.close();
      for (const suffix of ['', '-wal', '-shm', '-reserve']) rmSync(path + suffix, { force: true });
      expect(length).toBe(kept.length);
      expect(kept.every((n, at) => n === (kept[0] ?? 0) + at)).toBe(true);
      if (line === undefined) return;
      const [newest = 0, oldest = 0] = line.split(' ').map(Number);
      expect(kept.at(-1)).toBeGreaterThanOrEqual(newest);
      // Removals may have been lost, and three more may have been made.
      expect(kept[0]).toBeLessThanOrEqual(oldest + 3);
    }),
    { numRuns: 150 },
  );
}, 120_000);
