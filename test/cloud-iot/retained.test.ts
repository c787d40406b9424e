/** Retained messages. */
import { Lab, type LabIdentity } from './lab.js';
import type { RawClient } from './raw-client.js';

describe('retained messages', () => {
  let lab: Lab;
  let identity: LabIdentity;
  let speaker: RawClient;
  let count = 0;
  beforeAll(async () => {
    lab = await Lab.open();
    await lab.start();
    identity = await lab.identity('everybody');
    speaker = await lab.connect(identity, 'speaker');
    await speaker.publish('end', 'end', retain);
  });
  afterAll(() => lab.close());

  const retain = { retain: true };
  /** What a new subscriber gets at once, as topics; `end` is retained and comes last or with the others. */
  async function retainedFor(filters: Record<string, 0 | 1>, options = {}) {
    const client = await lab.connect(identity, `r${++count}`, options);
    await client.subscribe(filters);
    await client.subscribe({ end: 0 }, 2);
    const packets = [];
    for (;;) {
      const packet = await client.message();
      if (packet.topic === 'end') return packets;
      packets.push(packet);
    }
  }
  it('the last one comes to a new subscriber, flagged; an ordinary copy to who is there', async () => {
    const present = await lab.connect(identity, 'present');
    await present.subscribe({ 'c1/x': 1 });
    await speaker.publish('c1/x', 'old', retain);
    await speaker.publish('c1/x', 'new', retain);
    expect(await present.message()).toMatchObject({ retain: false });
    const [packet, ...others] = await retainedFor({ 'c1/x': 1 });
    expect(packet).toMatchObject({ topic: 'c1/x', retain: true, qos: 1 });
    expect(packet?.payload.toString()).toBe('new');
    expect(others).toEqual([]);
  });

  it('an empty payload takes it away, and still reaches who is there', async () => {
    const present = await lab.connect(identity, 'present');
    await speaker.publish('c2', 'x', retain);
    await present.subscribe({ c2: 0 });
    expect(await present.message()).toMatchObject({ retain: true });
    await speaker.publish('c2', '', retain);
    expect((await present.message()).payload).toHaveLength(0);
    expect(await retainedFor({ c2: 1 })).toEqual([]);
  });

  it.each([true, false])('wildcards, each topic once, with the QoS granted (clean: %s)', async (clean) => {
    for (const topic of ['c3', 'c3/a', 'c3/a/b', 'c3x', 'C3/a', 'ä/1'])
      await speaker.publish(topic, 'x', retain);
    const topics = (packets: { topic: string; qos: number }[]) =>
      packets.map(({ topic, qos }) => `${topic} ${qos}`).sort();
    const options = { clean };
    expect(topics(await retainedFor({ 'c3/#': 1 }, options))).toEqual(['c3 1', 'c3/a 1', 'c3/a/b 1']);
    expect(topics(await retainedFor({ 'c3/+': 0 }, options))).toEqual(['c3/a 0']);
    expect(topics(await retainedFor({ 'ä/+': 0 }, options))).toEqual(['ä/1 0']);
    expect(topics(await retainedFor({ 'c3/+': 1, 'c3/#': 0 }, options))).toEqual([
      'c3 0',
      'c3/a 1',
      'c3/a/b 0',
    ]);
  });

  it('more than a page of them', async () => {
    for (let index = 0; index < 130; index++) await speaker.publish(`c4/${index}`, 'x', retain);
    const client = await lab.connect(identity, 'reader', { clean: false });
    await client.subscribe({ 'c4/#': 1 });
    const topics = new Set<string>();
    while (topics.size < 130) topics.add((await client.message()).topic);
  });

  it('a session that is resumed gets them only when it subscribes again', async () => {
    await speaker.publish('c5', 'kept', retain);
    const first = await lab.connect(identity, 'resumed', { clean: false });
    await first.subscribe({ c5: 1 });
    expect(await first.message()).toMatchObject({ retain: true });
    await first.disconnect();
    const second = await lab.connect(identity, 'resumed', { clean: false });
    await speaker.publish('c5', 'live');
    expect(await second.message()).toMatchObject({ retain: false });
  });

  it('iot:Receive is asked for each', async () => {
    const narrow = await lab.identity('narrow', [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      { Effect: 'Deny', Action: 'iot:Receive', Resource: '*topic/c6/secret' },
    ]);
    for (const topic of ['c6/secret', 'c6/open']) await speaker.publish(topic, 'x', retain);
    const client = await lab.connect(narrow, 'narrow');
    await client.subscribe({ 'c6/#': 1 });
    expect((await client.message()).topic).toBe('c6/open');
  });

  it('a will may be retained', async () => {
    const will = { topic: 'c7', payload: Buffer.from('gone'), qos: 1 as const, retain: true };
    const witness = await lab.connect(identity, 'witness');
    await witness.subscribe({ c7: 1 });
    const testator = await lab.connect(identity, 'testator', { will });
    await testator.drop();
    await witness.message();
    expect(await retainedFor({ c7: 1 })).toMatchObject([{ topic: 'c7', retain: true }]);
  });
});
