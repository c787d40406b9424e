/** Clauses of MQTT 3.1.1 where the server meets what V1 does not have, with raw packets on real TLS sockets. */
import { waitFor } from '../support/wait-for.js';
import { usePair } from './pair.js';
import {
  type ConnectOptions,
  PUBLISH,
  packet,
  pubackPacket,
  published,
  publishPacket,
  subscribePacket,
  text,
  uint16,
} from './raw-client.js';

const at = usePair();

const connected = (device = at().lamp, options: ConnectOptions = {}) => at().connected(device, options);
const deliver = (topic: string, payload: string | Buffer, qos: 0 | 1 = 0) =>
  at().deliver(topic, payload, qos);

describe('a will', () => {
  it.each([
    [0, 0],
    [1, 1],
    [2, 1],
  ])('with QoS %i is published with QoS %i, once, and is not retained', async (asked, got) => {
    const flags = 0x26 | (asked << 3);
    const client = await connected(at().lamp, { flags, rest: Buffer.concat([text('gone'), text('bye')]) });
    client.socket.destroy();
    await waitFor(() => at().bench.published.length > 0);
    const other = await connected(at().fan);
    other.send(subscribePacket(1, '#'));
    await other.settle();
    expect(at().bench.published.map(({ topic, qos }) => ({ topic, qos }))).toEqual([
      { topic: 'gone', qos: got },
    ]);
    expect(other.packets.filter(({ first }) => first >> 4 === 3)).toEqual([]);
  });

  it('of a session that is taken over by its own device goes out before what the new connection sends', async () => {
    await connected(at().lamp, { flags: 0x06, rest: Buffer.concat([text('gone'), text('bye')]) });
    const again = await connected();
    again.send(publishPacket('back', 'x'));
    await again.settle();
    expect(at().bench.published.map(({ topic }) => topic)).toEqual(['gone', 'back']);
  });
});

describe('packet ids of a device', () => {
  it('may be used again once acknowledged, and before: each PUBLISH is routed and acknowledged [MQTT-4.3.2-2]', async () => {
    const client = await connected();
    client.send(publishPacket('a', '1', 7), publishPacket('a', '2', 7), publishPacket('a', '3', 65_535));
    await client.settle();
    client.send(publishPacket('a', '4', 7));
    await client.settle();
    expect(at().bench.published.map(({ payload }) => String(payload))).toEqual(['1', '2', '3', '4']);
    const acks = client.packets.filter(({ first }) => first === 0x40);
    expect(acks.map(({ body }) => body.readUInt16BE(0))).toEqual([7, 7, 65_535, 7]);
  });

  it('are not those of the server: both sides use the same ones at once [MQTT-2.3.1-4]', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'b'));
    await client.next(0x90);
    expect(deliver('b', 'down', 1)).toBe(true);
    const { id } = published(await client.next(PUBLISH));
    client.send(publishPacket('a', 'up', id), pubackPacket(id));
    expect((await client.next(0x40)).body).toEqual(uint16(id));
    await client.settle();
    expect(client.isClosed).toBe(false);
  });

  it('in PUBACKs may come in any order', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'b'));
    await client.next(0x90);
    for (const n of ['1', '2', '3']) deliver('b', n, 1);
    await waitFor(() => client.packets.length === 3);
    const ids = client.packets.splice(0).map((each) => published(each).id);
    client.send(...ids.reverse().map(pubackPacket));
    await client.settle();
    deliver('b', '4', 1);
    expect(published(await client.next(PUBLISH))).toMatchObject({ payload: '4', dup: false });
  });
});

describe("a device's topic filters follow MQTT, not V1's rules for subscriptions", () => {
  it.each([
    ['sensor/#', 'sensor', true],
    ['+/+/+', 'a/b/c', true],
    ['#', '$aws/things/lamp/shadow/get/accepted', false],
    ['+/things/#', '$aws/things/lamp/shadow/get/accepted', false],
    ['$aws/#', '$aws/things/lamp/shadow/get/accepted', true],
    ['a/+', 'a', false],
    ['/+', '/a', true],
    ['+', '/a', false],
    ['+/+', '/', true],
    ['/+', '/', true],
    ['a/+/b', 'a//b', true],
    ['a/#', 'a/', true],
    ['#', '/', true],
    ['A', 'a', false],
    ['+/a', '$x/a', false],
    ['$x/#', '$x/a/b', true],
    ['$x/+', '$x/a', true],
  ])('%s on %s: %s [MQTT-4.7.1-3], [MQTT-4.7.2-1]', async (filter, topic, isTaken) => {
    const client = await connected();
    client.send(subscribePacket(1, filter));
    expect((await client.next(0x90)).body[2]).toBeLessThan(2);
    expect(deliver(topic, 'x', 1)).toBe(isTaken);
    await client.settle();
    expect(client.packets.length).toBe(isTaken ? 1 : 0);
  });

  it('are forgotten at UNSUBSCRIBE, by the exact text; what was under way stays so [MQTT-3.10.4-2]', async () => {
    const client = await connected();
    client.send(subscribePacket(1, 'a/#'), subscribePacket(2, 'a/+'));
    await client.settle();
    deliver('a/b', 'before', 1);
    client.send(packet(0xa2, uint16(3), text('a/#')));
    await client.next(0xb0);
    expect([deliver('a/b', 'still', 0), deliver('a/b/c', 'no', 0)]).toEqual([true, false]);
    client.send(packet(0xa2, uint16(4), text('a/+')));
    await client.next(0xb0);
    expect(deliver('a/b', 'no more', 1)).toBe(false);
    await client.settle();
    const got = client.packets.filter(({ first }) => first >> 4 === 3).map(published);
    expect(got.map(({ payload }) => payload)).toEqual(['before', 'still']);
  });
});
