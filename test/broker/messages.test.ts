/** What devices publish, what they receive, and what ends their connection. */
import type { Packet } from 'mqtt';
import { MAX_MESSAGE_BYTES } from '../../greengrass/model/topic.js';
import { waitFor } from '../support/wait-for.js';
import { BrokerBench, makeDevice, type Session, type TestDevice } from './bench.js';

let bench: BrokerBench;
let lamp: TestDevice;
let fan: TestDevice;
beforeAll(async () => {
  bench = await BrokerBench.start();
  [lamp, fan] = await Promise.all([makeDevice('lamp'), makeDevice('fan')]);
});
beforeEach(() => bench.setGroup(lamp, fan));
afterEach(() => bench.clear());
afterAll(() => bench.stop());

function deliver(device: TestDevice, topic: string, payload: string | Buffer, qos: 0 | 1 = 0): boolean {
  return bench.server.endpoint.deliver(
    { source: 'cloud', topic, payload: Buffer.from(payload), qos },
    device.arn,
  );
}

/** The device says something that the server answers in order: all before it was dealt with. */
async function settle({ client }: Session): Promise<void> {
  await client.publishAsync('settled', '', { qos: 1 });
}

describe('a message of a device', () => {
  it('goes to the router with the ARN of the thing as its source', async () => {
    const { client } = await bench.connect(lamp);
    await client.publishAsync('a/b', 'zero', { qos: 0 });
    await client.publishAsync('a/b', Buffer.from([0, 255, 7]), { qos: 1 });
    expect(bench.published).toEqual([
      { source: lamp.arn, topic: 'a/b', payload: Buffer.from('zero'), qos: 0 },
      { source: lamp.arn, topic: 'a/b', payload: Buffer.from([0, 255, 7]), qos: 1 },
    ]);
  });

  it('is routed before its PUBACK goes out', async () => {
    const { client } = await bench.connect(lamp);
    const routedAtAck: number[] = [];
    client.on('packetreceive', ({ cmd }: Packet) => {
      if (cmd === 'puback') routedAtAck.push(bench.published.length);
    });
    for (const n of [1, 2, 3]) await client.publishAsync('a', String(n), { qos: 1 });
    expect(routedAtAck.every((routed, index) => routed >= index + 1)).toBe(true);
    expect(routedAtAck).toHaveLength(3);
  });

  it('keeps its order and its bytes, whatever its size', async () => {
    const { client } = await bench.connect(lamp);
    const payloads = [0, 1, 127, 128, 16_383, 16_384, 100_000, MAX_MESSAGE_BYTES].map((n) =>
      Buffer.alloc(n, n),
    );
    for (const payload of payloads) client.publish('a', payload, { qos: 0 });
    await client.publishAsync('end', '', { qos: 1 });
    expect(
      bench.published.slice(0, -1).map(({ payload }) => payload.equals(payloads.shift() as Buffer)),
    ).toEqual(new Array(8).fill(true));
  });

  it('goes to nobody without the router, not even to who subscribed', async () => {
    const [sender, listener] = [await bench.connect(lamp), await bench.connect(fan)];
    await listener.client.subscribeAsync(['#', 'a', '$SYS/#']);
    await sender.client.subscribeAsync(['#', 'a']);
    await sender.client.publishAsync('a', 'secret', { qos: 1 });
    await settle(listener);
    await settle(sender);
    expect([listener.received, sender.received]).toEqual([[], []]);
  });

  it('is not kept, though it asks for it (retain)', async () => {
    const sender = await bench.connect(lamp);
    await sender.client.publishAsync('a', 'kept?', { qos: 1, retain: true });
    expect(bench.published).toHaveLength(1);
    const late = await bench.connect(fan);
    await late.client.subscribeAsync('a');
    await settle(late);
    expect(late.received).toEqual([]);
    expect(deliver(fan, 'a', 'routed')).toBe(true);
    await waitFor(() => late.received.length === 1);
    expect(late.received).toEqual([{ topic: 'a', payload: 'routed', qos: 0, retain: false }]);
  });

  it('that was left as a will is routed when the device is lost', async () => {
    const { client } = await bench.connect(lamp, {
      will: { topic: 'gone', payload: Buffer.from('bye'), qos: 1, retain: true },
    });
    client.stream.destroy();
    await waitFor(() => bench.published.length === 1);
    expect(bench.published).toEqual([
      { source: lamp.arn, topic: 'gone', payload: Buffer.from('bye'), qos: 1 },
    ]);
  });

  it.each(['$aws/things/fan/shadow/update/accepted', '$SYS/x', 'a/b/c/d/e/f/g/h/i'])(
    'that was left as a will on %s is not routed',
    async (topic) => {
      const { client } = await bench.connect(lamp, {
        will: { topic, payload: Buffer.from('x'), qos: 0, retain: false },
      });
      client.stream.destroy();
      await waitFor(() => bench.server.connected === 0);
      await waitFor(() => bench.lines.some(({ msg }) => msg === 'Publish refused.'));
      expect(bench.published).toEqual([]);
    },
  );
});

