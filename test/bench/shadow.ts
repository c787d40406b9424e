/**
 * Durable shadow updates, beside the floor that the disk and better-sqlite3 set in the same minutes: the same number of
 * bytes in one row, one commit for each. Rounds alternate, so that a noisy machine hits both. `npm run bench -- shadow`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { openDatabase } from '../../greengrass/lib/sqlite.js';
import type { Figure } from './run.js';

const ROUNDS = 7;
const UPDATES = 400;
const THINGS = 64;
const GETS = 20_000;

interface Measured {
  readonly perSecond: number;
  /** Of single operations, in ms. */
  readonly p99: number;
}

function payload(n: number): Buffer {
  return Buffer.from(
    JSON.stringify({ state: { reported: { n, temperature: 20 + (n % 10), on: n % 2 === 0 } } }),
  );
}

/** `floor`: one INSERT OR REPLACE of a document's size, one commit, nothing else. */
function floor(folder: string, documentBytes: number): Measured {
  const db = openDatabase(join(folder, 'floor.db'), {
    migrations: [
      'CREATE TABLE shadow (thing_name TEXT PRIMARY KEY, version INTEGER, document TEXT) WITHOUT ROWID',
    ],
  });
  const put = db.prepare('INSERT OR REPLACE INTO shadow VALUES (?, ?, ?)');
  const document = 'x'.repeat(documentBytes);
  const times: number[] = [];
  const start = performance.now();
  for (let n = 0; n < UPDATES; n++) {
    const from = performance.now();
    put.run('lamp', n, document);
    times.push(performance.now() - from);
  }
  const took = performance.now() - start;
  db.close();
  return { perSecond: (UPDATES / took) * 1000, p99: percentile(times, 0.99) };
}

/** Each update waits for the answer to the one before. */
async function oneThing(service: ShadowService): Promise<Measured> {
  const times: number[] = [];
  const start = performance.now();
  for (let n = 0; n < UPDATES; n++) {
    const from = performance.now();
    await service.request('lamp', 'update', payload(n));
    times.push(performance.now() - from);
  }
  return { perSecond: (UPDATES / (performance.now() - start)) * 1000, p99: percentile(times, 0.99) };
}

/** Many things at once, each waiting for its own answers only. */
async function manyThings(service: ShadowService): Promise<Measured> {
  const times: number[] = [];
  const each = UPDATES / 8;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: THINGS }, async (_, thing) => {
      for (let n = 0; n < each; n++) {
        const from = performance.now();
        await service.request(`t${thing}`, 'update', payload(n));
        times.push(performance.now() - from);
      }
    }),
  );
  return { perSecond: ((THINGS * each) / (performance.now() - start)) * 1000, p99: percentile(times, 0.99) };
}

async function gets(service: ShadowService): Promise<Measured> {
  const times: number[] = [];
  const start = performance.now();
  for (let n = 0; n < GETS; n++) {
    const from = performance.now();
    await service.request('lamp', 'get');
    times.push(performance.now() - from);
  }
  return { perSecond: (GETS / (performance.now() - start)) * 1000, p99: percentile(times, 0.99) };
}

function percentile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
}

const median = (values: readonly number[]) => percentile(values, 0.5);

export async function shadow(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-bench-shadow-'));
  const service = new ShadowService({
    path: join(folder, 'shadow.db'),
    logger: silentLogger(),
    emit: () => {},
  });
  await service.start();
  const rounds: Array<Record<'floor' | 'one' | 'many' | 'get', Measured>> = [];
  try {
    await oneThing(service);
    for (let round = 0; round < ROUNDS; round++) {
      const documentBytes = 180;
      rounds.push({
        floor: floor(folder, documentBytes),
        one: await oneThing(service),
        many: await manyThings(service),
        get: await gets(service),
      });
    }
  } finally {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  const figure = (name: string, unit: string, of: (round: (typeof rounds)[number]) => number): Figure => ({
    name,
    unit,
    value: median(rounds.map(of)),
    runs: rounds.length,
  });
  return [
    figure('floor: better-sqlite3, one row, one commit each', 'updates/s', ({ floor }) => floor.perSecond),
    figure('floor: p99 of one commit', 'ms', ({ floor }) => floor.p99),
    figure('one thing, durable, one after the other', 'updates/s', ({ one }) => one.perSecond),
    figure('one thing: p99', 'ms', ({ one }) => one.p99),
    figure('one thing: part of the floor', 'x', ({ one, floor }) => one.perSecond / floor.perSecond),
    figure(`${THINGS} things at once, durable`, 'updates/s', ({ many }) => many.perSecond),
    figure(`${THINGS} things at once: p99`, 'ms', ({ many }) => many.p99),
    figure(
      `${THINGS} things at once: times the floor`,
      'x',
      ({ many, floor }) => many.perSecond / floor.perSecond,
    ),
    figure('get, one after the other', 'gets/s', ({ get }) => get.perSecond),
    figure('get: p99', 'ms', ({ get }) => get.p99),
  ];
}
