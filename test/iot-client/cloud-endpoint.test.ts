/** Target and source `cloud`, on a connection that does what the test says. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { type CloudConnection, CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import type { CloudHandler } from '../../greengrass/core/iot-client/connection.js';
import { PublishError } from '../../greengrass/core/iot-client/publish-error.js';
import { DEFAULT_SPOOL, type SpoolSettings } from '../../greengrass/core/iot-client/spool-settings.js';
import type { Message } from '../../greengrass/core/router/message.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';

interface Attempt {
  readonly topic: string;
  readonly qos: number;
  /** The PUBACK. */
  accept(): void;
  reject(reason: string): void;
}

/** Publishes wait until the test answers them, or are answered at once where `automatic`. */
class ScriptedConnection implements CloudConnection {
  connected = true;
  automatic = false;
  readonly attempts: Attempt[] = [];
  readonly calls: string[] = [];
  readonly handlers = new Map<string, CloudHandler>();
  #listeners: Array<() => void> = [];

  onConnected(listener: () => void): void {
    this.#listeners.push(listener);
  }

  connect(): void {
    this.connected = true;
    for (const listener of this.#listeners) listener();
  }

  subscribe(filter: string, handler: CloudHandler): void {
    this.calls.push(`+${filter}`);
    this.handlers.set(filter, handler);
  }

  unsubscribe(filter: string, handler: CloudHandler): void {
    expect(this.handlers.get(filter)).toBe(handler);
    this.calls.push(`-${filter}`);
    this.handlers.delete(filter);
  }

  publish(topic: string, _payload: Buffer, qos: 0 | 1): Promise<void> {
    return new Promise((resolve, reject) => {
      this.attempts.push({
        topic,
        qos,
        accept: resolve,
        reject: (reason) => reject(new PublishError('timeout', reason)),
      });
      if (this.automatic) resolve();
    });
  }
}

const MEMORY: SpoolSettings = { ...DEFAULT_SPOOL, maxBytes: 1_000_000 };
const FILE: SpoolSettings = { ...MEMORY, storage: 'FileSystem' };

let root: string;
let connection: ScriptedConnection;
let endpoint: CloudEndpoint;
let received: Message[];
let lines: Array<Record<string, unknown> & { level: number }>;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-cloud-'));
  connection = new ScriptedConnection();
  [received, lines] = [[], []];
  endpoint = makeEndpoint();
  await endpoint.start();
});
afterEach(async () => {
  await endpoint.stop();
  rmSync(root, { recursive: true, force: true });
});

function makeEndpoint(window = 1): CloudEndpoint {
  return new CloudEndpoint({
    connection,
    window,
    onMessage: (message) => received.push(message),
    writeDirectory: root,
    logger: createLogger({
      level: 'info',
      stream: { write: (line: string) => lines.push(JSON.parse(line)) },
    }),
  });
}

function deliver(topic: string, payload: string | Buffer = topic): boolean {
  return endpoint.deliver({ source: 'lamp', topic, payload: Buffer.from(payload), qos: 0 });
}

/** Timers that begin meanwhile end when the test says so, however slow the machine is. */
async function whileTimersStand(work: () => Promise<void>): Promise<void> {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'clearImmediate', 'queueMicrotask'] });
  try {
    await work();
  } finally {
    jest.useRealTimers();
  }
}

