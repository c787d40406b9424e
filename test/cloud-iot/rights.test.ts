/** What a client may receive and under which names it may come: where a policy could be got around. */
import type { MqttClient } from 'mqtt';
import { certificateId, createSelfSigned } from '../../greengrass/lib/x509.js';
import { ACCOUNT, ALLOW_ALL, type CloudParts, REGION, startCloudParts } from '../support/cloud-parts.js';
import { waitFor } from '../support/wait-for.js';

const ARN = (rest: string) => `arn:aws:iot:${REGION}:${ACCOUNT}:${rest}`;
const MAY_SPEAK = { Effect: 'Allow', Action: ['iot:Connect', 'iot:Publish'], Resource: '*' };
const MAY_SUBSCRIBE = { Effect: 'Allow', Action: 'iot:Subscribe', Resource: '*' };

describe("the rights of the cloud's MQTT clients", () => {
  let cloud: CloudParts;
  let speaker: MqttClient;
  beforeAll(async () => {
    cloud = await startCloudParts();
    speaker = await cloud.connect(await cloud.identity('speaker', ALLOW_ALL), { clientId: 'speaker' });
  });
  afterAll(() => cloud.close());

  const topicsOf = (client: MqttClient) => {
    const topics: string[] = [];
    client.on('message', (topic) => topics.push(topic));
    return topics;
  };

  /** What arrives of these topics, the last of which must. */
  async function arrived(topics: string[], sent: string[]): Promise<string[]> {
    for (const topic of sent) await speaker.publishAsync(topic, 'x', { qos: 1 });
    await waitFor(() => topics.includes(sent.at(-1) ?? ''));
    return topics;
  }

  it.each([0, 1] as const)(
    'a wildcard subscription with QoS %i brings only what iot:Receive allows',
    async (qos) => {
      const name = `narrow${qos}`;
      const identity = await cloud.identity(name, [
        MAY_SPEAK,
        MAY_SUBSCRIBE,
        { Effect: 'Allow', Action: 'iot:Receive', Resource: ARN('topic/open/*') },
      ]);
      const client = await cloud.connect(identity, { clientId: name });
      const topics = topicsOf(client);
      expect(await client.subscribeAsync('#', { qos })).toMatchObject([{ qos }]);
      expect(await arrived(topics, ['closed/1', 'open/1', 'closed/2', 'open/2'])).toEqual([
        'open/1',
        'open/2',
      ]);
    },
  );

  it('a wildcard subscription does not get around a Deny of iot:Receive', async () => {
    const identity = await cloud.identity('denied', [
      ...ALLOW_ALL,
      { Effect: 'Deny', Action: 'iot:Receive', Resource: ARN('topic/secret/*') },
    ]);
    const client = await cloud.connect(identity, { clientId: 'denied' });
    const topics = topicsOf(client);
    await client.subscribeAsync('#', { qos: 1 });
    expect(await arrived(topics, ['secret/plan', 'public/news'])).toEqual(['public/news']);
  });

  it('what waited for a client in its session is checked when it is delivered', async () => {
    const identity = await cloud.identity('away', [
      MAY_SPEAK,
      MAY_SUBSCRIBE,
      { Effect: 'Allow', Action: 'iot:Receive', Resource: ARN('topic/open/*') },
    ]);
    const options = { clientId: 'away', clean: false };
    const first = await cloud.connect(identity, options);
    await first.subscribeAsync('#', { qos: 1 });
    await first.endAsync();
    for (const topic of ['closed/1', 'open/1']) await speaker.publishAsync(topic, 'x', { qos: 1 });
    const topics: string[] = [];
    const second = await cloud.connect(identity, options);
    second.on('message', (topic) => topics.push(topic));
    await second.subscribeAsync('#', { qos: 1 });
    await arrived(topics, ['open/2']);
    expect(topics.filter((topic) => topic.startsWith('closed'))).toEqual([]);
  });

  it('a review takes back what the policies no longer allow', async () => {
    const identity = await cloud.identity('former', ALLOW_ALL);
    const client = await cloud.connect(identity, { clientId: 'former' });
    const topics = topicsOf(client);
    await client.subscribeAsync('news/#', { qos: 1 });
    await arrived(topics, ['news/1']);
    await cloud.store.policies.detach('former-policy', identity.certificateId);
    await cloud.broker.review();
    const witness = await cloud.connect(await cloud.identity('witness', ALLOW_ALL), { clientId: 'witness' });
    const seen = topicsOf(witness);
    await witness.subscribeAsync('news/#', { qos: 1 });
    await arrived(seen, ['news/2']);
    expect(topics).toEqual(['news/1']);
  });

  it('a review cuts clients whose certificates are no longer active', async () => {
    const identity = await cloud.identity('revoked', ALLOW_ALL);
    const client = await cloud.connect(identity, { clientId: 'revoked' });
    await cloud.store.certificates.setStatus(identity.certificateId, 'REVOKED');
    await cloud.broker.review();
    await waitFor(() => !client.connected);
    expect(speaker.connected).toBe(true);
  });

  it.each(['$SYS/#', '$share/group/a', '$other'])('nobody may subscribe to %s', async (filter) => {
    const name = `sys${filter.replace(/\W/g, '')}`;
    const client = await cloud.connect(await cloud.identity(name, ALLOW_ALL), { clientId: name });
    await expect(client.subscribeAsync(filter)).rejects.toThrow(/128|Unspecified/);
  });

  it.each(['+', 'a/#', 'line\nbreak'])('nobody may connect as %j', async (clientId) => {
    const name = `odd${clientId.length}x`;
    await expect(cloud.connect(await cloud.identity(name, ALLOW_ALL), { clientId })).rejects.toThrow(
      /Not authorized/,
    );
  });

  it('a policy variable gives each client its own topics', async () => {
    const statements = [
      // biome-ignore-start lint/suspicious/noTemplateCurlyInString: policy variables
      { Effect: 'Allow', Action: 'iot:Connect', Resource: ARN('client/${iot:Connection.Thing.ThingName}') },
      { Effect: 'Allow', Action: 'iot:Publish', Resource: ARN('topic/of/${iot:ClientId}') },
      // biome-ignore-end lint/suspicious/noTemplateCurlyInString: policy variables
    ];
    const own = await cloud.identity('own', statements);
    await expect(cloud.connect(own, { clientId: 'speaker' })).rejects.toThrow(/Not authorized/);
    const client = await cloud.connect(own, { clientId: 'own' });
    await client.publishAsync('of/own', 'x', { qos: 1 });
    client.publish('of/other', 'x', { qos: 1 }, () => {});
    await waitFor(() => !client.connected);
  });

  it('the will of a client that was cut off is published by its policy, not for a revoked certificate', async () => {
    const topics: string[] = [];
    const witness = await cloud.connect(await cloud.identity('heir', ALLOW_ALL), { clientId: 'heir' });
    witness.on('message', (topic) => topics.push(topic));
    await witness.subscribeAsync('wills/#', { qos: 1 });
    const connectWithWill = async (name: string) => {
      const identity = await cloud.identity(name, ALLOW_ALL);
      const will = { topic: `wills/${name}`, payload: Buffer.from('gone'), qos: 1 as const, retain: false };
      const client = await cloud.connect(identity, { clientId: name, will });
      return { identity, client };
    };
    const revoked = await connectWithWill('testator-revoked');
    const lost = await connectWithWill('testator-lost');
    cloud.broker.disconnectCertificate(revoked.identity.certificateId);
    await waitFor(() => !revoked.client.connected);
    lost.client.stream.destroy();
    await waitFor(() => topics.length > 0);
    expect(topics).toEqual(['wills/testator-lost']);
  });

  it('rights on a condition are those of the thing, its attributes and its address', async () => {
    const on = (Condition: object, Resource: string) => ({
      ...{ Effect: 'Allow', Action: ['iot:Subscribe', 'iot:Receive'], Resource: ARN(Resource), Condition },
    });
    const site = '$' + '{iot:Connection.Thing.Attributes[site]}';
    const identity = await cloud.identity('conditional', [
      { ...MAY_SPEAK, Condition: { Bool: { 'iot:Connection.Thing.IsAttached': ['true'] } } },
      on({ IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } }, `topic*/${site}/here`),
      on({ NotIpAddress: { 'aws:SourceIp': '127.0.0.0/8' } }, `topic*/${site}/there`),
    ]);
    await expect(cloud.connect(identity, { clientId: 'somebody' })).rejects.toThrow();
    const client = await cloud.connect(identity, { clientId: 'conditional' });
    const granted = async (filter: string) =>
      client.subscribeAsync(filter, { qos: 1 }).then(
        ([one]) => one?.qos,
        () => 128,
      );
    expect(await granted('berlin/here')).toBe(128);
    const thing = await cloud.store.things.find('conditional');
    if (!thing) throw new Error('no thing');
    await cloud.store.things.update({ ...thing, attributes: { site: 'berlin' } });
    expect(await granted('berlin/here')).toBe(1);
    expect(await granted('rome/here')).toBe(128);
    expect(await granted('berlin/there')).toBe(128);
    const topics = topicsOf(client);
    expect(await arrived(topics, ['berlin/there', 'berlin/here'])).toEqual(['berlin/here']);
  });

  it('a certificate that has expired is refused, registered or not', async () => {
    const { certificates } = cloud.store;
    const old = await createSelfSigned({
      subject: [['CN', 'old']],
      notBefore: new Date(Date.now() - 7_200_000),
      notAfter: new Date(Date.now() - 3_600_000),
    });
    const id = certificateId(old.certificatePem);
    await certificates.create({
      certificateId: id,
      certificateArn: ARN(`cert/${id}`),
      pem: old.certificatePem,
      status: 'ACTIVE',
      createdAt: new Date().toISOString(),
    });
    await cloud.identity('anybody', ALLOW_ALL);
    await cloud.store.policies.attach('anybody-policy', id);
    await expect(cloud.connect(old, { clientId: 'old' })).rejects.toThrow();
  });
});
