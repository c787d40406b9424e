/** Wills and take-overs: what is said of a client that ends, and by what right. */
import type { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import { Lab, type LabIdentity } from './lab.js';
import type { RawClient } from './raw-client.js';

describe('the end of a connection', () => {
  let lab: Lab;
  let broker: CloudBroker;
  let identity: LabIdentity;
  let witness: RawClient;
  beforeAll(async () => {
    lab = await Lab.open();
    broker = await lab.start();
    identity = await lab.identity('everybody');
    witness = await lab.connect(identity, 'witness');
    await witness.subscribe({ 'wills/#': 1 });
  });
  afterAll(() => lab.close());

  const will = (name: string) => ({
    will: { topic: `wills/${name}`, payload: Buffer.from(name), qos: 1 as const, retain: false },
  });
  /** Wills that came, up to a mark. */
  async function wills(): Promise<string[]> {
    await (await lab.connect(identity, 'marker', will('mark'))).drop();
    const found: string[] = [];
    for (;;) {
      const { payload } = await witness.message();
      if (payload.toString() === 'mark') return found;
      found.push(payload.toString());
    }
  }

  it('a will is published when the connection is lost or refused, not after DISCONNECT', async () => {
    await (await lab.connect(identity, 'f1', will('lost'))).drop();
    expect((await witness.message()).payload.toString()).toBe('lost');
    const refused = await lab.connect(identity, 'f2', will('refused'));
    refused.send({ cmd: 'publish', topic: '$aws/x', payload: '', qos: 0, retain: false, dup: false });
    await refused.gone();
    await (await lab.connect(identity, 'f3', will('left'))).disconnect();
    expect(await wills()).toEqual(['refused']);
  });

  it('a will is published when another client takes the id, and reaches a session that is away', async () => {
    const away = await lab.connect(identity, 'heir', { clean: false });
    await away.subscribe({ 'wills/+': 1 });
    await away.disconnect();
    const older = await lab.connect(identity, 'f4', will('taken over'));
    const newer = await lab.connect(identity, 'f4');
    await older.gone();
    expect(await wills()).toEqual(['taken over']);
    expect(newer.closed).toBe(false);
    const heir = await lab.connect(identity, 'heir', { clean: false });
    expect((await heir.message()).payload.toString()).toBe('taken over');
  });

  it('a will that the policy does not allow when it is due is not published', async () => {
    const narrow = await lab.identity('narrow', [
      { Effect: 'Allow', Action: ['iot:Connect'], Resource: '*' },
      { Effect: 'Allow', Action: ['iot:Publish'], Resource: '*topic/others' },
    ]);
    await (await lab.connect(narrow, 'f5', will('not allowed'))).drop();
    const former = await lab.identity('former');
    const client = await lab.connect(former, 'f6', will('no longer allowed'));
    await lab.store.policies.detach('former', former.certificateId);
    await broker.review(former.certificateId);
    await client.drop();
    expect(await wills()).toEqual([]);
  });

  it('a newer connection with a persistent session gets what the older one left', async () => {
    const older = await lab.connect(identity, 'f7', { clean: false });
    await older.subscribe({ f7: 1 });
    await witness.publish('f7', 'x');
    const { messageId } = await older.message(false);
    const newer = await lab.connect(identity, 'f7', { clean: false });
    expect(newer.sessionPresent).toBe(true);
    await older.gone();
    expect(await newer.message()).toMatchObject({ messageId, dup: true });
  });

  it('a client that does not read is cut, and holds up nobody else', async () => {
    const stuck = await lab.connect(identity, 'f8');
    await stuck.subscribe({ f8: 1 });
    stuck.socket.pause();
    const reader = await lab.connect(identity, 'f9');
    await reader.subscribe({ f8: 1 });
    const payload = Buffer.alloc(120_000);
    for (let index = 0; index < 120; index++) {
      await witness.publish('f8', payload);
      await reader.message();
    }
    await witness.subscribe({ '$aws/events/presence/connected/f8': 0 });
    stuck.socket.resume();
    await stuck.gone();
  });
});
