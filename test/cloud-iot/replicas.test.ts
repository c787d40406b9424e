/** Several brokers over one store, as replicas of the cloud: to clients they are one. */
import type { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import type { Bus, BusMessage } from '../../greengrass/cloud/store/bus.js';
import { waitFor } from '../support/wait-for.js';
import { Lab, type LabIdentity } from './lab.js';
import type { RawClient } from './raw-client.js';

/** Brings each message to all the others, in order, some time later. */
class MemoryBus {
  readonly #members: Array<(message: BusMessage) => void> = [];
  /** Held back while set. */
  #held: Array<() => void> | undefined;

  join(): Pick<Bus, 'send' | 'onMessage'> {
    let own: (message: BusMessage) => void = () => {};
    return {
      send: async (message) => {
        const copy = { ...message, body: Buffer.from(message.body) };
        const deliver = () => {
          for (const member of this.#members) if (member !== own) member(copy);
        };
        if (this.#held) this.#held.push(deliver);
        else setImmediate(deliver);
      },
      onMessage: (listener) => {
        own = listener;
        this.#members.push(listener);
      },
    };
  }

  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const deliver of held) deliver();
  }
}

describe('replicas of the MQTT server', () => {
  let lab: Lab;
  let bus: MemoryBus;
  let identity: LabIdentity;
  let a: CloudBroker;
  let b: CloudBroker;
  let speaker: RawClient;
  beforeAll(async () => {
    lab = await Lab.open();
    bus = new MemoryBus();
    a = await lab.start({ bus: bus.join() });
    b = await lab.start({ bus: bus.join() });
    identity = await lab.identity('everybody');
    speaker = await lab.connect(identity, 'speaker', {}, a);
  });
  afterAll(() => lab.close());

  const KEEP = { clean: false };
  const open = (clientId: string, broker: CloudBroker) => lab.connect(identity, clientId, KEEP, broker);
  /** What was sent between marks goes over the bus in order: when this has come, so has everything before it. */
  let marks = 0;
  async function texts(client: RawClient): Promise<string[]> {
    const mark = `mark ${++marks}`;
    await speaker.publish('mark', mark);
    const found: string[] = [];
    for (;;) {
      const text = (await client.message()).payload.toString();
      if (text === mark) return found;
      if (!text.startsWith('mark ')) found.push(text);
    }
  }

  it('carry messages from one to the other, once', async () => {
    const here = await lab.connect(identity, 'here', {}, a);
    const there = await lab.connect(identity, 'there', {}, b);
    const kept = await open('kept there', b);
    for (const client of [here, there, kept]) await client.subscribe({ 'e1/#': 1, mark: 1 });
    await speaker.publish('e1/x', 'one');
    speaker.send({ cmd: 'publish', topic: 'e1', payload: 'zero', qos: 0, retain: false, dup: false });
    for (const client of [here, there, kept]) expect(await texts(client)).toEqual(['one', 'zero']);
    await waitFor(async () => (await lab.store.sessions.queued('kept there', 1)).length === 0);
  });

  it('a session that was begun at one is resumed at the other, and gets everything once', async () => {
    const first = await open('wanderer', b);
    await first.subscribe({ e2: 1, mark: 1 });
    await first.disconnect();
    await waitFor(() => first.closed);
    for (const text of ['one', 'two']) await speaker.publish('e2', text);
    const second = await open('wanderer', b);
    expect(second.sessionPresent).toBe(true);
    expect(await texts(second)).toEqual(['one', 'two']);
    await second.disconnect();
    await speaker.publish('e2', 'three');
    const third = await open('wanderer', a);
    expect(third.sessionPresent).toBe(true);
    expect(await texts(third)).toEqual(['three']);
    await third.disconnect();
    await waitFor(async () => (await lab.store.sessions.queued('wanderer', 1)).length === 0);
  });

  it('a message that is still on its way when its session is resumed comes once', async () => {
    await (await open('early', b)).subscribe({ e3: 1, mark: 1 });
    await (await open('early', b)).disconnect();
    bus.hold();
    await speaker.publish('e3', 'one');
    const client = await open('early', b);
    expect((await client.message()).payload.toString()).toBe('one');
    await waitFor(async () => (await lab.store.sessions.queued('early', 1)).length === 0);
    bus.release();
    expect(await texts(client)).toEqual([]);
  });

  it("a subscription that the speaker's replica has not heard of yet misses nothing", async () => {
    const client = await open('newcomer', b);
    bus.hold();
    await client.subscribe({ e4: 1 });
    await speaker.publish('e4', 'one');
    expect(await lab.store.sessions.queued('newcomer', 1)).toEqual([]);
    bus.release();
    await client.message(false);
    expect(await lab.store.sessions.queued('newcomer', 1)).toMatchObject([{ topic: 'e4' }]);
  });

  it('one client id is connected to one of them', async () => {
    const first = await lab.connect(identity, 'single', {}, a);
    const witness = await lab.connect(identity, 'witness', {}, a);
    await witness.subscribe({ '$aws/events/presence/+/single': 1 });
    const second = await lab.connect(identity, 'single', {}, b);
    await first.gone();
    const events = [await witness.message(), await witness.message()].map(
      ({ payload }) => JSON.parse(payload.toString()) as object,
    );
    expect(events).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ eventType: 'connected' }),
        expect.objectContaining({ eventType: 'disconnected', disconnectReason: 'DUPLICATE_CLIENTID' }),
      ]),
    );
    expect(second.closed).toBe(false);
    const third = await lab.connect(identity, 'single', {}, a);
    await second.gone();
    expect(third.closed).toBe(false);
  });

  it('word of an older connection does not end a newer one', async () => {
    bus.hold();
    const older = await lab.connect(identity, 'order', {}, a);
    const began = Date.now();
    await waitFor(() => Date.now() > began + 1);
    const newer = await lab.connect(identity, 'order', {}, b);
    bus.release();
    await older.gone();
    await newer.publish('still', 'here');
  });

  it('deactivated certificates and changed policies reach all', async () => {
    const other = await lab.identity('other');
    const cut = await lab.connect(other, 'cut', {}, b);
    a.disconnectCertificate(other.certificateId);
    await cut.gone();

    const former = await lab.identity('former');
    const client = await lab.connect(former, 'former', {}, b);
    await client.publish('e5', 'x');
    await lab.store.policies.detach('former', former.certificateId);
    await a.review(former.certificateId);
    await waitFor(async () => {
      if (!client.closed) await client.publish('e5', 'y', { qos: 0 });
      return client.closed;
    });
  });

  it('what nobody understands is left aside', async () => {
    const odd = bus.join();
    await odd.send({ kind: 'mqtt.notice', body: Buffer.from('{') });
    await odd.send({ kind: 'mqtt.publish', body: Buffer.from('x') });
    await odd.send({ kind: 'something else', body: Buffer.from('x') });
    const there = await lab.connect(identity, 'there', {}, b);
    await there.subscribe({ mark: 0 });
    expect(await texts(there)).toEqual([]);
  });
});
