/**
 * The spooler: durable enqueue beside the raw database with the same batch, and messages to a cloud that is 50 ms away,
 * through a TCP proxy that delays, with the window beside one message at a time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import { FileSpool } from '../../greengrass/core/iot-client/file-spool.js';
import { DEFAULT_WINDOW } from '../../greengrass/core/iot-client/spool-sender.js';
import { DEFAULT_SPOOL } from '../../greengrass/core/iot-client/spool-settings.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { openDatabase } from '../../greengrass/lib/sqlite.js';
import { CloudBench } from '../iot-client/bench.js';
import { ScriptedCloud } from '../iot-client/scripted-cloud.js';
import { waitFor } from '../support/wait-for.js';
import type { Figure } from './run.js';

const RUNS = 5;
const TOPIC = 'factory/hall/3/sensor/temperature';
const PAYLOAD = Buffer.alloc(256, 'x');
const ROUND_TRIP_MS = 50;
const SCHEMA = 'CREATE TABLE message (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL)';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

function timed(count: number, startedMs: number): number {
  return (count * 1000) / (performance.now() - startedMs);
}

/** Rows/s of plain inserts, `batch` in a transaction, one transaction in each turn of the event loop. */
async function rawFloor(path: string, batch: number, turns: number): Promise<number> {
  const db = openDatabase(path, { migrations: [SCHEMA] });
  const insert = db.prepare('INSERT INTO message (id, topic, payload) VALUES (?, ?, ?)');
  let id = 0;
  const store = db.transaction(() => {
    for (let n = 0; n < batch; n++) insert.run(++id, TOPIC, PAYLOAD);
  });
  const started = performance.now();
  for (let n = 0; n < turns; n++) {
    store();
    await turn();
  }
  const rate = timed(batch * turns, started);
  db.close();
  return rate;
}

/** Messages/s into the spool; each turn ends when they are on the disk, as a PUBACK would wait for it. */
async function enqueue(path: string, batch: number, turns: number): Promise<number> {
  const spool = new FileSpool(
    path,
    { maxBytes: 1e9, full: 'keepNewest' },
    { onReady: () => undefined, onDropped: () => undefined, onTrouble: () => undefined },
  );
  const started = performance.now();
  for (let n = 0; n < turns; n++) {
    for (let each = 0; each < batch; each++) spool.push(TOPIC, PAYLOAD);
    if (!spool.flush()) throw new Error('could not be stored');
    await turn();
  }
  const rate = timed(batch * turns, started);
  if (spool.length !== batch * turns)
    throw new Error(`${spool.length} are in the spool, not ${batch * turns}`);
  spool.close();
  return rate;
}

async function enqueueFigures(root: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  let count = 0;
  for (const [batch, turns] of [
    [1, 2000],
    [10, 1000],
    [100, 300],
  ] as const) {
    const rates: Array<{ floor: number; ours: number }> = [];
    for (let run = 0; run < RUNS; run++) {
      const path = join(root, `${count++}`);
      // In turn, so that both see the same machine.
      const floor = await rawFloor(`${path}-raw.db`, batch, turns);
      rates.push({ floor, ours: await enqueue(`${path}.db`, batch, turns) });
    }
    const add = (name: string, unit: string, value: number) =>
      figures.push({ name: `${name}, ${batch} in a turn`, unit, value, runs: RUNS });
    add('floor: raw SQLite inserts', '/s', median(rates.map(({ floor }) => floor)));
    add('durable enqueue', '/s', median(rates.map(({ ours }) => ours)));
    add('durable enqueue against the floor', 'x', median(rates.map(({ floor, ours }) => ours / floor)));
  }
  return figures;
}

/** A spool with a million messages: what opening it costs, and what memory it takes to read all of them. */
function millionFigures(root: string): Figure[] {
  const path = join(root, 'million.db');
  const limits = { maxBytes: 1e9, full: 'keepNewest' } as const;
  const nothing = { onReady: () => undefined, onDropped: () => undefined, onTrouble: () => undefined };
  new FileSpool(path, limits, nothing).close();
  const db = openDatabase(path, { migrations: ['', '', ''] });
  db.exec(`WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 1000000)
    INSERT INTO message (id, topic, payload) SELECT id, '${TOPIC}', randomblob(256) FROM n`);
  db.close();
  const before = process.memoryUsage.rss();
  const started = performance.now();
  const spool = new FileSpool(path, limits, nothing);
  const openMs = performance.now() - started;
  let read = 0;
  let most = before;
  for (let batch = spool.after(0, 256, 1e6); batch.length > 0; batch = spool.after(read, 256, 1e6)) {
    read = batch.at(-1)?.id ?? 0;
    if (read % 10_240 === 0) most = Math.max(most, process.memoryUsage.rss());
  }
  if (read !== 1_000_000) throw new Error(`${read} were read`);
  spool.close();
  const figure = (name: string, unit: string, value: number) => ({ name, unit, value, runs: 1 });
  return [
    figure('a million messages of 256 B on the disk: opening, with the integrity check', 'ms', openMs),
    figure(
      'a million messages: memory (RSS) that reading all of them takes',
      'MB',
      (most - before) / 2 ** 20,
    ),
  ];
}

/** A TCP proxy that passes everything on half a round trip later. */
async function delayingProxy(port: number): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const onwards = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [socket, onwards],
      [onwards, socket],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (chunk) => setTimeout(() => to.write(chunk), ROUND_TRIP_MS / 2));
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Messages/s from `deliver` to the PUBACK, FileSystem storage, with so many under way. */
async function toCloud(root: string, window: number, count: number): Promise<number> {
  const bench = await CloudBench.create();
  await bench.start();
  const cloud = new ScriptedCloud(bench);
  const proxy = await delayingProxy(bench.port);
  const connection = bench.connection({ port: proxy.port });
  const endpoint = new CloudEndpoint({
    connection,
    onMessage: () => undefined,
    writeDirectory: mkdtempSync(join(root, 'core-')),
    window,
    logger: createLogger({ level: 'error', stream: { write: () => undefined } }),
  });
  try {
    await endpoint.start();
    endpoint.configure({ ...DEFAULT_SPOOL, storage: 'FileSystem', maxBytes: 1e9 });
    await connection.start();
    await waitFor(() => connection.connected);
    const started = performance.now();
    for (let n = 0; n < count; n++) {
      endpoint.deliver({ source: 'lamp', topic: TOPIC, payload: PAYLOAD, qos: 1 });
      if (n % 100 === 99) await turn();
    }
    await waitFor(() => endpoint.waiting.messages === 0, { timeoutMs: 300_000, intervalMs: 5 });
    const rate = timed(count, started);
    if (cloud.received.length !== count) throw new Error(`${cloud.received.length} arrived, not ${count}`);
    return rate;
  } finally {
    await endpoint.stop();
    await bench.close();
    proxy.close();
  }
}

async function cloudFigures(root: string): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const [window, count] of [
    [1, 40],
    [DEFAULT_WINDOW, 4000],
  ] as const) {
    const rates: number[] = [];
    for (let run = 0; run < RUNS; run++) rates.push(await toCloud(root, window, count));
    const name = `device to cloud and PUBACK at ${ROUND_TRIP_MS} ms, window of ${window}`;
    figures.push({ name, unit: '/s', value: median(rates), runs: RUNS });
  }
  return figures;
}

export async function spooler(): Promise<Figure[]> {
  const root = mkdtempSync(join(tmpdir(), 'greengrass-bench-spooler-'));
  try {
    return [...(await enqueueFigures(root)), ...millionFigures(root), ...(await cloudFigures(root))];
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
