/** MQTT 3.1.1 as the local server claims it, clause by clause, with raw packets on real TLS sockets. */
import fc from 'fast-check';
import mqtt from 'mqtt';
import { MAX_MESSAGE_BYTES } from '../../greengrass/model/topic.js';
import { waitFor } from '../support/wait-for.js';
import { usePair } from './pair.js';
import {
  type ConnectOptions,
  connectPacket,
  DISCONNECT,
  PINGREQ,
  PUBLISH,
  packet,
  pubackPacket,
  published,
  publishPacket,
  type RawClient,
  subscribePacket,
  text,
  uint16,
} from './raw-client.js';

const at = usePair();

const open = () => at().open();
const connected = (device = at().lamp, options: ConnectOptions = {}) => at().connected(device, options);
const deliver = (topic: string, payload: string | Buffer, qos: 0 | 1 = 0) =>
  at().deliver(topic, payload, qos);

const BAD_UTF8 = Buffer.from([0xc3, 0x28]);
const SURROGATE = Buffer.from([0xed, 0xa0, 0x80]);
const WILL_FLAGS = 0x06;
const will = (topic: string | Buffer, payload: string) => Buffer.concat([text(topic), text(payload)]);

describe('CONNECT', () => {
  it('is answered with CONNACK, session present 0', async () => {
    const client = await open();
    client.send(connectPacket('lamp'));
    expect((await client.next(0x20)).body).toEqual(Buffer.from([0, 0]));
  });

  it('may be followed by packets before CONNACK came', async () => {
    const client = await open();
    client.send(connectPacket('lamp'), subscribePacket(7, 'a'), publishPacket('b', 'x', 9), PINGREQ);
    await client.next(0xd0);
    expect(client.packets.map(({ first }) => first)).toEqual([0x20, 0x90, 0x40]);
    expect(at().bench.published).toHaveLength(1);
  });

  it('may come byte by byte', async () => {
    const client = await open();
    for (const byte of Buffer.concat([connectPacket('lamp'), PINGREQ])) client.send(Buffer.from([byte]));
    await client.next(0xd0);
  });

  it.each([
    ['MQTT 5', 'MQTT', 5],
    ['a level that does not exist', 'MQTT', 9],
    ['level 3 under the new name', 'MQTT', 3],
  ])('of %s is refused with return code 1, then closed [MQTT-3.1.2-2]', async (_name, protocol, level) => {
    const client = await open();
    client.send(connectPacket('lamp', { protocol, level }));
    expect((await client.next(0x20)).body).toEqual(Buffer.from([0, 1]));
    await client.closed();
  });

  it('of MQTT 3.1 is served', async () => {
    await (await connected(at().lamp, { protocol: 'MQIsdp', level: 3 })).settle();
  });

  it('of a real MQTT 5 client ends in an error that it understands', async () => {
    const client = mqtt.connect({
      ...{
        protocol: 'mqtts',
        host: '127.0.0.1',
        port: at().bench.server.port,
        ca: at().bench.ca.certificatePem,
      },
      ...{ cert: at().lamp.certificatePem, key: at().lamp.privateKeyPem, clientId: 'lamp' },
      ...{ protocolVersion: 5, reconnectPeriod: 0 },
    });
    const reason = await at().bench.refusalOf(client);
    expect(reason).toMatch(/refused|protocol version/i);
    client.end(true);
  });

  it('with an empty client id and no clean session is refused with return code 2 [MQTT-3.1.3-8]', async () => {
    const client = await open();
    client.send(connectPacket('', { flags: 0 }));
    expect((await client.next(0x20)).body).toEqual(Buffer.from([0, 2]));
    await client.closed();
  });

  it('of somebody else is refused with return code 5', async () => {
    const client = await open();
    client.send(connectPacket('fan'));
    expect((await client.next(0x20)).body).toEqual(Buffer.from([0, 5]));
    await client.closed();
  });

  it('takes user name and password, and does not look at them', async () => {
    const rest = Buffer.concat([text('user'), text('password')]);
    await (await connected(at().lamp, { flags: 0xc2, rest })).settle();
  });

  it.each([
    ['another protocol', connectPacket('lamp', { protocol: 'HTTP' })],
    ['the reserved flag [MQTT-3.1.2-3]', connectPacket('lamp', { flags: 3 })],
    ['a QoS of a will without a will [MQTT-3.1.2-13]', connectPacket('lamp', { flags: 0x0a })],
    ['retain of a will without a will [MQTT-3.1.2-15]', connectPacket('lamp', { flags: 0x22 })],
    ['a will with QoS 3 [MQTT-3.1.2-14]', connectPacket('lamp', { flags: 0x1e, rest: will('w', 'x') })],
    ['a will without its topic', connectPacket('lamp', { flags: WILL_FLAGS })],
    [
      'a password without a user name [MQTT-3.1.2-22]',
      connectPacket('lamp', { flags: 0x42, rest: text('p') }),
    ],
    ['more than its fields', connectPacket('lamp', { rest: Buffer.from([1]) })],
    [
      'flags in its first byte [MQTT-2.2.2-2]',
      Buffer.concat([Buffer.from([0x11]), connectPacket('lamp').subarray(1)]),
    ],
    [
      'a client id that is no UTF-8 [MQTT-1.5.3-1]',
      packet(0x10, text('MQTT'), Buffer.from([4, 2, 0, 0]), text(BAD_UTF8)),
    ],
    ['nothing in it', packet(0x10)],
  ])('with %s closes the connection', async (_name, bytes) => {
    const client = await open();
    client.send(bytes);
    await client.closed();
    expect(client.packets).toEqual([]);
  });

  it('must come first [MQTT-3.1.0-1]', async () => {
    const client = await open();
    client.send(subscribePacket(1, 'a'), connectPacket('lamp'));
    await client.closed();
    expect(client.packets).toEqual([]);
  });

  it('must not come twice [MQTT-3.1.0-2]', async () => {
    const client = await connected();
    client.send(connectPacket('lamp'));
    await client.closed();
  });
});

