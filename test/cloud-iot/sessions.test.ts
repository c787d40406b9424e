/** Persistent sessions: what a client that was away gets, also when the cloud was stopped or killed meanwhile. */
import type { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import type { SessionSettings } from '../../greengrass/cloud/iot/persistent-sessions.js';
import { waitFor } from '../support/wait-for.js';
import { ARN, Lab, type LabIdentity } from './lab.js';
import type { RawClient } from './raw-client.js';

const SETTINGS: SessionSettings = {
  ...{ expiryMs: 60_000, queue: { messages: 1000, bytes: 1_000_000 } },
  totalBytes: 10_000_000,
};
const KEEP = { clean: false };

describe('persistent sessions', () => {
  let lab: Lab;
  let broker: CloudBroker;
  let identity: LabIdentity;
  let speaker: RawClient;
  beforeAll(async () => {
    lab = await Lab.open();
    broker = await lab.start({ sessions: SETTINGS });
    identity = await lab.identity('everybody');
  });
  beforeEach(async () => {
    speaker = await lab.connect(identity, 'speaker');
  });
  afterAll(() => lab.close());

  const open = (clientId: string) => lab.connect(identity, clientId, KEEP);
  const texts = async (client: RawClient, count: number, acknowledge = true) => {
    const found: string[] = [];
    while (found.length < count) found.push((await client.message(acknowledge)).payload.toString());
    return found;
  };
  /** A session that has this filter, and whose client is away. */
  async function away(clientId: string, filters: Record<string, 0 | 1>): Promise<void> {
    const client = await open(clientId);
    await client.subscribe(filters);
    await client.disconnect();
  }
  /** Nothing is left in the session's queue. */
  const emptied = (clientId: string) =>
    waitFor(async () => (await lab.store.sessions.queued(clientId, 1)).length === 0, {
      what: 'an empty queue',
    });

  it('says whether there was a session, also one without subscriptions', async () => {
    const first = await open('present');
    expect(first.sessionPresent).toBe(false);
    await first.disconnect();
    const second = await open('present');
    expect(second.sessionPresent).toBe(true);
    await second.disconnect();
    const clean = await lab.connect(identity, 'present');
    expect(clean.sessionPresent).toBe(false);
    await clean.disconnect();
    expect((await open('present')).sessionPresent).toBe(false);
  });

  it('keeps QoS-1 messages in order for who is away, and no QoS-0 message', async () => {
    await away('a1', { 'a1/#': 1 });
    await speaker.publish('a1/x', 'one');
    speaker.send({ cmd: 'publish', topic: 'a1', payload: 'zero', qos: 0, retain: false, dup: false });
    await speaker.publish('a1', 'two');
    const client = await open('a1');
    const [one, two] = [await client.message(), await client.message()];
    expect([one, two].map(({ payload, qos, dup }) => [payload.toString(), qos, dup])).toEqual([
      ['one', 1, false],
      ['two', 1, false],
    ]);
    await speaker.publish('a1/live', 'three');
    expect(await texts(client, 1)).toEqual(['three']);
    await emptied('a1');
  });

  it('a subscription with QoS 0 has nothing waiting; one given up neither', async () => {
    await away('a2', { 'a2/zero': 0, 'a2/gone': 1, 'a2/end': 1 });
    const client = await open('a2');
    client.send({ cmd: 'unsubscribe', messageId: 5, unsubscriptions: ['a2/gone'] });
    await client.next('unsuback');
    await client.disconnect();
    for (const topic of ['a2/zero', 'a2/gone', 'a2/end']) await speaker.publish(topic, topic);
    expect(await texts(await open('a2'), 1)).toEqual(['a2/end']);
  });

  it('sends again what was not acknowledged, as a repetition under the same packet identifier', async () => {
    const client = await open('a3');
    await client.subscribe({ a3: 1 });
    await speaker.publish('a3', 'one');
    const first = await client.message(false);
    await client.drop();
    await speaker.publish('a3', 'two');
    const again = await open('a3');
    expect(await again.message()).toMatchObject({ messageId: first.messageId, dup: true, topic: 'a3' });
    expect(await again.message()).toMatchObject({ dup: false });
    await emptied('a3');
  });

  it('outlives a restart of the cloud: subscriptions, messages, what was sent and not acknowledged', async () => {
    const client = await open('a4');
    await client.subscribe({ 'a4/+': 1 });
    await speaker.publish('a4/1', 'one');
    const first = await client.message(false);
    await client.drop();
    await speaker.publish('a4/2', 'two');
    broker = await lab.restart({ sessions: SETTINGS });
    speaker = await lab.connect(identity, 'speaker');
    await speaker.publish('a4/3', 'three');
    const again = await open('a4');
    expect(again.sessionPresent).toBe(true);
    expect(await again.message()).toMatchObject({ messageId: first.messageId, dup: true });
    expect(await texts(again, 2)).toEqual(['two', 'three']);
    await speaker.publish('a4/4', 'four');
    expect(await texts(again, 1)).toEqual(['four']);
  });

  it('holds back what a client has no room for, and loses none of it', async () => {
    const client = await open('a5');
    await client.subscribe({ a5: 1 });
    const sent = Array.from({ length: 350 }, (_, index) => `message ${index}`);
    for (const text of sent) await speaker.publish('a5', text);
    const window = await waitFor(() => {
      const packets = client.received.filter((packet) => packet.cmd === 'publish');
      return packets.length === 100 ? packets : undefined;
    });
    expect(new Set(window.map(({ messageId }) => messageId)).size).toBe(100);
    expect(await texts(client, 350)).toEqual(sent);
    await speaker.publish('a5', 'the last');
    expect(await texts(client, 1)).toEqual(['the last']);
    await emptied('a5');
  });

  it('keeps the order while messages come from the store and from speakers at once', async () => {
    await away('a6', { a6: 1 });
    const sent = Array.from({ length: 300 }, (_, index) => String(index));
    for (const text of sent.slice(0, 200)) await speaker.publish('a6', text);
    const client = await open('a6');
    const got = texts(client, 300);
    for (const text of sent.slice(200)) await speaker.publish('a6', text);
    expect(await got).toEqual(sent);
    await emptied('a6');
  });

  it('a full queue drops its oldest messages, and counts them', async () => {
    const before = broker.counts.droppedMessages;
    await away('a7', { a7: 1 });
    const large = 'x'.repeat(100_000);
    for (let index = 0; index < 12; index++) await speaker.publish('a7', `${index} ${large}`);
    const got = await texts(await open('a7'), 9);
    expect(got.map((text) => text.split(' ')[0])).toEqual(['3', '4', '5', '6', '7', '8', '9', '10', '11']);
    expect(broker.counts.droppedMessages - before).toBe(3);
  });

  it('all queues together are bounded: the largest one loses its oldest messages', async () => {
    broker = await lab.restart({ sessions: { ...SETTINGS, expiryMs: 8000, totalBytes: 100_000 } });
    speaker = await lab.connect(identity, 'speaker');
    await away('large', { 'c1/large': 1 });
    await away('small', { 'c1/small': 1 });
    await speaker.publish('c1/small', 'x');
    for (let index = 0; index < 4; index++)
      await speaker.publish('c1/large', `${index} ${'x'.repeat(30_000)}`);
    await waitFor(() => broker.counts.droppedMessages > 0);
    expect(await texts(await open('small'), 1)).toEqual(['x']);
    const got = await texts(await open('large'), 4 - broker.counts.droppedMessages);
    expect(got.at(-1)?.split(' ')[0]).toBe('3');
    broker = await lab.restart({ sessions: SETTINGS });
  });

  it('ends when its client was away for too long', async () => {
    broker = await lab.restart({ sessions: { ...SETTINGS, expiryMs: 400 } });
    const stays = await open('stays');
    await stays.subscribe({ b1: 1 });
    await away('leaves', { b1: 1 });
    await waitFor(async () => (await lab.store.sessions.find('leaves')) === undefined);
    expect(await lab.store.sessions.find('stays')).toBeDefined();
    expect((await open('leaves')).sessionPresent).toBe(false);
    await stays.drop();
    broker = await lab.restart({ sessions: SETTINGS });
  });

  it('a session that has expired while the cloud was away is no session, before it is swept too', async () => {
    await away('late', { b2: 1 });
    await lab.store.sessions.open('late', new Date(Date.now() - SETTINGS.expiryMs - 1).toISOString());
    expect((await open('late')).sessionPresent).toBe(false);
    await speaker.publish('b2', 'x');
    expect(await lab.store.sessions.queued('late', 1)).toEqual([]);
  });

  it('a PUBACK means that the message is stored; where it can not be the speaker is cut', async () => {
    await away('b3', { b3: 1 });
    const { sessions } = lab.store;
    const failing = await lab.start({
      store: Object.assign(Object.create(lab.store), {
        sessions: Object.assign(Object.create(sessions), {
          list: () => sessions.list(),
          change: () => Promise.reject(new Error('the disk is full')),
        }),
      }),
    });
    const other = await lab.connect(identity, 'other speaker', {}, failing);
    await expect(other.publish('b3', 'x')).rejects.toThrow(/closed/);
    await lab.stop(failing);
    await speaker.publish('b3', 'y');
    expect(await texts(await open('b3'), 1)).toEqual(['y']);
  });

  it('subscriptions that the policy no longer allows end with the next connect', async () => {
    const narrow = await lab.identity('narrow', [
      { Effect: 'Allow', Action: ['iot:Connect', 'iot:Receive'], Resource: '*' },
      { Effect: 'Allow', Action: 'iot:Subscribe', Resource: ARN('topicfilter/b4/mine') },
    ]);
    await away('b4', { 'b4/mine': 1, 'b4/others': 1 });
    await (await lab.connect(narrow, 'b4', KEEP)).disconnect();
    for (const topic of ['b4/others', 'b4/mine']) await speaker.publish(topic, topic);
    expect(await texts(await lab.connect(narrow, 'b4', KEEP), 1)).toEqual(['b4/mine']);
  });

  it('a subscription that was refused is not kept', async () => {
    const client = await open('b5');
    expect(await client.subscribe({ $refused: 1, b5: 2 })).toEqual([128, 1]);
    expect((await lab.store.sessions.find('b5'))?.filters).toEqual([['b5', 1]]);
  });

  it('each subscriber gets a message once, whatever overlaps', async () => {
    for (const clean of [true, false]) {
      const client = await lab.connect(identity, `overlap ${clean}`, { clean });
      await client.subscribe({ 'b6/#': 0, 'b6/x': 1, '+/x': 1 });
      await speaker.publish('b6/x', 'one');
      await speaker.publish('b6/end', 'two');
      expect(await texts(client, 2)).toEqual(['one', 'two']);
    }
  });

  it('messages with QoS 1 and 0 from two speakers at once reach a clean client all', async () => {
    const client = await lab.connect(identity, 'b7');
    await client.subscribe({ b7: 1 });
    await away('b7 away', { b7: 1 });
    const other = await lab.connect(identity, 'b7 other');
    const sent: string[] = [];
    for (let index = 0; index < 200; index++) {
      const members = { cmd: 'publish' as const, topic: 'b7', retain: false, dup: false };
      speaker.send({ ...members, payload: `a${index}`, qos: 1, messageId: index + 1 });
      other.send({ ...members, payload: `b${index}`, qos: 0 });
      sent.push(`a${index}`, `b${index}`);
    }
    expect((await texts(client, 400)).sort()).toEqual(sent.sort());
  });

  it('a message that is overtaken on its way through the broker is not taken for a repetition', async () => {
    const client = await lab.connect(identity, 'b8');
    await client.subscribe({ b8: 1 });
    const publish = (qos: 0 | 1) => broker.publish('b8', Buffer.from(`QoS ${qos}`), qos);
    for (let turns = 0; turns < 20; turns++) {
      const first = publish(1);
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      await Promise.all([first, publish(0)]);
      expect((await texts(client, 2)).sort()).toEqual(['QoS 0', 'QoS 1']);
    }
  });
});