const topics = () => connection.attempts.map(({ topic }) => topic);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('messages for the cloud', () => {
  it('go out one by one with QoS 1, each after the acknowledgement of the one before (window of 1)', async () => {
    for (const topic of ['1', '2', '3']) expect(deliver(topic)).toBe(true);
    await turn();
    expect(topics()).toEqual(['1']);
    expect(endpoint.waiting.messages).toBe(3);
    connection.attempts[0]?.accept();
    await waitFor(() => connection.attempts.length === 2);
    connection.attempts[1]?.accept();
    await waitFor(() => connection.attempts.length === 3);
    connection.attempts[2]?.accept();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(connection.attempts.map(({ qos }) => qos)).toEqual([1, 1, 1]);
    expect(topics()).toEqual(['1', '2', '3']);
  });

  it('wait while the cloud is away, and go out when it is back', async () => {
    connection.connected = false;
    for (const topic of ['1', '2', '3']) expect(deliver(topic)).toBe(true);
    await turn();
    expect(topics()).toEqual([]);
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '2', '3']);
  });

  it('go out several at once, and are removed by their own acknowledgements (window of 3)', async () => {
    await endpoint.stop();
    endpoint = makeEndpoint(3);
    await endpoint.start();
    for (const topic of ['1', '2', '3', '4', '5']) deliver(topic);
    expect(topics()).toEqual(['1', '2', '3']);
    connection.attempts[1]?.accept();
    await waitFor(() => connection.attempts.length === 4);
    expect([topics().at(-1), endpoint.waiting.messages]).toEqual(['4', 4]);
    // One failure speaks for all that have no acknowledgement: they go again, in the old order, one at first.
    connection.attempts[2]?.reject('gone');
    await waitFor(() => connection.attempts.length === 5);
    expect(topics().at(-1)).toBe('1');
    connection.automatic = true;
    connection.attempts[4]?.accept();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '2', '3', '4', '1', '3', '4', '5']);
  });

  it('refuse new ones where the oldest are to be kept, and say so once', () => {
    connection.connected = false;
    endpoint.configure({ ...MEMORY, maxBytes: 262_144, full: 'keepOldest' });
    const taken = Array.from({ length: 5 }, (_, n) => deliver(String(n), Buffer.alloc(100_000)));
    expect(taken).toEqual([true, true, false, false, false]);
    expect(endpoint.waiting).toMatchObject({ messages: 2, dropped: 3 });
    const message = { source: 'lamp', topic: 't', payload: Buffer.alloc(100_000), qos: 0 } as const;
    expect(endpoint.hasRoom(message, 1)).toBe(false);
    expect(endpoint.hasRoom({ ...message, payload: Buffer.from('x') }, 1)).toBe(true);
    // The group wants it so: who sent them is not kept waiting for ever.
    expect(endpoint.settle()).toBe(true);
    expect(lines.filter(({ level }) => level === 40)).toHaveLength(1);
  });

  it.each([
    ['memory', MEMORY],
    ['file', FILE],
  ])('that waited longer than their subscription allows are not sent (%s)', async (_what, settings) => {
    connection.connected = false;
    endpoint.configure(settings);
    const message = (topic: string) =>
      ({ source: 'lamp', topic, payload: Buffer.from('x'), qos: 0 }) as const;
    endpoint.deliver(message('short'), 'cloud', { ttlMs: 1 });
    endpoint.deliver(message('long'), 'cloud', { ttlMs: 60_000 });
    deliver('for ever');
    const delivered = Date.now();
    await waitFor(() => Date.now() > delivered + 1);
    endpoint.settle();
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect([topics(), endpoint.waiting.expired]).toEqual([['long', 'for ever'], 1]);
  });

  it('cost no attempt each while a new attempt is due later', async () => {
    await whileTimersStand(async () => {
      deliver('1');
      connection.attempts[0]?.reject('gone');
      await turn();
      for (let n = 0; n < 1000; n++) deliver(`n${n}`);
      await turn();
      expect(connection.attempts).toHaveLength(1);
      connection.automatic = true;
      jest.advanceTimersByTime(1000);
    });
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(connection.attempts).toHaveLength(1002);
  });

  it('are tried again, in order, after a failure', async () => {
    deliver('1');
    deliver('2');
    await turn();
    connection.attempts[0]?.reject('operation timed out');
    await waitFor(() => connection.attempts.length === 2);
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 50, topic: '1', errorString: 'operation timed out' }),
    );
    connection.automatic = true;
    connection.attempts[1]?.accept();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '1', '2']);
  });

  it('are tried again at once when the cloud is back', async () => {
    for (let n = 0; n < 6; n++) {
      deliver('1');
      await turn();
      connection.attempts.at(-1)?.reject('gone');
      await turn();
    }
    connection.automatic = true;
    const { length } = connection.attempts;
    connection.connect();
    await turn();
    expect(connection.attempts.length).toBeGreaterThan(length);
  });

  it('drop the oldest where the queue is full, and say so once', async () => {
    connection.connected = false;
    endpoint.configure({ ...MEMORY, maxBytes: 262_144 });
    for (let n = 0; n < 10; n++) expect(deliver(String(n), Buffer.alloc(100_000))).toBe(true);
    expect(endpoint.waiting).toEqual({
      messages: 2,
      bytes: 200_066,
      dropped: 8,
      refused: 0,
      expired: 0,
      unstored: 0,
      unsent: 0,
      lost: 0,
    });
    expect(lines.filter(({ level }) => level === 40)).toHaveLength(1);
    expect(endpoint.settle()).toBe(true);
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['8', '9']);
  });

  it('are refused before the start and after the stop', async () => {
    await endpoint.stop();
    expect([deliver('1'), endpoint.settle(), endpoint.health().healthy]).toEqual([false, false, false]);
    await endpoint.start();
    expect([deliver('1'), endpoint.settle(), endpoint.health().healthy]).toEqual([true, true, true]);
  });

  it('leave no timer behind when a publish fails after the stop', async () => {
    await whileTimersStand(async () => {
      deliver('1');
      await turn();
      await endpoint.stop();
      connection.attempts[0]?.reject('stopped');
      await turn();
      expect(jest.getTimerCount()).toBe(0);
      expect(connection.attempts).toHaveLength(1);
    });
  });

  it('survive a restart in a file', async () => {
    connection.connected = false;
    endpoint.configure(FILE);
    deliver('1');
    deliver('2');
    expect(endpoint.settle()).toBe(true);
    await endpoint.stop();
    endpoint = makeEndpoint();
    await endpoint.start();
    deliver('3');
    endpoint.configure(FILE);
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '2', '3']);
  });
});

