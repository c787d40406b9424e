/** The cloud's MQTT server with real clients and certificates: who gets in, who may do what, and shadows. */
import type { MqttClient } from 'mqtt';
import { createSelfSigned } from '../../greengrass/lib/x509.js';
import { ACCOUNT, ALLOW_ALL, type CloudParts, REGION, startCloudParts } from '../support/cloud-parts.js';
import { waitFor } from '../support/wait-for.js';

const ARN = (rest: string) => `arn:aws:iot:${REGION}:${ACCOUNT}:${rest}`;

describe("the cloud's MQTT server", () => {
  let cloud: CloudParts;
  beforeAll(async () => {
    cloud = await startCloudParts();
  });
  afterAll(() => cloud.close());

  const received = (client: MqttClient) => {
    const messages: Array<{ topic: string; body: Record<string, unknown> }> = [];
    client.on('message', (topic, payload) => messages.push({ topic, body: JSON.parse(payload.toString()) }));
    return messages;
  };
  const closed = (client: MqttClient) =>
    waitFor(() => !client.connected, { what: 'the connection to be cut' });

  it('carries a message between two clients that may', async () => {
    const a = await cloud.connect(await cloud.identity('a1', ALLOW_ALL), { clientId: 'a1' });
    const b = await cloud.connect(await cloud.identity('b1', ALLOW_ALL), { clientId: 'b1' });
    await b.subscribeAsync('talk/#', { qos: 1 });
    const messages = received(b);
    await a.publishAsync('talk/x', '{"n":1}', { qos: 1 });
    await waitFor(() => messages.length === 1);
    expect(messages[0]).toEqual({ topic: 'talk/x', body: { n: 1 } });
  });

  it('refuses a certificate that is not registered', async () => {
    const stranger = await createSelfSigned({ subject: [['CN', 'x']], notAfter: new Date(Date.now() + 1e7) });
    await expect(cloud.connect(stranger, { clientId: 'x' })).rejects.toThrow();
  });

  it('refuses a certificate that is INACTIVE, and cuts one that becomes so', async () => {
    const identity = await cloud.identity('i1', ALLOW_ALL);
    const client = await cloud.connect(identity, { clientId: 'i1' });
    await cloud.store.certificates.setStatus(identity.certificateId, 'INACTIVE');
    cloud.broker.disconnectCertificate(identity.certificateId);
    await closed(client);
    await expect(cloud.connect(identity, { clientId: 'i1' })).rejects.toThrow();
  });

  it('refuses a client without a policy, or under a client id that the policy does not name', async () => {
    await expect(cloud.connect(await cloud.identity('n1'), { clientId: 'n1' })).rejects.toThrow(
      /Not authorized/,
    );
    const narrow = await cloud.identity('n2', [
      { Effect: 'Allow', Action: 'iot:Connect', Resource: ARN('client/n2') },
    ]);
    await expect(cloud.connect(narrow, { clientId: 'somebody' })).rejects.toThrow(/Not authorized/);
    expect((await cloud.connect(narrow, { clientId: 'n2' })).connected).toBe(true);
  });

  it('cuts who publishes where the policy does not allow it, and refuses such subscriptions', async () => {
    const identity = await cloud.identity('p1', [
      { Effect: 'Allow', Action: 'iot:Connect', Resource: '*' },
      { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: ARN('topic/mine/*') },
      { Effect: 'Allow', Action: 'iot:Subscribe', Resource: ARN('topicfilter/mine/*') },
    ]);
    const client = await cloud.connect(identity, { clientId: 'p1' });
    const refused = await client.subscribeAsync('others/#').catch((error: Error) => error);
    expect(String(refused instanceof Error ? refused.message : JSON.stringify(refused))).toMatch(
      /128|Unspecified|refused/i,
    );
    expect(await client.subscribeAsync('mine/#')).toMatchObject([{ qos: 0 }]);
    client.publish('others/x', 'x', { qos: 1 }, () => {});
    await closed(client);
  });

  it.each([
    ['QoS 2', { topic: 'a', qos: 2 as const }],
    ['a reserved topic', { topic: '$aws/events/presence/connected/x', qos: 0 as const }],
    ['the answers of the shadow service', { topic: '$aws/things/x/shadow/update/accepted', qos: 0 as const }],
  ])('cuts who publishes with %s', async (_what, { topic, qos }) => {
    const name = `r${Math.random().toString(36).slice(2)}`;
    const client = await cloud.connect(await cloud.identity(name, ALLOW_ALL), { clientId: name });
    client.publish(topic, 'x', { qos }, () => {});
    await closed(client);
  });

  it('cuts who sends a message that is too large', async () => {
    const client = await cloud.connect(await cloud.identity('big', ALLOW_ALL), { clientId: 'big' });
    client.publish('a', Buffer.alloc(200_000), { qos: 0 }, () => {});
    await closed(client);
  });

  it('lets the newer of two clients with one id take over', async () => {
    const identity = await cloud.identity('twin', ALLOW_ALL);
    const first = await cloud.connect(identity, { clientId: 'twin' });
    const gone = new Promise<void>((resolve) => first.once('close', () => resolve()));
    const second = await cloud.connect(identity, { clientId: 'twin' });
    await gone;
    expect(second.connected).toBe(true);
  });

  it('serves shadows: update, delta, documents, get, refusals, delete', async () => {
    const client = await cloud.connect(await cloud.identity('sh', ALLOW_ALL), { clientId: 'sh' });
    await client.subscribeAsync('$aws/things/sh/shadow/+/+');
    const messages = received(client);
    const topic = (rest: string) => `$aws/things/sh/shadow/${rest}`;
    const answer = (rest: string, count = 1) =>
      waitFor(() => {
        const found = messages.filter((message) => message.topic === topic(rest));
        return found.length >= count ? found.at(-1)?.body : undefined;
      });
    await client.publishAsync(topic('get'), '');
    expect(await answer('get/rejected')).toMatchObject({
      code: 404,
      message: "No shadow exists with name: 'sh'",
    });
    await client.publishAsync(
      topic('update'),
      '{"state":{"desired":{"a":1},"reported":{"a":0}},"clientToken":"t"}',
    );
    expect(await answer('update/accepted')).toMatchObject({
      version: 1,
      clientToken: 't',
      state: { desired: { a: 1 } },
    });
    expect(await answer('update/delta')).toMatchObject({ version: 1, state: { a: 1 } });
    expect(await answer('update/documents')).toMatchObject({ previous: null, current: { version: 1 } });
    await client.publishAsync(topic('update'), '{"state":{"desired":{"a":2}},"version":7}');
    expect(await answer('update/rejected')).toMatchObject({ code: 409 });
    await client.publishAsync(topic('get'), '');
    expect(await answer('get/accepted')).toMatchObject({ state: { delta: { a: 1 } }, version: 1 });
    await client.publishAsync(topic('delete'), '');
    expect(await answer('delete/accepted')).toMatchObject({ version: 1 });
    await client.publishAsync(topic('update'), '{"state":{"reported":{"a":3}}}');
    expect(await answer('update/accepted', 2)).toMatchObject({ version: 2 });
  });
});
