/** What costs the database nothing: messages between clients without persistent sessions, and reviews of others. */
import { QueueJournal } from '../../greengrass/cloud/iot/queue-journal.js';
import type { Store } from '../../greengrass/cloud/store/store.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';
import { Lab, type LabIdentity } from './lab.js';

describe('what is asked of the store', () => {
  let lab: Lab;
  let identity: LabIdentity;
  const calls: string[] = [];
  beforeAll(async () => {
    lab = await Lab.open();
    await lab.start({ store: counted(lab.store) });
    identity = await lab.identity('everybody');
  });
  afterAll(() => lab.close());

  /** The store itself; its calls are noted. */
  function counted(store: Store): Store {
    const aggregate = (name: string, from: object) =>
      new Proxy(from, {
        get(target, member) {
          const value: unknown = Reflect.get(target, member);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            calls.push(`${name}.${String(member)}`);
            return Reflect.apply(value, target, args);
          };
        },
      });
    return Object.fromEntries(
      Object.entries(store).map(([name, part]) => [
        name,
        typeof part === 'object' ? aggregate(name, part) : part,
      ]),
    ) as unknown as Store;
  }

  it('nothing, for a message between clean sessions', async () => {
    const reader = await lab.connect(identity, 'g1');
    await reader.subscribe({ 'g1/#': 1 });
    const speaker = await lab.connect(identity, 'g2');
    calls.length = 0;
    for (let index = 0; index < 20; index++) {
      await speaker.publish('g1/x', 'one');
      await reader.message();
      await speaker.publish('g1/x', 'zero', { qos: 0 });
      await reader.message();
    }
    await reader.disconnect();
    await (await lab.connect(identity, 'g3')).disconnect();
    expect(calls.filter((call) => /^(?:sessions|retained)/.test(call))).toEqual([]);
    expect(calls.length).toBeLessThan(5);
  });

  it('one transaction, for all that is to be queued at a time', async () => {
    await lab.store.sessions.open('g4', new Date().toISOString());
    const { sessions } = counted(lab.store);
    const journal = new QueueJournal(sessions, { messages: 100, bytes: 1000 }, silentLogger());
    calls.length = 0;
    const message = (key: string) => ({ key, topic: 'g4', payload: Buffer.from('x') });
    const added = Array.from({ length: 20 }, (_, index) => journal.add(['g4'], message(`0${index + 10}`)));
    journal.remove('g4', '010');
    await Promise.all(added);
    await journal.settled();
    expect(calls).toEqual(['sessions.change']);
    expect(await lab.store.sessions.queued('g4', 100)).toHaveLength(19);
  });

  it('nothing of other connections, when one certificate is reviewed', async () => {
    const broker = await lab.start({ store: counted(lab.store) });
    const own = await lab.identity('own');
    for (let index = 0; index < 5; index++) await lab.connect(identity, `many ${index}`, {}, broker);
    const client = await lab.connect(own, 'own', {}, broker);
    await waitFor(() => broker.counts.connections === 6);
    calls.length = 0;
    await broker.review(own.certificateId);
    expect(calls).toEqual(['certificates.find', 'policies.policiesOf']);
    expect(client.closed).toBe(false);
    await lab.stop(broker);
  });

  it('a right that was given lately counts at once, without a review', async () => {
    const late = await lab.identity('late', [{ Effect: 'Allow', Action: 'iot:Connect', Resource: '*' }]);
    const client = await lab.connect(late, 'late');
    await lab.store.policies.attach('everybody', late.certificateId);
    await client.publish('g5', 'x');
  });
});