describe('a packet that breaks the rules closes the connection', () => {
  it.each([
    ['type 0', packet(0x00)],
    ['type 15', packet(0xf0)],
    ['a CONNACK', packet(0x20, Buffer.from([0, 0]))],
    ['a SUBACK', packet(0x90, Buffer.from([0, 1, 0]))],
    ['a PINGRESP', packet(0xd0)],
    ['PUBREC', packet(0x50, uint16(1))],
    ['PUBREL', packet(0x62, uint16(1))],
    ['PUBCOMP', packet(0x70, uint16(1))],
    ['a PINGREQ with a body', packet(0xc0, Buffer.from([1]))],
    ['a PINGREQ with flags', packet(0xc1)],
    ['a DISCONNECT with flags', packet(0xe1)],
    ['SUBSCRIBE with wrong flags [MQTT-3.8.1-1]', packet(0x80, uint16(1), text('a'), Buffer.from([0]))],
    ['SUBSCRIBE without filters [MQTT-3.8.3-3]', packet(0x82, uint16(1))],
    ['SUBSCRIBE without the QoS', packet(0x82, uint16(1), text('a'))],
    ['SUBSCRIBE with QoS 3 [MQTT-3-8.3-4]', subscribePacket(1, 'a', 3)],
    ['SUBSCRIBE with reserved bits [MQTT-3-8.3-4]', subscribePacket(1, 'a', 0x81)],
    ['SUBSCRIBE with packet id 0 [MQTT-2.3.1-1]', subscribePacket(0, 'a')],
    ['SUBSCRIBE with a filter that is no UTF-8', subscribePacket(1, BAD_UTF8)],
    ['UNSUBSCRIBE with wrong flags [MQTT-3.10.1-1]', packet(0xa0, uint16(1), text('a'))],
    ['UNSUBSCRIBE without filters [MQTT-3.10.3-2]', packet(0xa2, uint16(1))],
    ['UNSUBSCRIBE with packet id 0', packet(0xa2, uint16(0), text('a'))],
    ['PUBLISH with QoS 3 [MQTT-3.3.1-4]', publishPacket('a', 'x', 1, 4)],
    ['PUBLISH with QoS 2, which is not served', packet(0x34, text('a'), uint16(1), Buffer.from('x'))],
    ['PUBLISH with DUP and QoS 0 [MQTT-3.3.1-2]', publishPacket('a', 'x', 0, 8)],
    ['PUBLISH with packet id 0 [MQTT-2.3.1-1]', packet(0x32, text('a'), uint16(0))],
    ['PUBLISH without a packet id', packet(0x32, text('a'))],
    ['PUBLISH without a topic', packet(0x30)],
    ['PUBLISH with half a length of the topic', packet(0x30, Buffer.from([0]))],
    ['PUBLISH with an empty topic', publishPacket('', 'x')],
    ['PUBLISH with a topic that ends after the packet', packet(0x30, Buffer.from([0, 9, 97]))],
    ['PUBLISH to a wildcard [MQTT-3.3.2-2]', publishPacket('a/+', 'x')],
    ['PUBLISH to a topic that is no UTF-8 [MQTT-3.3.2-1]', publishPacket(BAD_UTF8, 'x')],
    ['PUBLISH to a surrogate [MQTT-1.5.3-1]', publishPacket(SURROGATE, 'x')],
    ['PUBLISH to a null character [MQTT-1.5.3-2]', publishPacket('a\u0000b', 'x')],
    ['PUBACK with one byte', packet(0x40, Buffer.from([1]))],
    ['PUBACK with three bytes', packet(0x40, Buffer.from([0, 1, 0]))],
    ['PUBACK with flags', packet(0x42, uint16(1))],
    ['a length of five bytes [MQTT-2.2.3]', Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80, 0x01])],
    ['a length beyond any message', Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])],
  ])('%s', async (_name, bytes) => {
    const [client, other] = [await connected(), await connected(at().fan)];
    client.send(publishPacket('before', 'x'), bytes, publishPacket('after', 'x'));
    await client.closed();
    await other.settle();
    expect(at().bench.published.map(({ topic }) => topic)).toEqual(['before']);
  });

  it('any bytes whatever leave the server serving', async () => {
    const other = await connected(at().fan);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.boolean(), async (bytes, isIn) => {
        const client = isIn ? await connected() : await open();
        client.send(bytes);
        client.socket.end();
        await client.closed();
        await other.settle();
      }),
      { numRuns: 25 },
    );
  });
});