describe('a connection ends', () => {
  async function expectCut(topic: string, payload: string | Buffer, qos: 0 | 1 | 2): Promise<void> {
    const [bad, other] = [await bench.connect(lamp), await bench.connect(fan)];
    bad.client.publish(topic, payload, { qos }, () => undefined);
    await waitFor(() => !bad.client.connected, { what: 'the connection is cut' });
    await settle(other);
    expect(bench.published.map(({ source }) => source)).toEqual([fan.arn]);
  }

  it('at a publish with QoS 2', () => expectCut('a', 'x', 2));
  it('at a message over 128 KB', () => expectCut('a', Buffer.alloc(MAX_MESSAGE_BYTES + 1), 0));
  it('at a packet that announces more than any message has', () =>
    expectCut('a', Buffer.alloc(MAX_MESSAGE_BYTES + 4096), 0));
  it.each([
    '$aws/things/lamp/shadow/update/accepted',
    '$aws/things/lamp/shadow/update/delta',
    '$aws/events/x',
    '$SYS/broker',
    '$',
    'a/b/c/d/e/f/g/h/i',
    'x'.repeat(257),
    'a+b',
    'a/#',
  ])('at a publish to %s', (topic) => expectCut(topic, 'x', 0));

  it('not at a request to a shadow', async () => {
    const { client } = await bench.connect(lamp);
    for (const operation of ['get', 'update', 'delete']) {
      await client.publishAsync(`$aws/things/lamp/shadow/${operation}`, '{}', { qos: 1 });
    }
    expect(bench.published).toHaveLength(3);
  });
});

