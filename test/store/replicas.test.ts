/** Two whole clouds on one PostgreSQL database: what one is told, the other knows. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateCoreDefinitionCommand,
  CreateDeploymentCommand,
  CreateGroupCommand,
  CreateGroupVersionCommand,
  GetDeploymentStatusCommand,
  GreengrassClient,
  ListGroupsCommand,
  ListGroupVersionsCommand,
} from '@aws-sdk/client-greengrass';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DescribeThingCommand,
  IoTClient,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import mqtt from 'mqtt';
import { type CloudAddresses, CloudService } from '../../greengrass/cloud/service.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';

describeWithPostgres('two replicas', () => {
  let server: PostgresServer;
  let folder = '';
  const services: CloudService[] = [];
  let here: CloudAddresses;
  let there: CloudAddresses;

  beforeAll(async () => {
    server = await PostgresServer.create();
    folder = await mkdtemp(join(tmpdir(), 'gg-replicas-'));
    const databaseUrl = await server.createDatabase();
    const key = randomBytes(32).toString('base64');
    const start = async (name: string) => {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'master.key'), key, { mode: 0o600 });
      const service = new CloudService({
        ...{
          dataFolder: join(folder, name),
          databaseUrl,
          host: '127.0.0.1',
          region: 'us-east-1',
          auth: 'sigv4',
        },
        ...{ apiPort: 0, mqttPort: 0, httpsPort: 0, log: silentLogger() },
      });
      services.push(service);
      return service.start();
    };
    [here, there] = await Promise.all([start('here'), start('there')]);
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await server?.remove();
    await rm(folder, { recursive: true, force: true });
  });

  function clientConfig({ api, region, accessKeyId, secretAccessKey }: CloudAddresses) {
    return { endpoint: api, region, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 };
  }
  const greengrassAt = (place: CloudAddresses) => new GreengrassClient(clientConfig(place));

  it('are one installation, also where they start together on an empty database', async () => {
    const { accountId, accessKeyId, secretAccessKey } = here;
    expect(there).toMatchObject({ accountId, accessKeyId, secretAccessKey });
    expect(await readFile(there.caFile, 'utf8')).toBe(await readFile(here.caFile, 'utf8'));
  });

  it('answer a client token once', async () => {
    const create = () => new CreateGroupCommand({ Name: 'once', AmznClientToken: 'token-1' });
    const groups = await Promise.all(
      [here, there, here, there].map((place) => greengrassAt(place).send(create())),
    );
    expect(new Set(groups.map(({ Id }) => Id)).size).toBe(1);
    const { Groups = [] } = await greengrassAt(there).send(new ListGroupsCommand({}));
    expect(Groups.filter(({ Name }) => Name === 'once')).toHaveLength(1);
  });

  it('lose no version that is added at both at once', async () => {
    const group = await greengrassAt(here).send(new CreateGroupCommand({ Name: 'busy' }));
    const GroupId = group.Id ?? '';
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        greengrassAt(n % 2 ? here : there).send(new CreateGroupVersionCommand({ GroupId })),
      ),
    );
    const { Versions = [] } = await greengrassAt(there).send(
      new ListGroupVersionsCommand({ GroupId, MaxResults: '100' }),
    );
    const expected = [group.LatestVersion, ...made.map(({ Version }) => Version)];
    expect(Versions.map(({ Version }) => Version).sort()).toEqual(expected.filter(Boolean).sort());
  });

  it('deploy, publish and revoke for a core that is connected to the other', async () => {
    const iot = new IoTClient(clientConfig(here));
    const greengrass = greengrassAt(here);
    const { thingArn = '' } = await iot.send(new CreateThingCommand({ thingName: 'core' }));
    const identity = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    const { certificateArn = '', certificateId = '' } = identity;
    const Statement = [{ Effect: 'Allow', Action: ['iot:*', 'greengrass:*'], Resource: '*' }];
    const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await iot.send(new CreatePolicyCommand({ policyName: 'core', policyDocument }));
    await iot.send(new AttachPolicyCommand({ policyName: 'core', target: certificateArn }));
    await iot.send(new AttachThingPrincipalCommand({ thingName: 'core', principal: certificateArn }));

    const client = await mqtt.connectAsync(`mqtts://${there.mqtt.host}:${there.mqtt.port}`, {
      ca: await readFile(here.caFile, 'utf8'),
      cert: identity.certificatePem ?? '',
      key: identity.keyPair?.PrivateKey ?? '',
      ...{ clientId: 'core', reconnectPeriod: 0 },
    });
    const received: Array<{ topic: string; payload: string }> = [];
    client.on('message', (topic, payload) => received.push({ topic, payload: payload.toString() }));
    await client.subscribeAsync(['$aws/things/core-gda/shadow/update/delta', 'to/core'], { qos: 1 });

    const Cores = [{ Id: 'c', ThingArn: thingArn, CertificateArn: certificateArn }];
    const cores = await greengrass.send(new CreateCoreDefinitionCommand({ InitialVersion: { Cores } }));
    const InitialVersion = { CoreDefinitionVersionArn: cores.LatestVersionArn ?? '' };
    const group = await greengrass.send(new CreateGroupCommand({ Name: 'g', InitialVersion }));
    const GroupId = group.Id ?? '';
    const { DeploymentId = '' } = await greengrass.send(
      new CreateDeploymentCommand({
        ...{ GroupId, GroupVersionId: group.LatestVersion ?? '', DeploymentType: 'NewDeployment' },
      }),
    );
    await waitFor(() =>
      received.find(({ topic, payload }) => topic.endsWith('/delta') && payload.includes(DeploymentId)),
    );

    const data = new IoTDataPlaneClient(clientConfig(here));
    await data.send(new PublishCommand({ topic: 'to/core', payload: Buffer.from('hello'), qos: 1 }));
    await waitFor(() => received.find(({ payload }) => payload === 'hello'));

    const reported = { deploymentId: DeploymentId, status: 'Success', stage: 'commit' };
    const update = JSON.stringify({ state: { reported } });
    await client.publishAsync('$aws/things/core-gda/shadow/update', update, { qos: 1 });
    const status = () => greengrass.send(new GetDeploymentStatusCommand({ GroupId, DeploymentId }));
    await waitFor(async () => (await status()).DeploymentStatus === 'Success');

    const cut = new Promise<void>((resolve) => client.once('close', () => resolve()));
    await iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
    await cut;
    client.end(true);
  });

  it('answer again when the database was away', async () => {
    const things = [here, there].map((place) => new IoTClient(clientConfig(place)));
    await things[0]?.send(new CreateThingCommand({ thingName: 'before' }));
    await server.stop();
    for (const iot of things) {
      const failed = iot.send(new DescribeThingCommand({ thingName: 'before' }));
      await expect(failed).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
    }
    await server.start();
    for (const iot of things) {
      const { thingName } = await iot.send(new DescribeThingCommand({ thingName: 'before' }));
      expect(thingName).toBe('before');
    }
  });
});