describe('PUBLISH', () => {
  it('with QoS 1 is acknowledged with its id, in the order of the messages [MQTT-4.6.0-2]', async () => {
    const client = await connected();
    client.send(...[3, 1, 65_535, 1].map((id) => publishPacket('a', `${id}`, id)));
    await client.settle();
    const acks = client.packets.map(({ first, body }) => [first, body.readUInt16BE(0)]);
    expect(acks).toEqual([
      [0x40, 3],
      [0x40, 1],
      [0x40, 65_535],
      [0x40, 1],
    ]);
    expect(at().bench.published.map(({ payload }) => payload.toString())).toEqual(['3', '1', '65535', '1']);
  });

  it('that comes again with DUP is routed again: that is what at least once means', async () => {
    const client = await connected();
    client.send(publishPacket('a', 'x', 5), publishPacket('a', 'x', 5, 8));
    await client.settle();
    expect(at().bench.published).toHaveLength(2);
    expect(client.packets).toHaveLength(2);
  });

  it('keeps its order across QoS 0 and QoS 1, and whatever comes between', async () => {
    const client = await connected();
    client.send(
      publishPacket('a', '1'),
      publishPacket('a', '2', 1),
      subscribePacket(2, 'x'),
      publishPacket('a', '3'),
      PINGREQ,
      publishPacket('a', '4', 3),
    );
    await client.next(0xd0);
    await waitFor(() => at().bench.published.length === 4);
    expect(at().bench.published.map(({ payload }) => payload.toString())).toEqual(['1', '2', '3', '4']);
  });

  it('arrives whole however it is cut into pieces', async () => {
    const client = await connected();
    const sizes = [0, 1, 100, 127, 128, 5000, 16_384, MAX_MESSAGE_BYTES];
    const stream = Buffer.concat(sizes.map((size, n) => publishPacket(`t/${n}`, Buffer.alloc(size, n), n)));
    for (let at = 0, step = 1; at < stream.length; at += step, step = (step * 7 + 3) % 9973 || 1) {
      client.send(stream.subarray(at, at + step));
    }
    await client.settle();
    expect(
      at().bench.published.map(({ topic, payload }) => [topic, payload.length, payload[0] ?? -1]),
    ).toEqual(sizes.map((size, n) => [`t/${n}`, size, size === 0 ? -1 : n]));
  });

  it('of 128 KB is taken, of one byte more it closes the connection', async () => {
    const client = await connected();
    client.send(publishPacket('a', Buffer.alloc(MAX_MESSAGE_BYTES), 1));
    await client.next(0x40);
    client.send(publishPacket('a', Buffer.alloc(MAX_MESSAGE_BYTES + 1), 2));
    await client.closed();
  });

  it('knows topics apart that share their length or their bytes in part', async () => {
    const client = await connected();
    const topics = ['a/b', 'a/c', 'a/b', 'ä', 'b/c', 'a/b/c', 'ä', 'a'];
    client.send(...topics.map((topic) => publishPacket(topic, '')));
    await client.settle();
    expect(at().bench.published.map(({ topic }) => topic)).toEqual(topics);
  });
});