describe('a delivery', () => {
  it('reaches a device only where it subscribed itself', async () => {
    const session = await bench.connect(lamp);
    expect(deliver(lamp, 'a/b', 'early')).toBe(false);
    await session.client.subscribeAsync('a/+');
    expect(deliver(lamp, 'a/b', 'now')).toBe(true);
    expect(deliver(lamp, 'a', 'elsewhere')).toBe(false);
    await session.client.unsubscribeAsync('a/+');
    expect(deliver(lamp, 'a/b', 'late')).toBe(false);
    await waitFor(() => session.received.length === 1);
    await settle(session);
    expect(session.received).toEqual([{ topic: 'a/b', payload: 'now', qos: 0, retain: false }]);
  });

  it('is refused where the device is not connected, not known, or no thing at all', async () => {
    expect(deliver(lamp, 'a', 'x')).toBe(false);
    const message = { source: 'cloud', topic: 'a', payload: Buffer.alloc(0), qos: 0 } as const;
    expect(bench.server.endpoint.deliver(message, 'arn:aws:lambda:us-east-1:1:function:f:1')).toBe(false);
  });

  it('reaches the device once, however many of its filters take the topic', async () => {
    const session = await bench.connect(lamp);
    await session.client.subscribeAsync(['a/b', 'a/+', 'a/#', '#', 'a/b/#']);
    expect(deliver(lamp, 'a/b', '1')).toBe(true);
    expect(deliver(lamp, 'a/b', '2')).toBe(true);
    await waitFor(() => session.received.length >= 2);
    await settle(session);
    expect(session.received.map(({ payload }) => payload)).toEqual(['1', '2']);
  });

  it.each([
    [0, 0, 0],
    [0, 1, 0],
    [1, 0, 0],
    [1, 1, 1],
    [1, 2, 1],
  ] as const)('with QoS %i to a subscription with QoS %i has QoS %i', async (sent, wanted, expected) => {
    const session = await bench.connect(lamp);
    await session.client.subscribeAsync('a', { qos: wanted });
    expect(deliver(lamp, 'a', 'x', sent)).toBe(true);
    await waitFor(() => session.received.length === 1);
    expect(session.received[0]?.qos).toBe(expected);
  });

  it('takes the highest QoS of the filters that match', async () => {
    const session = await bench.connect(lamp);
    await session.client.subscribeAsync('a/b', { qos: 0 });
    await session.client.subscribeAsync('a/#', { qos: 1 });
    deliver(lamp, 'a/b', 'x', 1);
    await waitFor(() => session.received.length === 1);
    expect(session.received[0]?.qos).toBe(1);
  });

  it('goes to the named device alone', async () => {
    const sessions = [await bench.connect(lamp), await bench.connect(fan)];
    for (const { client } of sessions) await client.subscribeAsync('a');
    deliver(fan, 'a', 'for fan');
    await waitFor(() => sessions[1]?.received.length === 1);
    for (const session of sessions) await settle(session);
    expect(sessions.map(({ received }) => received.length)).toEqual([0, 1]);
  });

  it('keeps order and bytes of a burst of large messages', async () => {
    const session = await bench.connect(lamp);
    const sizes: number[] = [];
    session.client.on('message', (_topic, payload) => sizes.push(payload.length));
    await session.client.subscribeAsync('a', { qos: 1 });
    const sent = Array.from({ length: 30 }, (_, index) => MAX_MESSAGE_BYTES - index);
    for (const size of sent) expect(deliver(lamp, 'a', Buffer.alloc(size), 1)).toBe(true);
    await waitFor(() => sizes.length === 30);
    expect(sizes).toEqual(sent);
  });

  it('is refused while the device does not read, and the memory stays bounded', async () => {
    const session = await bench.connect(lamp);
    await session.client.subscribeAsync('a');
    session.client.stream.pause();
    const payload = Buffer.alloc(MAX_MESSAGE_BYTES);
    let taken = 0;
    for (; taken < 2000; taken++) {
      if (!deliver(lamp, 'a', payload)) break;
      // Let the server write what it took.
      if (taken % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken * MAX_MESSAGE_BYTES).toBeLessThan(64 * 1024 * 1024);
    session.client.stream.resume();
    await waitFor(() => deliver(lamp, 'a', 'again'));
  });
});

describe('a subscription', () => {
  it.each(['a/#/b', 'a+', '', 'a/b/c/d/e/f/g/h/i', 'x'.repeat(257)])('to %j is refused', async (filter) => {
    const { client } = await bench.connect(lamp);
    const granted = await client.subscribeAsync(filter).then(
      (grants) => grants.map(({ qos }) => qos),
      () => 'refused',
    );
    expect(granted).toEqual('refused');
  });

  it('beyond 500 filters is refused; the ones before stay', async () => {
    const session = await bench.connect(lamp);
    const filters = Array.from({ length: 500 }, (_, index) => `f/${index}`);
    await session.client.subscribeAsync(filters);
    const granted = await session.client.subscribeAsync('one/more').then(
      () => 'granted',
      () => 'refused',
    );
    expect(granted).toBe('refused');
    expect(deliver(lamp, 'f/499', 'x')).toBe(true);
    expect(deliver(lamp, 'one/more', 'x')).toBe(false);
    await session.client.subscribeAsync('f/0', { qos: 1 });
    await session.client.unsubscribeAsync('f/1');
    await session.client.subscribeAsync('one/more');
    expect(deliver(lamp, 'one/more', 'x')).toBe(true);
  });

  it('ends with the connection, though the session was to be kept (clean session 0)', async () => {
    const first = await bench.connect(lamp, { clean: false });
    await first.client.subscribeAsync('a', { qos: 1 });
    await first.client.endAsync();
    await waitFor(() => bench.server.connected === 0);
    expect(deliver(lamp, 'a', 'while away', 1)).toBe(false);
    const second = await bench.connect(lamp, { clean: false });
    await settle(second);
    expect(second.received).toEqual([]);
    expect(deliver(lamp, 'a', 'back', 1)).toBe(false);
  });
});
