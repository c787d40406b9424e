/** AWS IoT's limits and reserved topics, packet by packet. */
import type { Packet } from 'mqtt-packet';
import { keepAliveFor } from '../../greengrass/cloud/iot/limits.js';
import { Lab, type LabIdentity } from './lab.js';
import { RawClient } from './raw-client.js';

describe('the limits of an MQTT connection to the cloud', () => {
  let lab: Lab;
  let identity: LabIdentity;
  let count = 0;
  beforeAll(async () => {
    lab = await Lab.open();
    await lab.start();
    identity = await lab.identity('limits');
  });
  afterAll(() => lab.close());

  const newClient = () => lab.connect(identity, `client-${++count}`);
  /** Both may be said of a connection that sent `packet`. */
  async function fate(packet: Packet): Promise<'closed' | 'open'> {
    const client = await newClient();
    client.send(packet);
    client.send(publish('behind it', { qos: 1, messageId: 77 }));
    return client.settled(77).then(
      () => 'open',
      () => 'closed',
    );
  }
  const publish = (topic: string, members: object = {}): Packet => ({
    ...{ cmd: 'publish', topic, payload: 'x', qos: 0, retain: false, dup: false },
    ...members,
  });

  it.each([
    ['128 bytes', 'a'.repeat(128), true],
    ['129 bytes', 'a'.repeat(129), false],
    ['more than 128 bytes in fewer letters', 'ä'.repeat(65), false],
  ])('a client id of %s', async (_what, clientId, isTaken) => {
    const answer = await lab.connect(identity, clientId).then(
      () => true,
      () => false,
    );
    expect(answer).toBe(isTaken);
  });

  it('an empty client id needs a clean session', async () => {
    await expect(lab.connect(identity, '', { clean: false })).rejects.toThrow();
    await lab.connect(identity, '');
  });

  it('keep-alive times are between 30 s and 1200 s, and the longest where none is asked for', () => {
    expect([undefined, 0, 1, 30, 60, 1200, 65535].map(keepAliveFor)).toEqual([
      1200, 1200, 30, 30, 60, 1200, 1200,
    ]);
  });

  it.each([
    ['a topic of 256 bytes', publish('a'.repeat(256)), 'open'],
    ['a topic of 257 bytes', publish('a'.repeat(257)), 'closed'],
    ['a topic with 7 slashes', publish('1/2/3/4/5/6/7/8'), 'open'],
    ['a topic with 8 slashes', publish('1/2/3/4/5/6/7/8/9'), 'closed'],
    ['a payload of 128 KB', publish('a', { payload: Buffer.alloc(128 * 1024) }), 'open'],
    ['a payload of more', publish('a', { payload: Buffer.alloc(128 * 1024 + 300) }), 'closed'],
    ['QoS 2', publish('a', { qos: 2, messageId: 1 }), 'closed'],
    ['a wildcard', publish('a/+'), 'closed'],
    ['an event of the service', publish('$aws/events/presence/connected/x'), 'closed'],
    ['a shadow answer', publish('$aws/things/x/shadow/get/accepted'), 'closed'],
    ['another $aws topic', publish('$aws/anything'), 'closed'],
    ['$SYS', publish('$SYS/x'), 'closed'],
    ['a shadow request', publish('$aws/things/x/shadow/get'), 'open'],
    ['a request of a named shadow', publish('$aws/things/x/shadow/name/config/get'), 'open'],
    ['a jobs request', publish('$aws/things/x/jobs/get'), 'open'],
    ['device defender metrics', publish('$aws/things/x/defender/metrics/json'), 'open'],
    ['Basic Ingest with 7 slashes of its own', publish('$aws/rules/r/1/2/3/4/5/6/7/8'), 'open'],
    ['Basic Ingest with 8', publish('$aws/rules/r/1/2/3/4/5/6/7/8/9'), 'closed'],
    ['a retained shadow request', publish('$aws/things/x/shadow/get', { retain: true }), 'closed'],
  ])('publishing %s', async (_what, packet, expected) => {
    expect(await fate(packet)).toBe(expected);
  });

  it('a payload of more than 128 KB under a short topic is too large, also by a few bytes', async () => {
    expect(await fate(publish('a', { payload: Buffer.alloc(128 * 1024 + 1) }))).toBe('closed');
  });

  it('Basic Ingest reaches no subscriber', async () => {
    const client = await newClient();
    await client.subscribe({ '$aws/rules/#': 0, after: 0 });
    await client.publish('$aws/rules/r/a', 'x');
    await client.publish('after', 'y');
    expect((await client.message()).topic).toBe('after');
  });

  it('QoS 2 is granted as 1; a filter that breaks a rule is refused alone', async () => {
    const client = await newClient();
    const granted = await client.subscribe({ a: 2, b: 1, c: 0, '1/2/3/4/5/6/7/8/9': 1, $other: 1 });
    expect(granted).toEqual([1, 1, 0, 128, 128]);
  });

  it('the reserved part of a filter does not count', async () => {
    const client = await newClient();
    const filters = { '$aws/things/x/1/2/3/4/5/6/7/8': 1, '$aws/things/x/1/2/3/4/5/6/7/8/9': 1 } as const;
    expect(await client.subscribe(filters)).toEqual([1, 128]);
  });

  it('8 filters in a SUBSCRIBE, not 9', async () => {
    const filters = (length: number) =>
      Object.fromEntries(Array.from({ length }, (_, index) => [`f${index}`, 0 as const]));
    const client = await newClient();
    expect(await client.subscribe(filters(8))).toHaveLength(8);
    client.send({
      ...{ cmd: 'subscribe', messageId: 9 },
      subscriptions: Object.keys(filters(9)).map((topic) => ({ topic, qos: 0 })),
    });
    await client.gone();
  });

  it('50 subscriptions to a connection, also in a burst; what was given up makes room', async () => {
    const client = await newClient();
    for (let index = 0; index < 50; index++)
      client.send({
        cmd: 'subscribe',
        messageId: index + 1,
        subscriptions: [{ topic: `s${index}`, qos: 0 }],
      });
    for (let index = 0; index < 50; index++) await client.next('suback');
    expect(await client.subscribe({ s7: 1 })).toEqual([1]);
    client.send({ cmd: 'unsubscribe', messageId: 60, unsubscriptions: ['s7'] });
    await client.next('unsuback');
    expect(await client.subscribe({ other: 0 })).toEqual([0]);
    client.send({ cmd: 'subscribe', messageId: 61, subscriptions: [{ topic: 'one more', qos: 0 }] });
    await client.gone();
  });

  it('a will must be one that could be published', async () => {
    const will = { topic: 'w', payload: Buffer.from('x'), qos: 1 as const, retain: false };
    for (const bad of [
      { ...will, qos: 2 as const },
      { ...will, topic: 'a/#' },
    ])
      await expect(lab.connect(identity, 'testator', { will: bad })).rejects.toThrow();
    await lab.connect(identity, 'testator', { will });
  });

  it('a second CONNECT, and anything before the first, ends the connection', async () => {
    const client = await newClient();
    client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: 'again', keepalive: 30 });
    await client.gone();
    const early = await RawClient.open(lab.target(identity));
    early.send(publish('a'));
    await early.gone();
  });

  it('what a client sent before it was refused is taken, what came after is not', async () => {
    const witness = await newClient();
    await witness.subscribe({ 'order/#': 0 });
    const client = await newClient();
    client.socket.cork();
    client.send(publish('order/1'));
    client.send(publish('$aws/refused'));
    client.send(publish('order/2'));
    client.socket.uncork();
    await client.gone();
    await witness.publish('order/3', 'x');
    expect([(await witness.message()).topic, (await witness.message()).topic]).toEqual([
      'order/1',
      'order/3',
    ]);
  });
});