describe('new settings of the spooler', () => {
  it('take up what an earlier run left in a file, also where the group has gone back to memory', async () => {
    connection.connected = false;
    endpoint.configure(FILE);
    for (const topic of ['1', '2']) deliver(topic);
    await endpoint.stop();
    endpoint = makeEndpoint();
    await endpoint.start();
    deliver('3');
    endpoint.configure(DEFAULT_SPOOL);
    expect(existsSync(join(root, 'var', 'state', 'spooler.db'))).toBe(false);
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '2', '3']);
  });

  it.each<[string, SpoolSettings, SpoolSettings]>([
    ['memory to file', MEMORY, FILE],
    ['file to memory', FILE, MEMORY],
    ['file to a larger file', FILE, { ...FILE, maxBytes: 2_000_000 }],
    ['memory to more memory', MEMORY, { ...MEMORY, maxBytes: 2_000_000 }],
  ])('take what waits along, in order (%s)', async (_what, before, after) => {
    connection.connected = false;
    endpoint.configure(before);
    for (const topic of ['1', '2', '3']) deliver(topic);
    endpoint.configure(after);
    deliver('4');
    expect(endpoint.waiting.messages).toBe(4);
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '2', '3', '4']);
  });

  it.each<[string, SpoolSettings, SpoolSettings]>([
    ['memory to file', MEMORY, FILE],
    ['file to memory', FILE, MEMORY],
    ['file to file', FILE, { ...FILE, maxBytes: 2_000_000 }],
    ['memory to memory', MEMORY, { ...MEMORY, maxBytes: 2_000_000 }],
  ])('lose nothing and repeat nothing while a message is under way (%s)', async (_what, before, after) => {
    endpoint.configure(before);
    for (const topic of ['1', '2', '3', '4', '5']) deliver(topic);
    endpoint.settle();
    for (const n of [0, 1]) {
      await waitFor(() => connection.attempts.length === n + 1);
      connection.attempts[n]?.accept();
    }
    await waitFor(() => connection.attempts.length === 3);
    endpoint.configure(after);
    connection.automatic = true;
    connection.attempts[2]?.accept();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '2', '3', '4', '5']);
  });

  it('keep no more than the new bound', async () => {
    connection.connected = false;
    for (let n = 0; n < 6; n++) deliver(String(n), Buffer.alloc(100_000));
    endpoint.configure({ ...FILE, maxBytes: 262_144 });
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['4', '5']);
  });

  it('that can not be followed leave all as it was', async () => {
    connection.connected = false;
    deliver('1');
    mkdirSync(join(root, 'var', 'state'), { recursive: true });
    const file = join(root, 'var', 'state', 'spooler.db');
    mkdirSync(file);
    expect(() => endpoint.configure(FILE)).toThrow(/spooler\.db/);
    deliver('2');
    rmSync(file, { recursive: true });
    endpoint.configure(FILE);
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['1', '2']);
  });
});

