/** One reader takes less than a publisher sends it with QoS 1: the publisher waits, nobody else does, and nothing is lost. */
import { MqttServer } from '../../greengrass/core/broker/mqtt-server.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';
import { BrokerBench, makeDevice, type TestDevice } from './bench.js';
import {
  PINGREQ,
  pubackPacket,
  published,
  publishPacket,
  RawClient,
  subscribePacket,
  uint16,
} from './raw-client.js';

const SIZE = 64_000;
/** More than the bound of a device (8 MiB) and what sockets hold. */
const COUNT = 400;
/** Instead of ten seconds, where a test is about the end of them. */
const STUCK_MS = 2000;
/** So much may be acknowledged while the reader takes nothing: its share, and what lies in sockets on the way. */
const MOST_TAKEN = Math.ceil((2.5 * 1024 * 1024 + 12_000_000) / SIZE);
let bench: BrokerBench;
let [sender, other, reader, witness]: TestDevice[] = [];
let server: MqttServer;
beforeAll(async () => {
  bench = await BrokerBench.start();
  [sender, other, reader, witness] = await Promise.all(
    ['sender', 'other', 'reader', 'witness'].map(makeDevice),
  );
});
afterAll(() => bench.stop());

/** `stuckMs`: how long a reader may hold up others; ten seconds as in a core where the test is not about that. */
async function serve(stuckMs?: number): Promise<void> {
  const router = new Router({ logger: silentLogger() });
  server = new MqttServer({
    ...{ port: 0, host: '127.0.0.1', logger: silentLogger() },
    certificate: () => bench.serverCredentials,
    onPublish: (message) => router.route(message),
    settle: () => router.settle(),
    ...(stuckMs === undefined ? {} : { stuckMs }),
    withoutLane: process.env.GREENGRASS_TEST_WITHOUT_LANE === '1',
  });
  await server.start();
  const devices = [sender, other, reader, witness].map((device) => device as TestDevice);
  server.setGroup({ devices: devices.map(({ member }) => member) });
  for (const { arn } of devices) router.register(arn, server.endpoint);
  const route = (from?: TestDevice, to?: TestDevice) => ({
    ...{ Source: from?.arn ?? '', Subject: '#', Target: to?.arn ?? '' },
  });
  router.swap(compileTable([route(sender, reader), route(other, witness), route(witness, other)]));
}

const clients: RawClient[] = [];
afterEach(async () => {
  for (const { socket } of clients.splice(0)) socket.destroy();
  await server.stop();
});

async function connected(device: TestDevice | undefined, qos?: 0 | 1): Promise<RawClient> {
  if (!device) throw new Error('no device');
  const client = await RawClient.connected({ server, ca: bench.ca }, device);
  clients.push(client);
  if (qos === undefined) return client;
  client.send(subscribePacket(1, '#', qos));
  await client.next(0x90);
  return client;
}

/** How many were acknowledged when no more are. */
async function still(client: RawClient): Promise<number> {
  let last = -1;
  await waitFor(
    () => {
      const isStill = client.packets.length === last && last > 0;
      last = client.packets.length;
      return isStill;
    },
    { intervalMs: 400, timeoutMs: 20_000 },
  );
  return last;
}

const numbersOf = (client: RawClient) => client.packets.map(({ body }) => body.readUInt32BE(5));
const payload = (n: number, size = SIZE) => Buffer.concat([uint16(0), uint16(n), Buffer.alloc(size - 4)]);
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

it('a fast publisher waits for a reader that pauses again and again; all arrives, others are not held up', async () => {
  const stuckMs = 2 * STUCK_MS;
  await serve(stuckMs);
  const slow = await connected(reader, 1);
  const fast = await connected(sender);
  const [from, to] = [await connected(other), await connected(witness, 1)];
  slow.socket.pause();
  for (let n = 0; n < COUNT; n++) fast.send(publishPacket('a', payload(n), n + 1));
  expect(await still(fast)).toBeLessThan(MOST_TAKEN);
  for (let n = 0; n < 50; n++) from.send(publishPacket('b', payload(n), n + 1));
  await waitFor(() => to.packets.length === 50 && from.packets.length === 50);
  // Longer than a reader that takes nothing may hold up others.
  const begin = Date.now();
  const steps = setInterval(() => {
    const isFlowing = Date.now() - begin > 1.5 * stuckMs || Math.floor((Date.now() - begin) / 20) % 30 === 29;
    if (isFlowing) slow.socket.resume();
    else slow.socket.pause();
  }, 20);
  await waitFor(() => slow.packets.length === COUNT || slow.isClosed, { timeoutMs: 40_000 });
  clearInterval(steps);
  expect(slow.isClosed).toBe(false);
  expect(numbersOf(slow)).toEqual(upTo(COUNT));
  await waitFor(() => fast.packets.length === COUNT);
});

