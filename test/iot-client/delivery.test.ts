/** From the spool to a cloud that behaves badly, over real connections. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import type { IotConnection, IotConnectionOptions } from '../../greengrass/core/iot-client/connection.js';
import { DEFAULT_SPOOL } from '../../greengrass/core/iot-client/spool-settings.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';
import { CloudBench } from './bench.js';
import { firsts, ScriptedCloud } from './scripted-cloud.js';

let root: string;
let bench: CloudBench;
let cloud: ScriptedCloud;
let endpoint: CloudEndpoint;
let connection: IotConnection;
let lines: Array<Record<string, unknown> & { level: number; msg: string }>;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-delivery-'));
  lines = [];
  bench = await CloudBench.create();
  await bench.start();
  cloud = new ScriptedCloud(bench);
});
afterEach(async () => {
  await endpoint.stop();
  await bench.close();
  rmSync(root, { recursive: true, force: true });
});

async function start(options: Partial<IotConnectionOptions> = {}, quietMs = 100): Promise<void> {
  connection = bench.connection({ retryBaseMs: 20, maxRetryIntervalS: 0.05, ...options });
  endpoint = new CloudEndpoint({
    connection,
    onMessage: () => undefined,
    writeDirectory: root,
    quietMs,
    logger: createLogger({
      level: 'info',
      stream: { write: (line: string) => lines.push(JSON.parse(line)) },
    }),
  });
  await endpoint.start();
  endpoint.configure({ ...DEFAULT_SPOOL, storage: 'FileSystem', maxBytes: 50_000_000 });
  await connection.start();
  await waitFor(() => connection.connected);
}

function deliver(topic: string, payload: string): boolean {
  return endpoint.deliver({ source: 'lamp', topic, payload: Buffer.from(payload), qos: 1 });
}

/** `t/0` to `t/3` in turn; payloads are the numbers. */
function deliverMany(from: number, to: number): void {
  for (let n = from; n < to; n++) deliver(`t/${n % 4}`, String(n));
}

const numbers = (to: number) => Array.from({ length: to }, (_, n) => String(n));
const empty = () => waitFor(() => endpoint.waiting.messages === 0, { timeoutMs: 30_000 });

it('many messages are under way at once', async () => {
  cloud.onPublish = () => undefined;
  await start();
  deliverMany(0, 200);
  await waitFor(() => cloud.received.length === 64);
  expect(endpoint.waiting.messages).toBe(200);
  cloud.onPublish = (message) => message.ack();
  for (const message of cloud.received.slice(0, 64)) message.ack();
  await empty();
  expect(cloud.payloads).toEqual(numbers(200));
});

it('what is acknowledged twice, or was never sent, changes nothing', async () => {
  cloud.onPublish = (message) => {
    message.ack();
    message.ack();
  };
  await start();
  deliverMany(0, 300);
  await empty();
  expect([cloud.payloads, cloud.connections]).toEqual([numbers(300), 1]);
});

it('a cloud that is slow with many messages, but goes on, is left alone', async () => {
  let due = Promise.resolve();
  cloud.onPublish = (message) => {
    due = due.then(() => new Promise((resolve) => setTimeout(resolve, 20))).then(() => message.ack());
  };
  await start({ operationTimeoutS: 0.3 });
  deliverMany(0, 50);
  await empty();
  // 50 times 20 ms is far more than the time limit of one.
  expect([cloud.payloads, cloud.connections]).toEqual([numbers(50), 1]);
});

it('a cloud that is always late gets its messages in the end, and not again and again', async () => {
  cloud.onPublish = (message) => setTimeout(() => message.ack(), 500);
  await start({ operationTimeoutS: 0.2 });
  deliverMany(0, 5);
  await empty();
  expect(firsts(cloud.payloads)).toEqual(numbers(5));
  expect(cloud.connections).toBeLessThanOrEqual(3);
  expect(lines).toContainEqual(
    expect.objectContaining({ level: 50, topic: 't/0', errorString: 'operation timed out' }),
  );
});

it('a cloud that drops the connection all the time gets everything, in order, with few duplicates', async () => {
  // Every 30th message ends the connection, before its PUBACK or right after it in turn.
  cloud.onPublish = (message) => {
    const isLast = cloud.received.length % 30 === 0;
    if (!isLast || cloud.received.length % 60 === 0) message.ack();
    if (isLast) message.cut();
  };
  await start();
  deliverMany(0, 400);
  await empty();
  expect(firsts(cloud.payloads)).toEqual(numbers(400));
  for (let n = 1; n <= cloud.connections; n++) {
    const onIt = cloud.received.filter((each) => each.connection === n).map(({ payload }) => Number(payload));
    expect(onIt).toEqual([...onIt].sort((a, b) => a - b));
  }
  expect(endpoint.waiting.refused).toBe(0);
  expect(cloud.received.length).toBeLessThan(400 + cloud.connections * 64);
});