describe('SUBSCRIBE', () => {
  it('is answered with one code for each filter, in order; QoS 2 is granted as 1 [MQTT-3.8.4-5]', async () => {
    const client = await connected();
    const filters = [
      [text('a'), Buffer.from([0])],
      [text('a/#/b'), Buffer.from([1])],
      [text('b/+'), Buffer.from([2])],
    ].flat();
    client.send(packet(0x82, uint16(513), ...filters));
    expect((await client.next(0x90)).body).toEqual(Buffer.from([2, 1, 0, 0x80, 1]));
  });

  it('again on the same filter replaces the QoS [MQTT-3.8.4-3]', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'a', 1), subscribePacket(2, 'a', 0));
    await client.settle();
    deliver('a', 'x', 1);
    expect((await client.next(PUBLISH)).first).toBe(0x30);
  });

  it('UNSUBSCRIBE is answered, also for filters that nobody had [MQTT-3.10.4-5]', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'a'), packet(0xa2, uint16(9), text('a'), text('never')));
    expect((await client.next(0xb0)).body).toEqual(uint16(9));
    expect(deliver('a', 'x')).toBe(false);
  });
});

describe('a delivery with QoS 1', () => {
  it('has ids that are not in use [MQTT-2.3.1-4]; unknown and repeated PUBACKs are ignored', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'a'));
    await client.settle();
    for (const n of [1, 2, 3]) deliver('a', `${n}`, 1);
    const ids = [];
    for (let n = 0; n < 3; n++) ids.push(published(await client.next(PUBLISH)).id);
    expect(new Set(ids).size).toBe(3);
    expect(ids.every((id) => id > 0)).toBe(true);
    client.send(pubackPacket(999), ...ids.map(pubackPacket), ...ids.map(pubackPacket));
    await client.settle();
  });

  it('waits beyond 10,000 without PUBACK, and goes on with each', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'a'));
    await client.next(0x90);
    const taken = Array.from({ length: 10_003 }, (_, n) => deliver('a', `${n}`, 1));
    expect(taken).not.toContain(false);
    await waitFor(() => client.packets.length === 10_000);
    await client.settle();
    expect(client.packets).toHaveLength(10_000);
    const ids = client.packets.splice(0).map((one) => published(one).id);
    client.send(pubackPacket(ids[500] as number), pubackPacket(ids[1] as number));
    await waitFor(() => client.packets.length === 2);
    expect(client.packets.map((one) => published(one).payload)).toEqual(['10000', '10001']);
  });

  it('ends the connection of a device that does not take what it asked for', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'a'));
    await client.settle();
    client.socket.pause();
    const payload = Buffer.alloc(MAX_MESSAGE_BYTES);
    let taken = 0;
    while (deliver('a', payload, 1)) taken += 1;
    expect(taken).toBeLessThan(100);
    await waitFor(() => at().bench.server.connected === 0);
  });

  it('is shared by many receivers, each with its own id', async () => {
    const [one, two] = [await connected(), await connected(at().fan)];
    for (const client of [one, two]) {
      client.send(subscribePacket(1, 'a'));
      await client.settle();
    }
    for (const size of [10, 2048, 3000, 100_000]) {
      const message = { source: 'x', topic: 'a', payload: Buffer.alloc(size, 'y'), qos: 1 } as const;
      expect(at().bench.server.endpoint.deliver(message, at().lamp.arn)).toBe(true);
      if (size === 10) at().bench.server.endpoint.deliver(message, at().lamp.arn);
      expect(at().bench.server.endpoint.deliver(message, at().fan.arn)).toBe(true);
    }
    const got = async (client: RawClient, count: number) => {
      const list = [];
      for (let n = 0; n < count; n++) list.push(published(await client.next(PUBLISH)));
      return list.map(({ id, payload }) => [id, payload.length, /^y*$/.test(payload)]);
    };
    expect(await got(one, 5)).toEqual([10, 10, 2048, 3000, 100_000].map((size, n) => [n + 1, size, true]));
    expect(await got(two, 4)).toEqual([10, 2048, 3000, 100_000].map((size, n) => [n + 1, size, true]));
  });
});

