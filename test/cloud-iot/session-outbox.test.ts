/** The outbox of a session where the store answers late: what happens meanwhile must neither repeat nor lose a message. */

import mqtt, { type Packet } from 'mqtt-packet';
import { MessageKeys } from '../../greengrass/cloud/iot/message-key.js';
import type { PublishFrame } from '../../greengrass/cloud/iot/publish-frame.js';
import { encodePublish } from '../../greengrass/cloud/iot/publish-frame.js';
import { QueueJournal } from '../../greengrass/cloud/iot/queue-journal.js';
import { SessionOutbox } from '../../greengrass/cloud/iot/session-outbox.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';
import { Lab } from './lab.js';

const LIMITS = { messages: 1000, bytes: 1_000_000 };

describe('the outbox of a session', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open();
  });
  afterAll(() => lab.close());

  /** A store that has read, and answers when it is let. */
  class Gate {
    #waiting: Array<() => void> = [];
    isOpen = true;

    get reads(): number {
      return this.#waiting.length;
    }

    async queued(clientId: string, limit: number) {
      const rows = await lab.store.sessions.queued(clientId, limit);
      if (!this.isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      return rows;
    }

    open(): void {
      this.isOpen = true;
      for (const answer of this.#waiting.splice(0)) answer();
    }
  }

  async function newOutbox(clientId: string) {
    await lab.store.sessions.open(clientId, new Date().toISOString());
    const journal = new QueueJournal(lab.store.sessions, LIMITS, silentLogger());
    const keys = new MessageKeys();
    const gate = new Gate();
    const sent: PublishFrame[] = [];
    const refused = new Set<string>();
    const failures: number[] = [];
    const peer = {
      clientId,
      send: (frame: PublishFrame) => sent.push(frame),
      mayReceive: (topic: string) => !refused.has(topic),
      isCongested: () => false,
      fail: () => failures.push(1),
    };
    const outbox = new SessionOutbox(peer, gate, journal, silentLogger());
    const store = async (text: string, topic = 't') => {
      const message = { key: keys.next(), topic, payload: Buffer.from(text) };
      await journal.add([clientId], message);
      return message;
    };
    const texts = () => sent.map(({ payload }) => Buffer.from(payload).toString());
    return { outbox, journal, gate, sent, refused, failures, store, texts };
  }

  it('does not send again what was acknowledged while the store was read', async () => {
    const { outbox, gate, sent, store, texts } = await newOutbox('i1');
    for (let index = 0; index < 150; index++) await store(String(index));
    outbox.start();
    await waitFor(() => sent.length === 100);
    gate.isOpen = false;
    outbox.acknowledge(sent[0]?.messageId ?? 0);
    await waitFor(() => gate.reads === 1);
    for (const { messageId } of sent.slice(1, 60)) outbox.acknowledge(messageId);
    gate.open();
    await waitFor(() => sent.length === 150);
    for (const { messageId } of sent.slice(60)) outbox.acknowledge(messageId);
    await waitFor(async () => (await lab.store.sessions.queued('i1', 1)).length === 0);
    expect(texts()).toEqual(Array.from({ length: 150 }, (_, index) => String(index)));
  });

  it('sends what was offered while the store was read, once and behind', async () => {
    const { outbox, gate, store, texts } = await newOutbox('i2');
    await store('old');
    gate.isOpen = false;
    outbox.start();
    await waitFor(() => gate.reads === 1);
    outbox.offer(await store('new'));
    gate.open();
    await waitFor(() => texts().length === 2);
    const last = await store('last');
    outbox.offer(last);
    outbox.offer(last);
    expect(texts()).toEqual(['old', 'new', 'last']);
  });

  it('takes out what the client may not receive, and goes on', async () => {
    const { outbox, refused, store, texts } = await newOutbox('i3');
    refused.add('secret');
    for (const topic of ['secret', 'open', 'secret']) await store(topic, topic);
    outbox.start();
    await waitFor(async () => (await lab.store.sessions.queued('i3', 10)).length === 1);
    expect(texts()).toEqual(['open']);
  });

  it('gives no packet identifier twice, also around the end of their range', async () => {
    const { outbox, sent, store } = await newOutbox('i4');
    const old = await store('sent before');
    await lab.store.sessions.change(
      [{ kind: 'sent', clientId: 'i4', key: old.key, messageId: 65_534 }],
      LIMITS,
    );
    for (let index = 0; index < 4; index++) await store(String(index));
    outbox.start();
    await waitFor(() => sent.length === 5);
    expect(sent.map(({ messageId }) => messageId)).toEqual([65_534, 65_535, 1, 2, 3]);
    expect(outbox.reserveId()).toBe(4);
    outbox.acknowledge(12_345);
  });

  it('tells its peer where the store fails', async () => {
    const { outbox, gate, failures } = await newOutbox('i5');
    gate.queued = () => Promise.reject(new Error('the database is away'));
    outbox.start();
    await waitFor(() => failures.length === 1);
  });
});

describe('a PUBLISH packet', () => {
  it.each([0, 1, 100, 119, 120, 16_000, 16_370, 16_376, 131_072])(
    'with %i bytes is what parsers read',
    (size) => {
      const frame = {
        topic: 'ä/b',
        payload: Buffer.alloc(size, 1),
        messageId: 513,
        isRepetition: size % 2 === 1,
      };
      const packets: Packet[] = [];
      const parser = mqtt.parser();
      parser.on('packet', (packet) => packets.push(packet));
      parser.parse(encodePublish(frame));
      expect(packets).toMatchObject([
        { cmd: 'publish', topic: 'ä/b', qos: 1, messageId: 513, dup: frame.isRepetition, retain: false },
      ]);
      expect((packets[0] as { payload?: Buffer }).payload?.equals(frame.payload)).toBe(true);
    },
  );
});