it('a message that the cloud refuses by cutting the connection holds up the others for a while only', async () => {
  cloud.onPublish = (message) => (message.topic === 'secret' ? message.cut() : message.ack());
  await start();
  deliver('open', '1');
  deliver('secret', 'x');
  deliver('open', '2');
  await empty();
  const { connections } = cloud;
  expect(firsts(cloud.payloads.filter((payload) => payload !== 'x'))).toEqual(['1', '2']);
  expect(connections).toBeLessThanOrEqual(7);
  expect(endpoint.waiting.refused).toBe(1);
  expect(lines).toContainEqual(
    expect.objectContaining({ level: 50, topic: 'secret', msg: expect.stringContaining('iot:Publish') }),
  );
  // Its topic is left alone for a while: no more cuts, and no more waiting.
  for (let n = 0; n < 3000; n++) deliver('secret', 'y');
  deliver('open', '3');
  await empty();
  expect([cloud.connections, endpoint.waiting.refused]).toEqual([connections, 3001]);
  expect(cloud.payloads.at(-1)).toBe('3');
});

it('no message is given up because of a cloud that cuts connections whatever is sent', async () => {
  let isBroken = true;
  cloud.onPublish = (message) => (isBroken ? message.cut() : message.ack());
  cloud.onConnect = (cut) => {
    // From the third connection on it does not even hold while nothing is sent.
    if (isBroken && cloud.connections > 2) setTimeout(cut, 20);
  };
  await start({}, 200);
  deliverMany(0, 3);
  await waitFor(() => cloud.connections > 25, { timeoutMs: 30_000 });
  isBroken = false;
  await empty();
  expect(firsts(cloud.payloads)).toEqual(numbers(3));
  expect(endpoint.waiting.refused).toBe(0);
});

it('while the cloud is away nothing waits for it, and no message causes an attempt to connect', async () => {
  await start();
  await bench.stop();
  await waitFor(() => !connection.connected);
  const attempts = () => bench.lines.filter(({ msg }) => msg === 'Not connected to the cloud.').length;
  const before = attempts();
  const started = Date.now();
  deliverMany(0, 20_000);
  expect(endpoint.settle()).toBe(true);
  const tookMs = Date.now() - started;
  // At least 25 ms lie between two attempts here.
  await waitFor(() => attempts() > before);
  expect(attempts() - before).toBeLessThan(5 + (Date.now() - started) / 20);
  expect(tookMs).toBeLessThan(10_000);
  await bench.start();
  await empty();
  expect(firsts(cloud.payloads)).toEqual(numbers(20_000));
});

describe('a month without the cloud', () => {
  const MONTH_MS = 30 * 24 * 3_600_000;
  const RETRY_S = 7200;
  afterEach(() => jest.useRealTimers());

  it('costs an attempt now and then, keeps what there is room for, and ends when the cloud is back', async () => {
    jest.useFakeTimers({
      doNotFake: ['nextTick', 'setImmediate', 'clearImmediate', 'queueMicrotask', 'performance'],
    });
    const attempts = () => bench.lines.filter(({ msg }) => msg === 'Not connected to the cloud.').length;
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    connection = bench.connection({ maxRetryIntervalS: RETRY_S });
    endpoint = new CloudEndpoint({
      connection,
      onMessage: () => undefined,
      writeDirectory: root,
      logger: createLogger({ level: 'info', stream: { write: () => undefined } }),
    });
    await endpoint.start();
    endpoint.configure({ ...DEFAULT_SPOOL, storage: 'FileSystem', maxBytes: 262_144 });
    await bench.stop();
    await connection.start();
    const tried = async (count: number) => {
      for (let spins = 0; attempts() < count && spins < 1e6; spins++) await turn();
      return attempts();
    };
    const end = Date.now() + MONTH_MS;
    let [n, rounds] = [0, 1];
    for (; Date.now() < end; rounds++) {
      // With jitter, the next attempt lies between half of the longest interval and all of it: one in each round.
      expect(await tried(rounds)).toBe(rounds);
      for (let each = 0; each < 10; each++) deliver('t', String(n++));
      await turn();
      jest.advanceTimersByTime(RETRY_S * 1000);
    }
    await tried(rounds);
    const { messages, bytes, dropped } = endpoint.waiting;
    expect([messages + dropped, bytes <= 262_144]).toEqual([n, true]);
    await bench.start();
    const { knocks } = bench;
    for (let waitedMs = 0; bench.knocks === knocks; waitedMs += 1000) {
      expect(waitedMs).toBeLessThan(RETRY_S * 1000);
      jest.advanceTimersByTime(1000);
      // The attempt, if one began, is on its way through the kernel.
      for (let turns = 0; turns < 20; turns++) await turn();
    }
    // It stands still meanwhile: a busy machine takes its time for a handshake.
    while (!connection.connected) await turn();
    jest.useRealTimers();
    await waitFor(() => cloud.payloads.at(-1) === String(n - 1));
    expect(cloud.payloads).toEqual(
      Array.from({ length: messages }, (_, index) => String(n - messages + index)),
    );
  });
});
