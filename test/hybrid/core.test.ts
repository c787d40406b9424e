/** A real core of a hybrid cloud: its MQTT connection ends at AWS, its deployments and code come from ours. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateFunctionDefinitionCommand,
  CreateSubscriptionDefinitionCommand,
} from '@aws-sdk/client-greengrass';
import { CreateAliasCommand, UpdateAliasCommand } from '@aws-sdk/client-lambda';
import {
  bootstrapCore,
  type Clients,
  changeGroup,
  createDevice,
  deployGroup,
  publishLambda,
  waitForDeployment,
} from '../../greengrass/cli/index.js';
import { connectOnce, Device, discover, readCredentials } from '../../greengrass/dev/device.js';
import { leftCgroups, leftoversOf } from '../../greengrass/dev/leftovers.js';
import { freePort, greengrassd } from '../../greengrass/dev/programs.js';
import { describeAsRoot } from '../support/as-root.js';
import { TwoClouds } from './two-clouds.js';

/** Answers what it is asked, with its version. */
const sourceOf = (version: string) => `
import json, greengrasssdk
client = greengrasssdk.client('iot-data')
def handler(event, context):
    client.publish(topic='answer', payload=json.dumps({'version': '${version}', 'event': event}))
`;

describeAsRoot('a core of a hybrid cloud', () => {
  let clouds: TwoClouds;
  let clients: Clients;
  let root: string;
  let groupId: string;
  let arnOfAlias: string;

  async function publish(source: string): Promise<string> {
    const folder = join(clouds.folder, 'answer');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'main.py'), source);
    const manifest = { functionName: 'answer', runtime: 'python3.11', handler: 'main.handler' };
    writeFileSync(join(folder, 'lambda.json'), JSON.stringify(manifest));
    const { functionArn } = await publishLambda(clients, folder);
    return functionArn.split(':').at(-1) as string;
  }

  async function defineGroup(): Promise<void> {
    const { greengrass } = clients;
    const sensor = `arn:aws:iot:us-east-1:${clouds.aws.accountId}:thing/sensor`;
    const functions = await greengrass.send(
      new CreateFunctionDefinitionCommand({
        InitialVersion: {
          DefaultConfig: { Execution: { RunAs: { Uid: 64001, Gid: 64001 } } },
          Functions: [
            {
              Id: 'answer',
              FunctionArn: arnOfAlias,
              FunctionConfiguration: { Pinned: true, MemorySize: 65536, Timeout: 10 },
            },
            {
              Id: 'ip-detector',
              FunctionArn: 'arn:aws:lambda:::function:GGIPDetector:1',
              FunctionConfiguration: { Pinned: true, MemorySize: 32768, Timeout: 3 },
            },
          ],
        },
      }),
    );
    const routes = [
      [sensor, 'ask', arnOfAlias],
      [arnOfAlias, 'answer', sensor],
      [arnOfAlias, 'answer', 'cloud'],
    ];
    const subscriptions = await greengrass.send(
      new CreateSubscriptionDefinitionCommand({
        InitialVersion: {
          Subscriptions: routes.map(([Source, Subject, Target], index) => ({
            ...{ Id: `s${index}`, Source, Subject, Target },
          })),
        },
      }),
    );
    await changeGroup(clients, groupId, {
      FunctionDefinitionVersionArn: functions.LatestVersionArn ?? '',
      SubscriptionDefinitionVersionArn: subscriptions.LatestVersionArn ?? '',
    });
  }

  async function deploy(): Promise<object> {
    const { deploymentId } = await deployGroup(clients, groupId);
    return waitForDeployment(clients, groupId, deploymentId, { timeoutMs: 40_000 });
  }

  beforeAll(async () => {
    clouds = await TwoClouds.start();
    clients = clouds.clients();
    const { aws, hybrid } = clouds;
    root = join(clouds.folder, 'greengrass');
    const caFile = clouds.caBundle();
    ({ groupId } = await bootstrapCore(clients, {
      ...{ iotHost: aws.mqtt.host, mqttPort: aws.mqtt.port },
      ...{ ggHost: hybrid.https.host, httpsPort: hybrid.https.port, caFile },
      ...{ groupName: 'group', coreName: 'core', root },
      config: {
        ggMqttPort: await freePort(),
        ggDaemonPort: await freePort(),
        pidFileDirectory: join(clouds.folder, 'run'),
      },
    }));
    const out = join(clouds.folder, 'sensor');
    await createDevice(clients, { caFile, group: groupId, thingName: 'sensor', out });
    await greengrassd(root, 'start');
    const first = await publish(sourceOf('one'));
    const { AliasArn = '' } = await clients.lambda.send(
      new CreateAliasCommand({ FunctionName: 'answer', Name: 'live', FunctionVersion: first }),
    );
    arnOfAlias = AliasArn;
    await defineGroup();
  });

  afterAll(async () => {
    await greengrassd(root, 'stop').catch(() => undefined);
    const left = [...leftoversOf(clouds.folder), ...leftCgroups(root)];
    await clouds.close();
    expect(left).toEqual([]);
  });

  it('gets its notice from AWS, document and code from us, and both know of its success', async () => {
    expect(await deploy()).toEqual({ status: 'Success' });
  });

  it('serves a device that discovered it at ours; its messages for the cloud arrive at AWS', async () => {
    const { aws, hybrid } = clouds;
    const credentials = readCredentials('sensor', join(clouds.folder, 'sensor'));
    const atAws = await connectOnce({
      ...{ protocol: 'mqtts', host: aws.mqtt.host, port: aws.mqtt.port, clientId: 'sensor' },
      ...{ ca: credentials.caPem, cert: credentials.certPem, key: credentials.keyPem },
    });
    atAws.on('error', () => {});
    const arrived = new Promise<string>((resolve) =>
      atAws.on('message', (_topic, payload) => resolve(payload.toString('utf8'))),
    );
    await atAws.subscribeAsync('answer', { qos: 1 });
    const discovery = await discover(credentials, hybrid.https.host, hybrid.https.port);
    const device = await Device.connectToCore(credentials, discovery);
    try {
      await device.subscribe('answer');
      await device.publish('ask', '{"token":"a"}');
      const answer = await device.message('answer', (bytes) => bytes.includes('"a"'), 20_000);
      expect(JSON.parse(answer.toString('utf8'))).toMatchObject({ version: 'one' });
      expect(JSON.parse(await arrived)).toMatchObject({ version: 'one' });
    } finally {
      await device.close();
      atAws.end(true);
    }
  });

  it('runs the version that the alias at AWS names at the next deployment', async () => {
    const second = await publish(sourceOf('two'));
    const alias = { FunctionName: 'answer', Name: 'live', FunctionVersion: second };
    await clients.lambda.send(new UpdateAliasCommand(alias));
    expect(await deploy()).toEqual({ status: 'Success' });
    const { https } = clouds.hybrid;
    const credentials = readCredentials('sensor', join(clouds.folder, 'sensor'));
    const device = await Device.connectToCore(
      credentials,
      await discover(credentials, https.host, https.port),
    );
    await device.subscribe('answer');
    await device.publish('ask', '{"token":"b"}');
    const answer = await device.message('answer', (bytes) => bytes.includes('"b"'), 20_000);
    expect(JSON.parse(answer.toString('utf8'))).toMatchObject({ version: 'two' });
    await device.close();
  });
});
