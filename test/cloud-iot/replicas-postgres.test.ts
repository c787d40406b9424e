/** Replicas of the MQTT server over PostgreSQL and its bus, with the database between them and nothing else. */
import type { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import { type OpenedStore, openStore } from '../../greengrass/cloud/store/open-store.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';
import { Lab, type LabIdentity } from './lab.js';
import type { RawClient } from './raw-client.js';

const KEEP = { clean: false };

describeWithPostgres('replicas of the MQTT server over PostgreSQL', () => {
  let server: PostgresServer;
  let lab: Lab;
  let identity: LabIdentity;
  const opened: OpenedStore[] = [];
  const brokers: CloudBroker[] = [];
  let speaker: RawClient;

  beforeAll(async () => {
    server = await PostgresServer.create();
    const databaseUrl = await server.createDatabase();
    lab = await Lab.open();
    await lab.store.close();
    for (let index = 0; index < 2; index++) {
      const one = await openStore({ dataFolder: '/nowhere', databaseUrl });
      opened.push(one);
      await one.bus.start();
      brokers.push(await lab.start({ store: one.store, bus: one.bus }));
    }
    lab.store = (opened[0] as OpenedStore).store;
    identity = await lab.identity('everybody');
    speaker = await lab.connect(identity, 'speaker', {}, brokers[0]);
  });
  afterAll(async () => {
    await lab?.close();
    await opened[1]?.store.close();
    await server?.remove();
  });

  const texts = async (client: RawClient, count: number) => {
    const found: string[] = [];
    while (found.length < count) found.push((await client.message()).payload.toString());
    return found;
  };

  it('carry live messages, in order, to clean and persistent sessions at the other', async () => {
    const clean = await lab.connect(identity, 'clean', {}, brokers[1]);
    const kept = await lab.connect(identity, 'kept', KEEP, brokers[1]);
    for (const client of [clean, kept]) await client.subscribe({ 'h1/+': 1 });
    const sent = Array.from({ length: 150 }, (_, index) => String(index));
    for (const text of sent) await speaker.publish('h1/x', text);
    expect(await texts(clean, 150)).toEqual(sent);
    expect(await texts(kept, 150)).toEqual(sent);
    await waitFor(async () => (await lab.store.sessions.queued('kept', 1)).length === 0);
  });

  it('a session that wanders finds what waited, once, and its retained messages', async () => {
    const first = await lab.connect(identity, 'wanderer', KEEP, brokers[1]);
    await first.subscribe({ h2: 1 });
    await first.disconnect();
    // Word of the subscription is on its way to the speaker's replica.
    await waitFor(async () => {
      await speaker.publish('h2', 'one');
      return (await lab.store.sessions.queued('wanderer', 1)).length === 1;
    });
    await speaker.publish('h2', 'kept', { retain: true });
    const second = await lab.connect(identity, 'wanderer', KEEP, brokers[0]);
    expect(second.sessionPresent).toBe(true);
    expect(await texts(second, 2)).toEqual(['one', 'kept']);
    await second.subscribe({ h2: 1 });
    expect(await second.message()).toMatchObject({ retain: true });
  });

  it('queues that hold too much together are cut here too', async () => {
    const { sessions } = lab.store;
    await sessions.open('large', new Date().toISOString());
    const message = (key: string) => ({ key, topic: 'h4', payload: Buffer.alloc(1000) });
    const add = (key: string) => ({ kind: 'add' as const, clientIds: ['large'], message: message(key) });
    await sessions.change(['01', '02', '03', '04'].map(add), { messages: 10, bytes: 10_000 });
    expect(await sessions.shrink(5000)).toEqual([]);
    expect(await sessions.shrink(3000)).toEqual([{ clientId: 'large', messages: 2 }]);
    expect((await sessions.queued('large', 10)).map(({ key }) => key)).toEqual(['03', '04']);
  });

  it('a client id that connects here ends there', async () => {
    const older = await lab.connect(identity, 'single', {}, brokers[0]);
    const newer = await lab.connect(identity, 'single', {}, brokers[1]);
    await older.gone();
    await newer.publish('h3', 'x');
  });

  it('a certificate that is deactivated here is cut there', async () => {
    const other = await lab.identity('other');
    const client = await lab.connect(other, 'other', {}, brokers[1]);
    brokers[0]?.disconnectCertificate(other.certificateId);
    await client.gone();
  });
});