it('a reader that takes nothing at all for too long is cut, and the publisher goes on', async () => {
  await serve(STUCK_MS);
  const stuck = await connected(reader, 1);
  const fast = await connected(sender);
  stuck.socket.pause();
  const begin = Date.now();
  for (let n = 0; n < COUNT; n++) fast.send(publishPacket('a', payload(n), n + 1));
  await waitFor(() => fast.packets.length === COUNT, { timeoutMs: 30_000 });
  expect(Date.now() - begin).toBeGreaterThan(0.8 * STUCK_MS);
  await waitFor(() => server.connected === 1);
  expect(fast.isClosed).toBe(false);
});

it('a reader that takes all and acknowledges nothing holds up its publisher, and is cut in the end', async () => {
  await serve(STUCK_MS);
  const lazy = await connected(reader, 1);
  const fast = await connected(sender);
  const MANY = 20_000;
  // It is there, and says so; that is no progress.
  const pings = setInterval(() => lazy.send(PINGREQ), STUCK_MS / 10);
  const begin = Date.now();
  for (let n = 0; n < MANY; n++) fast.send(publishPacket('a', payload(n, 200), (n % 65_000) + 1));
  await waitFor(() => fast.packets.length === MANY, { timeoutMs: 30_000 });
  expect(Date.now() - begin).toBeGreaterThan(0.8 * STUCK_MS);
  await lazy.closed();
  clearInterval(pings);
});

it('a reader that acknowledges late gets everything', async () => {
  await serve();
  const late = await connected(reader, 1);
  const fast = await connected(sender);
  const MANY = 20_000;
  for (let n = 0; n < MANY; n++) fast.send(publishPacket('a', payload(n, 200), n + 1));
  expect(await still(fast)).toBeLessThan(MANY);
  let acked = 0;
  await waitFor(
    () => {
      const news = late.packets.slice(acked).map((each) => pubackPacket(published(each).id));
      if (news.length > 0) late.send(...news);
      acked += news.length;
      return acked === MANY || late.isClosed;
    },
    { timeoutMs: 30_000 },
  );
  expect(numbersOf(late)).toEqual(upTo(MANY));
  await waitFor(() => fast.packets.length === MANY);
});

it('two devices that flood each other, with their PUBACKs behind their messages, both get everything', async () => {
  await serve();
  const both = [await connected(other, 1), await connected(witness, 1)];
  // More than may be without PUBACK, less than may wait behind that.
  const MANY = 12_500;
  const got = both.map(() => 0);
  // The messages of each lie in its socket before the first PUBACK.
  for (const client of both) {
    for (let n = 0; n < MANY; n++) client.send(publishPacket('a', payload(n, 200), n + 1));
  }
  await waitFor(
    () => {
      for (const [index, client] of both.entries()) {
        const packets = client.packets.splice(0).filter(({ first }) => first >> 4 === 3);
        if (packets.length > 0) client.send(...packets.map((each) => pubackPacket(published(each).id)));
        got[index] = (got[index] ?? 0) + packets.length;
      }
      return got.every((count) => count === MANY) || both.some(({ isClosed }) => isClosed);
    },
    { timeoutMs: 40_000 },
  );
  expect(both.map(({ isClosed }) => isClosed)).toEqual([false, false]);
});

it('a reader with QoS 0 holds nobody up: what it does not take is dropped', async () => {
  await serve();
  const loose = await connected(reader, 0);
  const fast = await connected(sender);
  loose.socket.pause();
  for (let n = 0; n < COUNT; n++) fast.send(publishPacket('a', payload(n), n + 1));
  await waitFor(() => fast.packets.length === COUNT, { timeoutMs: 20_000 });
  expect(loose.isClosed).toBe(false);
  loose.socket.resume();
  await loose.settle();
  expect(loose.packets.length).toBeLessThan(COUNT);
});

it('a publisher whose slow reader leaves goes on', async () => {
  await serve();
  const slow = await connected(reader, 1);
  const fast = await connected(sender);
  slow.socket.pause();
  for (let n = 0; n < COUNT; n++) fast.send(publishPacket('a', payload(n), n + 1));
  expect(await still(fast)).toBeLessThan(MOST_TAKEN);
  slow.socket.destroy();
  await waitFor(() => fast.packets.length === COUNT);
});