describe('messages from the cloud', () => {
  const table = (...subjects: string[]) =>
    compileTable(subjects.map((Subject) => ({ Source: 'cloud', Subject, Target: 'lamp' })));

  it('are subscribed to by the subjects with source cloud; only changes reach the connection', () => {
    endpoint.setTable(compileTable([{ Source: 'lamp', Subject: 'up', Target: 'cloud' }]));
    expect(connection.calls).toEqual([]);
    endpoint.setTable(table('a', 'b/#', 'a'));
    endpoint.setTable(table('a', 'c'));
    endpoint.setTable(table('c', 'a'));
    expect(connection.calls).toEqual(['+a', '+b/#', '-b/#', '+c']);
    endpoint.setTable(table());
    expect([...connection.handlers]).toEqual([]);
  });

  it('are routed with source cloud', () => {
    endpoint.setTable(table('a'));
    connection.handlers.get('a')?.('a', Buffer.from('x'));
    expect(received).toEqual([{ source: 'cloud', topic: 'a', payload: Buffer.from('x'), qos: 0 }]);
  });

  it("on the system's topics are not asked for", () => {
    endpoint.setTable(table('$aws/things/lamp/shadow/update', '$aws/#', 'a'));
    expect(connection.calls).toEqual(['+a']);
  });
});

describe('a subscription with QoS 0 (extension)', () => {
  const loose = (topic: string, size = 1) =>
    endpoint.deliver({ source: 'lamp', topic, payload: Buffer.alloc(size), qos: 1 }, 'cloud', { qos: 0 });

  it('sends at once, beside what waits, and keeps nothing', async () => {
    endpoint.configure(FILE);
    deliver('kept');
    await turn();
    expect(loose('loose')).toBe(true);
    expect(connection.attempts.map(({ topic, qos }) => `${topic} ${qos}`)).toEqual(['kept 1', 'loose 0']);
    expect(endpoint.waiting).toMatchObject({ messages: 1, unsent: 0 });
    // Nothing is sent twice.
    for (const each of connection.attempts) each.reject('lost');
    connection.connected = false;
    await turn();
    connection.automatic = true;
    connection.connect();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(topics()).toEqual(['kept', 'loose', 'kept']);
    expect(endpoint.waiting.unsent).toBe(1);
  });

  it('drops, counts and explains what comes while the cloud is away; a full spool is nothing to it', () => {
    endpoint.configure({ ...MEMORY, maxBytes: 262_144, full: 'keepOldest' });
    connection.connected = false;
    deliver('fill', Buffer.alloc(262_000));
    const message = { source: 'lamp', topic: 'x', payload: Buffer.alloc(1000), qos: 0 } as const;
    expect([endpoint.hasRoom(message, 1), endpoint.hasRoom(message, 1, { qos: 0 })]).toEqual([false, true]);
    expect(loose('x')).toBe(false);
    expect(endpoint.explain()).toMatch(/away or too slow, and nothing is kept/);
    expect(endpoint.settle()).toBe(true);
    expect(endpoint.waiting).toMatchObject({ messages: 1, dropped: 0, unsent: 1 });
    connection.connect();
    expect(topics()).toEqual(['fill']);
  });

  it('is bounded where the connection takes nothing, and begins anew with the next one', async () => {
    const taken = () => Array.from({ length: 20 }, () => loose('x', 100_000)).filter(Boolean).length;
    expect(taken()).toBe(10);
    expect(taken()).toBe(0);
    expect(endpoint.waiting.unsent).toBe(30);
    connection.attempts[0]?.accept();
    await turn();
    expect(loose('x', 100_000)).toBe(true);
    const old = connection.attempts.splice(0);
    connection.connect();
    expect(taken()).toBe(10);
    // Late news of the old connection free nothing.
    for (const each of old) each.reject('gone');
    await turn();
    expect(loose('x', 100_000)).toBe(false);
    for (let n = 0; n < 600; n++) loose('small', 0);
    expect(connection.attempts.length).toBeLessThan(520);
  });
});
