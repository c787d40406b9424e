/** More comes in than devices take: who publishes has to wait, nothing is lost, and one device can't stop the others. */
import { MqttServer } from '../../greengrass/core/broker/mqtt-server.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';
import { BrokerBench, makeDevice, type TestDevice } from './bench.js';
import { published, publishPacket, RawClient, subscribePacket } from './raw-client.js';

const READERS = 6;
const SIZE = 100_000;
let bench: BrokerBench;
let sender: TestDevice;
let readers: TestDevice[];
let server: MqttServer;
beforeAll(async () => {
  bench = await BrokerBench.start();
  sender = await makeDevice('sender');
  readers = await Promise.all(Array.from({ length: READERS }, (_, n) => makeDevice(`reader-${n}`)));
});
afterEach(() => server.stop());
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
  server.setGroup({ devices: [sender, ...readers].map(({ member }) => member) });
  for (const { arn } of readers) router.register(arn, server.endpoint);
  router.swap(compileTable(readers.map(({ arn }) => ({ Source: sender.arn, Subject: 'a', Target: arn }))));
}

async function subscribe(device: TestDevice): Promise<RawClient> {
  const client = await RawClient.connected({ server, ca: bench.ca }, device);
  client.send(subscribePacket(1, 'a'));
  await client.next(0x90);
  return client;
}

it('a publisher waits for readers that pause, and everything arrives', async () => {
  await serve();
  const clients = await Promise.all(readers.map(subscribe));
  const from = await RawClient.connected({ server, ca: bench.ca }, sender);
  for (const { socket } of clients) socket.pause();
  const COUNT = 120;
  for (let n = 0; n < COUNT; n++) from.send(publishPacket('a', Buffer.alloc(SIZE, n), n + 1));
  // Not everything was taken: 6 devices times 12 MB are more than may wait.
  await waitFor(() => from.packets.length > 30);
  let last = -1;
  await waitFor(
    () => {
      const isStill = from.packets.length === last;
      last = from.packets.length;
      return isStill;
    },
    { intervalMs: 500 },
  );
  expect(from.packets.length).toBeLessThan(COUNT);
  for (const { socket } of clients) socket.resume();
  await waitFor(() => from.packets.length === COUNT);
  for (const client of clients) {
    await waitFor(() => client.packets.length === COUNT, { timeoutMs: 20_000 });
    const order = client.packets.map((packet) => published(packet).payload.charCodeAt(0) & 0x7f);
    expect(order.slice(0, 100)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    client.socket.destroy();
  }
  from.socket.destroy();
  await waitFor(() => server.connected === 0);
});

it('readers that take nothing for too long are cut, and the publisher goes on', async () => {
  await serve(2000);
  const clients = await Promise.all(readers.map(subscribe));
  const from = await RawClient.connected({ server, ca: bench.ca }, sender);
  for (const { socket } of clients.slice(1)) socket.pause();
  // What is left when they are cut fits into the share of the one that reads.
  const COUNT = 100;
  for (let n = 0; n < COUNT; n++) from.send(publishPacket('a', Buffer.alloc(SIZE), n + 1));
  await waitFor(() => from.packets.length === COUNT, { timeoutMs: 40_000 });
  const [reader] = clients;
  await waitFor(() => {
    expect({ isClosed: reader?.isClosed, got: reader?.packets.length }).toEqual({
      isClosed: false,
      got: COUNT,
    });
    return true;
  });
  expect(server.connected).toBeLessThan(clients.length + 1);
  for (const { socket } of [from, ...clients]) socket.destroy();
});
