/** Two processes of the cloud on one PostgreSQL database behave as one. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateCoreDefinitionCommand,
  CreateDeploymentCommand,
  CreateGroupCommand,
  CreateGroupVersionCommand,
  GetBulkDeploymentStatusCommand,
  GetDeploymentStatusCommand,
  ListDeploymentsCommand,
  ListGroupsCommand,
  StartBulkDeploymentCommand,
} from '@aws-sdk/client-greengrass';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import mqtt, { type MqttClient } from 'mqtt';
import { type Clients, createClients } from '../../greengrass/cli/index.js';
import { type RunningCloud, startCloud } from '../../greengrass/dev/programs.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';
import { waitFor } from '../support/wait-for.js';

interface Identity {
  readonly thingName: string;
  readonly thingArn: string;
  readonly certificateId: string;
  readonly certificateArn: string;
  readonly certPem: string;
  readonly keyPem: string;
}

describeWithPostgres('two replicas', () => {
  let folder: string;
  let server: PostgresServer;
  let url: string;
  let a: RunningCloud;
  let b: RunningCloud;
  let atA: Clients;
  let atB: Clients;
  const open: MqttClient[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gg-replicas-'));
    server = await PostgresServer.create();
    url = await server.createDatabase();
    a = await replica('a');
    // Replicas share the key that secrets are sealed with.
    mkdirSync(join(folder, 'b'), { recursive: true });
    copyFileSync(join(folder, 'a/master.key'), join(folder, 'b/master.key'));
    b = await replica('b');
    atA = createClients({ endpoint: a.info.api, ...a.info });
    atB = createClients({ endpoint: b.info.api, ...b.info });
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((client) => client.endAsync(true)));
  });
  afterAll(async () => {
    for (const clients of [atA, atB]) clients?.destroy();
    for (const cloud of [a, b]) await cloud?.stop();
    await server?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  function replica(name: string): Promise<RunningCloud> {
    const options = ['--database-url', url, '--objects', join(folder, 'objects')];
    return startCloud(join(folder, name), {}, options);
  }

  async function identity(thingName: string): Promise<Identity> {
    const policyName = `policy-${thingName}`;
    const policyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
    });
    const thing = await atA.iot.send(new CreateThingCommand({ thingName }));
    const made = await atB.iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    await atA.iot.send(new CreatePolicyCommand({ policyName, policyDocument }));
    await atB.iot.send(new AttachPolicyCommand({ policyName, target: made.certificateArn }));
    await atA.iot.send(new AttachThingPrincipalCommand({ thingName, principal: made.certificateArn }));
    return {
      thingName,
      thingArn: thing.thingArn ?? '',
      certificateId: made.certificateId ?? '',
      certificateArn: made.certificateArn ?? '',
      certPem: made.certificatePem ?? '',
      keyPem: made.keyPair?.PrivateKey ?? '',
    };
  }

  /** A client that does not come back by itself, with what it has received. */
  async function connect(cloud: RunningCloud, who: Identity, filters: string[] = []) {
    const { host, port } = cloud.info.mqtt;
    const client = mqtt.connect({
      ...{ protocol: 'mqtts', host, port, clientId: who.thingName, reconnectPeriod: 0 },
      ...{ cert: who.certPem, key: who.keyPem, rejectUnauthorized: false },
    });
    open.push(client);
    const received: Array<{ topic: string; payload: string }> = [];
    client.on('message', (topic, payload) => received.push({ topic, payload: payload.toString() }));
    client.on('error', () => undefined);
    await waitFor(() => client.connected, { what: `${who.thingName} is connected` });
    for (const filter of filters) await client.subscribeAsync(filter, { qos: 1 });
    return { client, received };
  }

  async function group(core: Identity): Promise<{ GroupId: string; GroupVersionId: string }> {
    const { thingArn: ThingArn, certificateArn: CertificateArn } = core;
    const cores = await atA.greengrass.send(
      new CreateCoreDefinitionCommand({
        InitialVersion: { Cores: [{ Id: 'core', ThingArn, CertificateArn }] },
      }),
    );
    const made = await atB.greengrass.send(new CreateGroupCommand({ Name: core.thingName }));
    const version = await atA.greengrass.send(
      new CreateGroupVersionCommand({
        GroupId: made.Id,
        CoreDefinitionVersionArn: cores.LatestVersionArn ?? '',
      }),
    );
    return { GroupId: made.Id ?? '', GroupVersionId: version.Version ?? '' };
  }

  it('are one installation: account, key, CA', () => {
    expect(b.info.accountId).toBe(a.info.accountId);
    expect(b.info.accessKeyId).toBe(a.info.accessKeyId);
  });

  it('answer a client token once, also when both are asked at the same time', async () => {
    const create = (clients: Clients) =>
      clients.greengrass.send(new CreateGroupCommand({ Name: 'once', AmznClientToken: 'the-token' }));
    const answers = await Promise.all([atA, atB, atA, atB, atB, atA].map(create));
    expect(new Set(answers.map(({ Id }) => Id)).size).toBe(1);
    const { Groups = [] } = await atB.greengrass.send(new ListGroupsCommand({ MaxResults: '1000' }));
    expect(Groups.filter(({ Name }) => Name === 'once')).toHaveLength(1);
  });

  it('have one deployment of a group under way, whoever is asked, and tell the core of the last', async () => {
    const core = await identity('core-race');
    const { received } = await connect(a, core, ['$aws/things/core-race-gda/shadow/update/documents']);
    const request = { ...(await group(core)), DeploymentType: 'NewDeployment' as const };
    await Promise.all(
      [atA, atB, atA, atB, atA, atB, atA, atB].map(({ greengrass }) =>
        greengrass.send(new CreateDeploymentCommand(request)),
      ),
    );
    const { GroupId } = request;
    const { Deployments = [] } = await atB.greengrass.send(new ListDeploymentsCommand({ GroupId }));
    expect(Deployments).toHaveLength(8);
    const states = await Promise.all(
      Deployments.map(
        async ({ DeploymentId }) =>
          (await atA.greengrass.send(new GetDeploymentStatusCommand({ GroupId, DeploymentId })))
            .DeploymentStatus,
      ),
    );
    expect(states).toEqual(['InProgress', ...Array.from({ length: 7 }, () => 'Failure')]);
    // The core sits at one replica; notices that the other one made reach it, the newest last.
    const newest = Deployments[0]?.DeploymentId;
    const told = () =>
      received.map(
        ({ payload }) =>
          (JSON.parse(payload) as { current: { state: { desired: { deploymentId: string } } } }).current.state
            .desired.deploymentId,
      );
    await waitFor(() => told().at(-1) === newest, { what: 'the core is told of the newest deployment' });
    expect(new Set(told()).size).toBe(8);
  });

  it('carry messages from clients of one to clients of the other, once and in order', async () => {
    const [sender, receiver] = [await identity('sender'), await identity('receiver')];
    const { received } = await connect(b, receiver, ['road/#']);
    const { client } = await connect(a, sender);
    for (let index = 0; index < 200; index++) await client.publishAsync('road/a', String(index), { qos: 1 });
    await waitFor(() => received.length >= 200, { what: '200 messages' });
    expect(received.map(({ payload }) => payload)).toEqual(Array.from({ length: 200 }, (_, i) => String(i)));
  });

  it('know a client id once: who connects at the other replica takes over', async () => {
    const who = await identity('nomad');
    const first = await connect(a, who);
    const closed = new Promise((resolve) => first.client.once('close', () => resolve(undefined)));
    const second = await connect(b, who);
    await closed;
    expect(second.client.connected).toBe(true);
  });

  it('cut the connection of a certificate that the other replica deactivates', async () => {
    const who = await identity('traitor');
    const { client } = await connect(a, who);
    const closed = new Promise((resolve) => client.once('close', () => resolve(undefined)));
    await atB.iot.send(
      new UpdateCertificateCommand({ certificateId: who.certificateId, newStatus: 'INACTIVE' }),
    );
    await closed;
  });

  it('a killed replica loses nothing: its core is told by the other, its bulk deployment goes on there', async () => {
    const core = await identity('core-orphan');
    const request = await group(core);
    const lines = Array.from({ length: 300 }, () => JSON.stringify(request));
    mkdirSync(join(folder, 'objects/fleet'), { recursive: true });
    writeFileSync(join(folder, 'objects/fleet/all.txt'), `${lines.join('\n')}\n`);
    const { BulkDeploymentId } = await atB.greengrass.send(
      new StartBulkDeploymentCommand({
        ExecutionRoleArn: 'arn:aws:iam::123456789012:role/bulk',
        InputFileUri: 's3://fleet/all.txt',
      }),
    );
    const progress = async () =>
      (await atA.greengrass.send(new GetBulkDeploymentStatusCommand({ BulkDeploymentId }))) ?? {};
    await waitFor(async () => ((await progress()).BulkDeploymentMetrics?.RecordsProcessed ?? 0) > 5, {
      what: 'the bulk deployment is under way',
    });
    b.process.kill('SIGKILL');
    expect((await progress()).BulkDeploymentStatus).toBe('Running');
    await waitFor(async () => (await progress()).BulkDeploymentStatus === 'Completed', {
      what: 'the other replica finishes it',
      timeoutMs: 60_000,
    });
    expect((await progress()).BulkDeploymentMetrics).toMatchObject({
      RecordsProcessed: 300,
      InvalidInputRecords: 0,
    });
    const { client, received } = await connect(a, core, ['$aws/things/core-orphan-gda/shadow/get/accepted']);
    await client.publishAsync('$aws/things/core-orphan-gda/shadow/get', '', { qos: 1 });
    await waitFor(() => received.length > 0, { what: 'the core gets its notice' });
    b = await replica('b');
    atB.destroy();
    atB = createClients({ endpoint: b.info.api, ...b.info });
    const { Deployments = [] } = await atB.greengrass.send(
      new ListDeploymentsCommand({ GroupId: request.GroupId, MaxResults: '1' }),
    );
    const notice = JSON.parse(received[0]?.payload ?? '{}') as {
      state: { desired: { deploymentId: string } };
    };
    expect(notice.state.desired.deploymentId).toBe(Deployments[0]?.DeploymentId);
  });
});