describe('the will', () => {
  const options = { flags: WILL_FLAGS, rest: will('gone', 'bye') };

  it('is published when the connection is lost, when it breaks the rules, and when somebody takes it over', async () => {
    (await connected(at().lamp, options)).socket.destroy();
    await waitFor(() => at().bench.published.length === 1);
    const rude = await connected(at().lamp, options);
    rude.send(packet(0xf0));
    await waitFor(() => at().bench.published.length === 2);
    await connected(at().lamp, options);
    await connected(at().lamp);
    await waitFor(() => at().bench.published.length === 3);
    expect(at().bench.published.map(({ topic }) => topic)).toEqual(['gone', 'gone', 'gone']);
  });

  it('is not published after DISCONNECT [MQTT-3.14.4-3]; what was sent before it is', async () => {
    const client = await connected(at().lamp, options);
    client.send(publishPacket('a', 'last', 1), DISCONNECT, publishPacket('a', 'too late'));
    await client.next(0x40);
    await client.closed();
    expect(at().bench.published.map(({ payload }) => payload.toString())).toEqual(['last']);
  });
});

describe('keep alive', () => {
  it('closes a connection that is silent for one and a half times its time [MQTT-3.1.2-24]; the will goes out', async () => {
    const begin = Date.now();
    const client = await connected(at().lamp, { keepAlive: 1, flags: WILL_FLAGS, rest: will('gone', 'bye') });
    await client.closed();
    expect(Date.now() - begin).toBeGreaterThan(1400);
    expect(at().bench.published).toHaveLength(1);
  });

  it('counts every packet, and does not count where it is 0', async () => {
    const [talking, patient] = [await connected(at().lamp, { keepAlive: 1 }), await connected(at().fan)];
    const end = Date.now() + 2300;
    await waitFor(
      async () => {
        talking.send(publishPacket('a', ''));
        await talking.settle();
        return Date.now() > end;
      },
      { intervalMs: 200 },
    );
    expect([talking.isClosed, patient.isClosed]).toEqual([false, false]);
  });
});

describe('a client id that connects again', () => {
  it('closes the old connection before CONNACK [MQTT-3.1.4-2]', async () => {
    const old = await connected();
    const fresh = await connected();
    await old.closed();
    expect(at().bench.server.connected).toBe(1);
    await fresh.settle();
  });
});
