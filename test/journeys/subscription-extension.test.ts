/** Priority, Ttl and Qos of subscriptions: given to the cloud, unseen by V1's clients, obeyed by the core. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateSubscriptionDefinitionCommand,
  GetSubscriptionDefinitionVersionCommand,
  GreengrassClient,
} from '@aws-sdk/client-greengrass';
import AWS from 'aws-sdk';
import mqtt from 'mqtt';
import { NO_CONTENT } from '../../greengrass/cli/group-content.js';
import { changeGroup } from '../../greengrass/cli/index.js';
import { compareGroups } from '../../greengrass/cli/plan.js';
import { type Discovery, discover, readCredentials } from '../../greengrass/dev/device.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { type Environment, runGg } from '../cli/gg.js';
import { deploy } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

describe('subscriptions that say more than V1', () => {
  let system: TestSystem;
  let plain: GreengrassClient;
  let env: Environment;
  let Subscriptions: Array<{ Id: string; Source: string; Subject: string; Target: string }>;

  beforeAll(async () => {
    system = await startSystem(['sender', 'receiver']);
    const { api, region, accessKeyId, secretAccessKey, accountId } = system.cloud.info;
    plain = new GreengrassClient({ endpoint: api, region, credentials: { accessKeyId, secretAccessKey } });
    env = {
      ...{ AWS_ENDPOINT_URL: api, AWS_REGION: region, HOME: system.folder },
      ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    };
    const thing = (name: string) => `arn:aws:iot:us-east-1:${accountId}:thing/${name}`;
    Subscriptions = [
      { Id: 'sure', Source: thing('sender'), Subject: 'sure', Target: thing('receiver') },
      { Id: 'plain', Source: thing('sender'), Subject: 'plain', Target: thing('receiver') },
      { Id: 'late', Source: thing('sender'), Subject: 'late', Target: thing('receiver') },
    ];
  });
  afterAll(async () => {
    plain?.destroy();
    await system?.close();
  });

  const extended = () => [
    { ...Subscriptions[0], Qos: 1, Priority: -3 },
    Subscriptions[1],
    { ...Subscriptions[2], Qos: 1, Priority: 100, Ttl: 60 },
  ];
  const gg = (...args: string[]) => runGg(env, ...args);

  async function createWithGg(
    subscriptions: unknown,
  ): Promise<{ Id: string; LatestVersion: string; LatestVersionArn: string }> {
    const version = JSON.stringify({ Subscriptions: subscriptions });
    const { code, out, err } = await gg('create-subscription-definition', '--initial-version', version);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return JSON.parse(out) as { Id: string; LatestVersion: string; LatestVersionArn: string };
  }

  it('are given and shown by gg, and never seen by clients of V1', async () => {
    const { Id, LatestVersion } = await createWithGg(extended());
    const ids = ['--subscription-definition-id', Id, '--subscription-definition-version-id', LatestVersion];
    const shown = await gg('get-subscription-definition-version', ...ids);
    expect(JSON.parse(shown.out)).toMatchObject({ Definition: { Subscriptions: extended() } });
    const version = { SubscriptionDefinitionId: Id, SubscriptionDefinitionVersionId: LatestVersion };
    const seen = await plain.send(new GetSubscriptionDefinitionVersionCommand(version));
    expect(seen.Definition).toEqual({ Subscriptions });
    const { api: endpoint, region, accessKeyId, secretAccessKey } = system.cloud.info;
    const old = new AWS.Greengrass({ endpoint, region, accessKeyId, secretAccessKey });
    expect((await old.getSubscriptionDefinitionVersion(version).promise()).Definition).toEqual({
      Subscriptions,
    });
  });

  it('are taken in shorthand, and shown in other forms', async () => {
    const { Source, Subject, Target } = Subscriptions[0] as (typeof Subscriptions)[number];
    const short = `Subscriptions=[{Id=s,Source=${Source},Subject=${Subject},Target=${Target},Priority=7}]`;
    const { code, out } = await gg('create-subscription-definition', '--initial-version', short);
    expect(code).toBe(0);
    const { Id, LatestVersion } = JSON.parse(out) as { Id: string; LatestVersion: string };
    const ids = ['--subscription-definition-id', Id, '--subscription-definition-version-id', LatestVersion];
    const shown = await gg('get-subscription-definition-version', ...ids, '--output', 'yaml');
    expect(shown.out).toContain('Priority: 7');
  });

  it('are changes of a plan', () => {
    const [first] = Subscriptions as [(typeof Subscriptions)[number]];
    const before = { ...NO_CONTENT, subscriptions: [first] };
    const { changes } = compareGroups(before, { ...before, subscriptions: [{ ...first, Ttl: 5 }] });
    expect(changes).toMatchObject([{ effect: 'changes', what: 'subscription', why: 'Ttl' }]);
  });

  it.each([
    ['Priority', 101, 'must be a whole number from -100 to 100, not 101'],
    ['Priority', 1.5, 'must be a whole number from -100 to 100, not 1.5'],
    ['Ttl', 0, 'must be a whole number from 1 to 31536000, not 0'],
    ['Ttl', 'soon', 'must be a whole number from 1 to 31536000, not "soon"'],
    ['Qos', 2, 'must be 0 or 1, not 2'],
  ])('%s %p is refused: the member, its value and the rule are named', async (member, value, rule) => {
    const [first] = Subscriptions;
    const version = { Subscriptions: [{ ...first, [member]: value }] } as unknown as { Subscriptions: [] };
    const made = plain.send(new CreateSubscriptionDefinitionCommand({ InitialVersion: version }));
    await expect(made).rejects.toMatchObject({
      name: 'BadRequestException',
      message: expect.stringContaining(`InitialVersion.Subscriptions.0.${member}`),
    });
    await expect(
      plain.send(new CreateSubscriptionDefinitionCommand({ InitialVersion: version })),
    ).rejects.toThrow(rule);
  });

  it('are obeyed by the core: a device that was away gets what Qos 1 kept, and nothing else', async () => {
    await greengrassd(system.root, 'start');
    const { LatestVersionArn } = await createWithGg(extended());
    const version = await changeGroup(system.clients, system.groupId, {
      SubscriptionDefinitionVersionArn: LatestVersionArn,
    });
    expect(await deploy(system, version)).toMatchObject({ DeploymentStatus: 'Success' });
    const group = readFileSync(join(system.root, 'ggc/deployment/group/group.json'), 'utf8');
    const content = (JSON.parse(group) as { GroupDefinitions: { Subscriptions: { Content: unknown } } })
      .GroupDefinitions.Subscriptions.Content;
    expect(content).toEqual(extended());

    const receiver = await connect('receiver');
    await receiver.client.subscribeAsync(['sure', 'plain', 'late'], { qos: 1 });
    await receiver.client.endAsync(true);
    const sender = await connect('sender');
    for (const topic of ['plain', 'sure', 'late']) await sender.client.publishAsync(topic, topic, { qos: 0 });
    // With QoS 1, so that it is known to have been routed; those before it have been by then.
    await sender.client.publishAsync('sure', 'last', { qos: 1 });
    await sender.client.endAsync(true);
    const again = await connect('receiver');
    await waitFor(() => again.got.includes('last'));
    // The highest priority first, then in order.
    expect(again.got).toEqual(['late', 'sure', 'last']);
    await again.client.endAsync(true);
  });

  /** A device with a kept session. */
  async function connect(clientId: string) {
    const { https } = system.cloud.info;
    const credentials = readCredentials(clientId, join(system.folder, clientId));
    const discovery: Discovery = await discover(credentials, https.host, https.port);
    const [group] = discovery.GGGroups;
    const config = JSON.parse(readFileSync(join(system.root, 'config/config.json'), 'utf8')) as {
      coreThing: { ggMqttPort: number };
    };
    const got: string[] = [];
    const client = mqtt.connect({
      ...{ protocol: 'mqtts', host: '127.0.0.1', port: config.coreThing.ggMqttPort, clientId, clean: false },
      ...{ ca: group?.CAs ?? [], cert: credentials.certPem, key: credentials.keyPem, reconnectPeriod: 0 },
    });
    // What the session kept comes right behind the answer to CONNECT.
    client.on('message', (_topic, message) => got.push(message.toString()));
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.on('error', reject);
    });
    return { client, got };
  }
});
