/** UTF-8 and topic names as MQTT 3.1.1 has them (1.5.3, 4.7), in every packet that carries some, with raw packets. */
import { usePair } from './pair.js';
import {
  connectPacket,
  PUBLISH,
  packet,
  published,
  publishPacket,
  subscribePacket,
  text,
  uint16,
} from './raw-client.js';

const at = usePair();

const MALFORMED: ReadonlyArray<readonly [string, number[]]> = [
  ['an overlong slash', [0xc0, 0xaf]],
  ['an overlong null character', [0xc0, 0x80]],
  ['a null character', [0x61, 0x00, 0x62]],
  ['a high surrogate', [0xed, 0xa0, 0x80]],
  ['a low surrogate', [0xed, 0xbf, 0xbf]],
  ['a pair of surrogates', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
  ['something beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['a beginning without its end', [0x61, 0xe2, 0x82]],
  ['an end without its beginning', [0x80]],
];

describe.each(MALFORMED)('%s closes the connection [MQTT-1.5.3-1], [MQTT-1.5.3-2]', (_name, raw) => {
  const bytes = Buffer.from(raw);

  it.each([
    ['PUBLISH', publishPacket(bytes, 'x', 1)],
    ['SUBSCRIBE', packet(0x82, uint16(1), text('fine'), Buffer.from([0]), text(bytes), Buffer.from([0]))],
    ['UNSUBSCRIBE', packet(0xa2, uint16(1), text('fine'), text(bytes))],
  ])('in a %s', async (_packet, sent) => {
    const client = await at().connected();
    client.send(sent);
    await client.closed();
    expect(client.packets).toEqual([]);
    expect(at().bench.published).toEqual([]);
  });

  it.each([
    ['client id', packet(0x10, text('MQTT'), Buffer.from([4, 2, 0, 0]), text(bytes))],
    ['topic of the will', connectPacket('lamp', { flags: 6, rest: Buffer.concat([text(bytes), text('x')]) })],
    ['user name', connectPacket('lamp', { flags: 0x82, rest: text(bytes) })],
  ])('as the %s of a CONNECT', async (_field, sent) => {
    const client = await at().open();
    client.send(sent);
    await client.closed();
    expect(client.packets).toEqual([]);
  });
});

describe('topics', () => {
  it.each(['\ufeff', '\ufeffa', 'a\ufeffb'])(
    'keep a byte order mark: it is a character like others [MQTT-1.5.3-3] (%j)',
    async (topic) => {
      const client = await at().connected();
      client.send(subscribePacket(1, topic), publishPacket(topic, 'x', 1));
      await client.settle();
      expect(at().bench.published.map((message) => message.topic)).toEqual([topic]);
      expect(at().deliver(topic, 'x')).toBe(true);
      expect(published(await client.next(PUBLISH)).topic).toBe(topic);
    },
  );

  it.each(['/', '//', '/a', 'a/', 'a//b', ' ', 'A b/c', '\u{1f4a1}/état'])(
    'with empty levels, spaces and any letters are what they are, nothing more (%j)',
    async (topic) => {
      const client = await at().connected();
      client.send(subscribePacket(1, topic), publishPacket(topic, 'x', 1));
      await client.settle();
      expect(at().bench.published.map((message) => message.topic)).toEqual([topic]);
      expect([
        at().deliver(topic, 'x'),
        at().deliver(`${topic}/`, 'x'),
        at().deliver(`/${topic}`, 'x'),
      ]).toEqual([true, false, false]);
    },
  );

  it.each(['a#', '#/a', 'a/#/b', 'a+', '+a', 'a/b+/c', '##', ''])(
    'filter %j is refused with 0x80, the others of its packet are granted [MQTT-4.7.1-2], [MQTT-4.7.1-3]',
    async (filter) => {
      const client = await at().connected();
      const byte = Buffer.from([1]);
      client.send(packet(0x82, uint16(9), text('before'), byte, text(filter), byte, text('after'), byte));
      expect([...(await client.next(0x90)).body]).toEqual([0, 9, 1, 0x80, 1]);
      expect(at().deliver('after', 'x')).toBe(true);
    },
  );

  it.each(['$SYS/a', '$aws/things/lamp/shadow/update/accepted', '$', '$aws/things/lamp/jobs/get'])(
    'that begin with $ are not published to, requests to shadows excepted (%s)',
    async (topic) => {
      const client = await at().connected();
      client.send(publishPacket('$aws/things/lamp/shadow/get', '', 1), publishPacket(topic, 'x', 2));
      await client.closed();
      expect(at().bench.published.map((message) => message.topic)).toEqual(['$aws/things/lamp/shadow/get']);
    },
  );
});

describe('a SUBSCRIBE', () => {
  it('may have as many filters as a device may hold; those beyond are refused one by one', async () => {
    const client = await at().connected();
    const some = (from: number, count: number) =>
      Array.from({ length: count }, (_, n) => Buffer.concat([text(`many/${from + n}`), Buffer.from([1])]));
    client.send(packet(0x82, uint16(1), ...some(0, 500)), packet(0x82, uint16(2), ...some(498, 4)));
    expect((await client.next(0x90)).body.equals(Buffer.from([0, 1, ...Array(500).fill(1)]))).toBe(true);
    expect([...(await client.next(0x90)).body]).toEqual([0, 2, 1, 1, 0x80, 0x80]);
    client.send(packet(0xa2, uint16(3), text('many/0')), packet(0x82, uint16(4), ...some(500, 2)));
    expect([...(await client.next(0x90)).body]).toEqual([0, 4, 1, 0x80]);
  });

  it('with the same filter twice counts the last one', async () => {
    const client = await at().connected();
    client.send(packet(0x82, uint16(1), text('a'), Buffer.from([1]), text('a'), Buffer.from([0])));
    expect([...(await client.next(0x90)).body]).toEqual([0, 1, 1, 0]);
    at().deliver('a', 'x', 1);
    expect((await client.next(PUBLISH)).first).toBe(0x30);
  });

  it('on overlapping filters gets each message once, with the highest QoS [MQTT-3.3.5-1]', async () => {
    const client = await at().connected();
    client.send(subscribePacket(1, 'a/#', 0), subscribePacket(2, 'a/+', 1), subscribePacket(3, '#', 0));
    await client.settle();
    at().deliver('a/b', 'x', 1);
    await client.settle();
    await client.settle();
    const got = client.packets.filter(({ first }) => first >> 4 === 3);
    expect(got.map(({ first }) => first)).toEqual([0x32]);
  });
});
