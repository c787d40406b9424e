/** The role of a group: a core gets temporary credentials of it, and what they open at the API, and what not. */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  AssociateRoleToGroupCommand,
  CreateCoreDefinitionCommand,
  CreateDeploymentCommand,
  CreateGroupCommand,
  DisassociateRoleFromGroupCommand,
  GetGroupCommand,
  GreengrassClient,
  ResetDeploymentsCommand,
} from '@aws-sdk/client-greengrass';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  IoTClient,
  ListThingsCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import {
  DeleteThingShadowCommand,
  GetThingShadowCommand,
  IoTDataPlaneClient,
  ListNamedShadowsForThingCommand,
  PublishCommand,
  UpdateThingShadowCommand,
} from '@aws-sdk/client-iot-data-plane';
import { LambdaClient, ListFunctionsCommand } from '@aws-sdk/client-lambda';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import type { DeviceNotices } from '../../greengrass/cloud/authority/device-notices.js';
import { GroupAuthorities } from '../../greengrass/cloud/authority/group-authorities.js';
import { DeviceHttpsServer } from '../../greengrass/cloud/discovery/https-server.js';
import { loadServerCertificate } from '../../greengrass/cloud/store/installation.js';
import { openStore } from '../../greengrass/cloud/store/open-store.js';
import { OwnSecrets } from '../../greengrass/cloud/store/secret-source.js';
import { ServiceClient, ServiceError } from '../../greengrass/core/service-client.js';
import { RoleCredentialsSource } from '../../greengrass/core/token-exchange/role-credentials.js';
import type { Device } from '../../greengrass/dev/device.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { z } from '../../greengrass/lib/check.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { createKeyPair, createSelfSigned, issueCertificate } from '../../greengrass/lib/x509.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy as deployTo, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { Cloud, refusalOf } from './harness.js';

const ROLE = 'arn:aws:iam::123456789012:role/service-role/fleet';
const HOUR_MS = 60 * 60 * 1000;
const NO_ROLE = 'You need to attach an IAM role to this deployment group.';
const NOT_DEPLOYED = 'Your AWS IoT Certificate Needs to be deployed to a deployment group.';

const credentialsAnswer = z.strictObject({
  credentials: z.strictObject({
    accessKeyId: z.string().regex(/^ASIA[A-Z2-7]{16}$/),
    secretAccessKey: z.string().length(40),
    sessionToken: z.string().min(100),
    expiration: z.iso.datetime(),
  }),
  roleArn: z.string(),
});
type Credentials = z.output<typeof credentialsAnswer>['credentials'];

interface Core {
  readonly thingName: string;
  readonly groupId: string;
  readonly certificateId: string;
  readonly certPem: string;
  readonly keyPem: string;
}

let cloud: Cloud;
let https: DeviceHttpsServer;
let caPem: string;
let core: Core;
const clients: Array<{ destroy(): void }> = [];

beforeAll(async () => {
  cloud = await Cloud.start();
  await startHttps(0);
  core = await newCore();
  await deploy(core);
  await give(core, ROLE);
});
afterAll(async () => {
  for (const client of clients) client.destroy();
  await https.stop();
  await cloud.stop();
});

async function startHttps(port: number): Promise<void> {
  const { store, installation } = cloud;
  const { rootCa, accountId } = installation;
  const made = await loadServerCertificate(store, rootCa, ['127.0.0.1']);
  caPem = rootCa.certificatePem;
  https = new DeviceHttpsServer({
    store,
    artifacts: cloud.opened.artifacts,
    secrets: new OwnSecrets(store.secrets, cloud.vault),
    authorities: new GroupAuthorities(store, accountId),
    deviceNotices: cloud.context().deviceNotices as DeviceNotices,
    tls: { certPem: made.certificatePem, keyPem: made.privateKeyPem },
    host: '127.0.0.1',
    port,
    region: 'us-east-1',
    accountId,
    logger: silentLogger(),
  });
  await https.start();
}

/** A thing with its certificate, policy and group; not deployed. */
async function newCore(actions: readonly string[] = ['iot:*', 'greengrass:*']): Promise<Core> {
  const [iot, greengrass] = [cloud.iot(), cloud.greengrass()];
  clients.push(iot, greengrass);
  const thingName = `core-${randomUUID()}`;
  const { thingArn = '' } = await iot.send(new CreateThingCommand({ thingName }));
  const certificate = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  const principal = certificate.certificateArn ?? '';
  const Statement = [{ Effect: 'Allow', Action: actions, Resource: '*' }];
  const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
  await iot.send(new CreatePolicyCommand({ policyName: thingName, policyDocument }));
  await iot.send(new AttachPolicyCommand({ policyName: thingName, target: principal }));
  await iot.send(new AttachThingPrincipalCommand({ thingName, principal }));
  const cores = await greengrass.send(
    new CreateCoreDefinitionCommand({
      InitialVersion: { Cores: [{ Id: 'c', ThingArn: thingArn, CertificateArn: principal }] },
    }),
  );
  const InitialVersion = { CoreDefinitionVersionArn: cores.LatestVersionArn ?? '' };
  const group = await greengrass.send(new CreateGroupCommand({ Name: 'g', InitialVersion }));
  return {
    thingName,
    groupId: group.Id ?? '',
    certificateId: certificate.certificateId ?? '',
    certPem: certificate.certificatePem ?? '',
    keyPem: certificate.keyPair?.PrivateKey ?? '',
  };
}

/** The deployment as it stands once the core has been told, or has it. */
async function deploy({ groupId, thingName }: Core, status: 'InProgress' | 'Success' = 'Success') {
  const group = await cloud.greengrass().send(new GetGroupCommand({ GroupId: groupId }));
  const { DeploymentId = '' } = await cloud.greengrass().send(
    new CreateDeploymentCommand({
      GroupId: groupId,
      GroupVersionId: group.LatestVersion ?? '',
      DeploymentType: 'NewDeployment',
    }),
  );
  await cloud.store.deployments.setDocument(DeploymentId, '{}', thingName);
  if (status === 'Success') await cloud.deployer.finish(DeploymentId, 'Success');
}

const give = ({ groupId }: Core, RoleArn: string) =>
  cloud.greengrass().send(new AssociateRoleToGroupCommand({ GroupId: groupId, RoleArn }));

function ask({
  certPem,
  keyPem,
}: Pick<Core, 'certPem' | 'keyPem'>): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        ...{ host: '127.0.0.1', port: https.port, path: '/greengrass/assumeRoleForGroup' },
        ...{ ca: caPem, cert: certPem, key: keyPem, agent: false },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}

async function credentialsOf(one: Core): Promise<Credentials> {
  const { status, text } = await ask(one);
  if (status !== 200) throw new Error(`${status}: ${text}`);
  return credentialsAnswer.parse(JSON.parse(text)).credentials;
}

describe('GET /greengrass/assumeRoleForGroup', () => {
  it('gives the core of a deployed group credentials of its role for an hour, other ones each time', async () => {
    const first = await credentialsOf(core);
    expect(Math.abs(Date.parse(first.expiration) - Date.now() - HOUR_MS)).toBeLessThan(60_000);
    expect(JSON.parse((await ask(core)).text)).toMatchObject({ roleArn: ROLE });
    const second = await credentialsOf(core);
    expect(second.accessKeyId).not.toBe(first.accessKeyId);
    expect(second.sessionToken).not.toBe(first.sessionToken);
    const kept = await cloud.store.roleSessions.find(first.accessKeyId);
    expect(JSON.stringify(kept)).not.toContain(first.sessionToken);
  });

  it('gives them while the first deployment is under way, and no more after a reset', async () => {
    const one = await newCore();
    await give(one, ROLE);
    expect(await ask(one)).toEqual({ status: 403, text: expect.stringContaining(NOT_DEPLOYED) });
    await deploy(one, 'InProgress');
    expect((await ask(one)).status).toBe(200);
    await cloud.greengrass().send(new ResetDeploymentsCommand({ GroupId: one.groupId, Force: true }));
    expect(await ask(one)).toEqual({ status: 403, text: expect.stringContaining(NOT_DEPLOYED) });
  });

  it('says that the group has no role, also after it was taken away', async () => {
    const one = await newCore();
    await deploy(one);
    expect(await ask(one)).toEqual({ status: 404, text: expect.stringContaining(NO_ROLE) });
    await give(one, ROLE);
    expect((await ask(one)).status).toBe(200);
    await cloud.greengrass().send(new DisassociateRoleFromGroupCommand({ GroupId: one.groupId }));
    expect(await ask(one)).toEqual({ status: 404, text: expect.stringContaining(NO_ROLE) });
  });

  it('refuses a core whose policy does not allow it, or whose certificate is not active', async () => {
    const one = await newCore(['iot:*', 'greengrass:Discover']);
    await deploy(one);
    await give(one, ROLE);
    expect(await ask(one)).toEqual({
      status: 403,
      text: expect.stringContaining('greengrass:AssumeRoleForGroup'),
    });
    const other = await newCore();
    await deploy(other);
    await give(other, ROLE);
    const { certificateId } = other;
    await cloud.iot().send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
    const refused = await ask(other);
    expect(refused.status).toBe(401);
    expect(refused.text).not.toContain('secretAccessKey');
  });
});

describe("credentials of a group's role", () => {
  let config: ReturnType<typeof configOf>;
  let data: IoTDataPlaneClient;
  let secrets: SecretsManagerClient;

  function configOf({ accessKeyId, secretAccessKey, sessionToken }: Credentials) {
    return { ...cloud.clientConfig, credentials: { accessKeyId, secretAccessKey, sessionToken } };
  }
  function client<T extends { destroy(): void }>(made: T): T {
    clients.push(made);
    return made;
  }
  beforeAll(async () => {
    config = configOf(await credentialsOf(core));
    data = client(new IoTDataPlaneClient(config));
    secrets = client(new SecretsManagerClient(config));
    for (const Name of ['greengrass-token', 'payroll']) {
      await cloud.secrets().send(new CreateSecretCommand({ Name, SecretString: Name }));
    }
  });

  it('are those of an assumed role', async () => {
    const { accountId } = cloud.installation;
    expect(await client(new STSClient(config)).send(new GetCallerIdentityCommand({}))).toMatchObject({
      Account: accountId,
      Arn: `arn:aws:sts::${accountId}:assumed-role/fleet/${core.thingName}`,
    });
  });

  it('publish, and use shadows', async () => {
    cloud.published.length = 0;
    await data.send(new PublishCommand({ topic: 'from/function', payload: Buffer.from('x'), qos: 1 }));
    expect(cloud.published).toEqual([{ topic: 'from/function', payload: 'x', qos: 1 }]);
    const payload = Buffer.from('{"state":{"reported":{"a":1}}}');
    await data.send(new UpdateThingShadowCommand({ thingName: 'lamp', payload }));
    const { payload: body } = await data.send(new GetThingShadowCommand({ thingName: 'lamp' }));
    expect(Buffer.from(body ?? []).toString()).toBe(payload.toString());
    await data.send(new ListNamedShadowsForThingCommand({ thingName: 'lamp' }));
    await data.send(new DeleteThingShadowCommand({ thingName: 'lamp' }));
  });

  it('read the secrets that are for Greengrass, and of the others not even whether they are there', async () => {
    const read = (SecretId: string) => [
      secrets.send(new GetSecretValueCommand({ SecretId })),
      secrets.send(new DescribeSecretCommand({ SecretId })),
      secrets.send(new ListSecretVersionIdsCommand({ SecretId })),
    ];
    const [value] = await Promise.all(read('greengrass-token'));
    expect(value).toMatchObject({ SecretString: 'greengrass-token' });
    const { ARN = '' } = await cloud.secrets().send(new DescribeSecretCommand({ SecretId: 'payroll' }));
    for (const id of ['payroll', ARN, ARN.slice(0, -7), 'nothing', `${ARN}x`]) {
      for (const refused of await Promise.all(read(id).map(refusalOf))) {
        expect(refused).toMatchObject({ status: 403, type: 'AccessDeniedException' });
      }
    }
    expect(
      (await refusalOf(secrets.send(new GetSecretValueCommand({ SecretId: 'greengrass-no' })))).type,
    ).toBe('ResourceNotFoundException');
  });

  it('change no secret, deploy nothing, make no group and see no registry', async () => {
    const [greengrass, iot, lambda] = [
      client(new GreengrassClient(config)),
      client(new IoTClient(config)),
      client(new LambdaClient(config)),
    ];
    const SecretId = 'greengrass-token';
    const GroupId = core.groupId;
    const before = cloud.deployer.deployed.length;
    for (const refused of [
      secrets.send(new ListSecretsCommand({})),
      secrets.send(new PutSecretValueCommand({ SecretId, SecretString: 'x' })),
      secrets.send(new DeleteSecretCommand({ SecretId, ForceDeleteWithoutRecovery: true })),
      secrets.send(new CreateSecretCommand({ Name: 'greengrass-mine', SecretString: 'x' })),
      greengrass.send(new CreateGroupCommand({ Name: 'mine' })),
      greengrass.send(new GetGroupCommand({ GroupId })),
      greengrass.send(new AssociateRoleToGroupCommand({ GroupId, RoleArn: ROLE })),
      greengrass.send(new CreateDeploymentCommand({ GroupId, DeploymentType: 'NewDeployment' })),
      iot.send(new ListThingsCommand({})),
      iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true })),
      lambda.send(new ListFunctionsCommand({})),
    ]) {
      const { type, message } = await refusalOf(refused as Promise<unknown>);
      expect(type).toBe('AccessDeniedException');
      expect(message).toMatch(
        /^User: arn:aws:sts::\d{12}:assumed-role\/fleet\/core-.* is not authorized to perform: /,
      );
    }
    expect(cloud.deployer.deployed).toHaveLength(before);
    const last = (await cloud.store.audit.list({ limit: 100 })).find(
      ({ operation, errorType }) => operation === 'CreateGroup' && errorType === 'AccessDeniedException',
    );
    expect(last?.principal).toContain(`assumed-role/fleet/${core.thingName}`);
  });

  it('do not touch the shadows that deployments go through, by no road', async () => {
    const payload = Buffer.from('{"state":{"desired":{"deploymentId":"x"}}}');
    for (const suffix of ['gda', 'gcf']) {
      const thingName = `${core.thingName}-${suffix}`;
      for (const refused of [
        data.send(new GetThingShadowCommand({ thingName })),
        data.send(new UpdateThingShadowCommand({ thingName, payload })),
        data.send(new UpdateThingShadowCommand({ thingName, payload, shadowName: 'named' })),
        data.send(new DeleteThingShadowCommand({ thingName })),
        data.send(new PublishCommand({ topic: `$aws/things/${thingName}/shadow/update`, payload })),
        data.send(new PublishCommand({ topic: `$aws/things/${thingName}/shadow/name/n/update`, payload })),
      ]) {
        expect((await refusalOf(refused as Promise<unknown>)).type).toBe('AccessDeniedException');
      }
      const delta = new PublishCommand({ topic: `$aws/things/${thingName}/shadow/update/delta`, payload });
      expect((await refusalOf(data.send(delta))).type).toBe('InvalidRequestException');
      expect(cloud.shadows.has(thingName)).toBe(false);
    }
  });

  it('are nothing without their token, with another one, with an unknown key, or with a wrong secret', async () => {
    const { expiration: _end, ...mine } = await credentialsOf(core);
    const other = await credentialsOf(core);
    const tryWith = (credentials: object) =>
      refusalOf(
        client(
          new IoTDataPlaneClient({
            ...cloud.clientConfig,
            credentials: { ...config.credentials, ...credentials },
          }),
        ).send(new PublishCommand({ topic: 'a', payload: Buffer.from('x') })),
      );
    const unknown = { status: 403, type: 'UnrecognizedClientException' };
    const { accessKeyId, secretAccessKey, sessionToken } = mine;
    expect(await tryWith({ ...mine, sessionToken: undefined })).toMatchObject(unknown);
    expect(await tryWith({ ...mine, sessionToken: other.sessionToken })).toMatchObject(unknown);
    expect(await tryWith({ ...mine, sessionToken: `${sessionToken.slice(0, -1)}!` })).toMatchObject(unknown);
    expect(await tryWith({ ...mine, accessKeyId: 'ASIAAAAAAAAAAAAAAAAA' })).toMatchObject(unknown);
    // A token does not make an operator's key better.
    expect(await tryWith({ ...cloud.credentials, sessionToken })).toMatchObject(unknown);
    expect(
      await tryWith({ accessKeyId, sessionToken, secretAccessKey: `${secretAccessKey}x` }),
    ).toMatchObject({
      status: 403,
      type: 'InvalidSignatureException',
    });
  });

  it('end, and then say so, also when others have been given since', async () => {
    const sessionToken = randomUUID();
    const session = {
      accessKeyId: 'ASIAENDED',
      secretAccessKey: 'secret',
      tokenSha256Hex: createHash('sha256').update(sessionToken).digest('hex'),
      roleArn: ROLE,
      sessionName: 'c',
      expiresAt: new Date(Date.now() - 1000).toISOString(),
    };
    const long = { ...session, accessKeyId: 'ASIALONGAGO', expiresAt: '2026-01-01T00:00:00.000Z' };
    const longAgo = '2025-01-01T00:00:00.000Z';
    await cloud.store.roleSessions.create(session, longAgo);
    await cloud.store.roleSessions.create(long, longAgo);
    await credentialsOf(core);
    const ended = client(new STSClient({ ...cloud.clientConfig, credentials: { ...session, sessionToken } }));
    expect(await refusalOf(ended.send(new GetCallerIdentityCommand({})))).toEqual({
      status: 403,
      type: expect.stringMatching(/^ExpiredToken(Exception)?$/),
      message: 'The security token included in the request is expired',
    });
    expect(await cloud.store.roleSessions.find('ASIALONGAGO')).toBeUndefined();
  });
});

describe('the core', () => {
  const sources: ServiceClient[] = [];
  afterAll(() => {
    for (const source of sources) source.close();
  });

  function sourceOf({ certPem, keyPem }: Core): RoleCredentialsSource {
    const logger = silentLogger();
    const service = new ServiceClient({
      ...{ host: '127.0.0.1', port: https.port },
      ...{ caPem, certPem, keyPem, logger },
    });
    sources.push(service);
    return new RoleCredentialsSource({ service, logger });
  }

  it('asks once for all who ask it, and again only when the group has changed', async () => {
    const source = sourceOf(core);
    const many = await Promise.all(Array.from({ length: 20 }, () => source.current()));
    expect(new Set(many.map(({ accessKeyId }) => accessKeyId)).size).toBe(1);
    expect(await source.current()).toBe(many[0]);
    source.forget();
    expect((await source.current()).accessKeyId).not.toBe(many[0]?.accessKeyId);
  });

  it('gives nobody what was on its way when the group changed', async () => {
    const source = sourceOf(core);
    const other = 'arn:aws:iam::123456789012:role/other';
    const asked = source.current();
    await give(core, other);
    source.forget();
    const [early, late] = await Promise.all([asked, source.current()]);
    await give(core, ROLE);
    for (const { accessKeyId } of [early, late]) {
      expect((await cloud.store.roleSessions.find(accessKeyId))?.roleArn).toBe(other);
    }
  });

  it('keeps what it has while the cloud is away, and asks again when it is back', async () => {
    const source = sourceOf(core);
    // Nine minutes left: SDKs would take them, but it is time for others.
    const kept = await inNineMinutes(() => source.current());
    const without = sourceOf(core);
    const { port } = https;
    await https.stop();
    expect((await source.current()).accessKeyId).toBe(kept.accessKeyId);
    await expect(without.current()).rejects.toMatchObject({ name: 'ServiceError', recoverable: true });
    await startHttps(port);
    const renewed = await source.current();
    expect(renewed.accessKeyId).not.toBe(kept.accessKeyId);
    expect(Date.parse(renewed.expiration) - Date.now()).toBeGreaterThan(HOUR_MS / 2);
    expect((await without.current()).accessKeyId).toMatch(/^ASIA/);
  });

  it('gives nothing more once the cloud has said that the group has no role', async () => {
    const source = sourceOf(core);
    await inNineMinutes(() => source.current());
    await cloud.greengrass().send(new DisassociateRoleFromGroupCommand({ GroupId: core.groupId }));
    const refused = source.current();
    await expect(refused).rejects.toBeInstanceOf(ServiceError);
    await expect(refused).rejects.toMatchObject({ recoverable: false, reason: NO_ROLE });
    await give(core, ROLE);
    expect((await source.current()).accessKeyId).toMatch(/^ASIA/);
  });

  it('says so of an answer that makes no sense, and asks again', async () => {
    const good = { accessKeyId: 'ASIA', secretAccessKey: 's', sessionToken: 't' };
    const expiration = new Date(Date.now() + HOUR_MS).toISOString();
    const answers = [
      '<html>Welcome to the hotel',
      JSON.stringify({ credentials: { ...good, expiration: 'soon' } }),
      JSON.stringify({ credentials: { ...good, expiration } }),
    ];
    const notAfter = new Date(Date.now() + HOUR_MS);
    const ca = await createSelfSigned({ subject: [['CN', 'ca']], notAfter, isCa: true });
    const { publicKeyPem, privateKeyPem: key } = await createKeyPair();
    const subject = [['CN', 'localhost']] as const;
    const cert = issueCertificate(ca, publicKeyPem, {
      ...{ subject, notAfter, hosts: ['127.0.0.1'], usage: 'server' },
    });
    const server = createServer({ cert, key }, (_request, response) => response.end(answers.shift()));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const logger = silentLogger();
    const service = new ServiceClient({
      ...{ host: '127.0.0.1', port, caPem: ca.certificatePem, logger },
      ...{ certPem: core.certPem, keyPem: core.keyPem },
    });
    const source = new RoleCredentialsSource({ service, logger });
    for (const why of [/answer of GET \/greengrass\/assumeRoleForGroup/, /expiration: must be a time/]) {
      const asked = source.current();
      await expect(asked).rejects.toThrow(why);
      await expect(asked).rejects.toMatchObject({ name: 'ServiceError', recoverable: true });
    }
    expect(await source.current()).toEqual({ ...good, expiration });
    service.close();
    await new Promise((resolve) => server.close(resolve));
  });

  /** Runs `work` as 51 minutes ago, by the clock of this process. */
  async function inNineMinutes<T>(work: () => Promise<T>): Promise<T> {
    const { now } = Date;
    Date.now = () => now() - 51 * 60 * 1000;
    try {
      return await work();
    } finally {
      Date.now = now;
    }
  }
});

/** Asks its core for credentials, with and without its token; tells status and body, the secret parts digested. */
const TELL = `
import hashlib, json, os, urllib.error, urllib.request
import greengrasssdk
client = greengrasssdk.client('iot-data')
URI = os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI']
TOKEN = os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']
def ask(headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(URI, headers=headers), timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())
def handler(event, context):
    status, body = ask({'Authorization': TOKEN})
    if 'SecretAccessKey' in body:
        body['SecretAccessKey'] = hashlib.sha256(body['SecretAccessKey'].encode()).hexdigest()
        body['Token'] = hashlib.sha256(body['Token'].encode()).hexdigest()
    client.publish(topic='told', payload=json.dumps(
        {'ask': event['ask'], 'status': status, 'body': body, 'bare': ask({})[0]}))
`;

const told = z.object({
  ask: z.number(),
  status: z.number(),
  body: z.record(z.string(), z.string()),
  bare: z.number(),
});

describeAsRoot('a function of a running core', () => {
  let system: TestSystem;
  let lamp: Device;
  let asked = 0;
  beforeAll(async () => {
    system = await startSystem(['lamp']);
    await greengrassd(system.root, 'start');
    const arn = await publishFunction(system, {
      name: 'tell',
      handler: 'main.handler',
      files: { 'main.py': TELL },
    });
    const { region, accountId } = system.cloud.info;
    const lampArn = `arn:aws:iot:${region}:${accountId}:thing/lamp`;
    const version = await defineGroup(system, {
      functions: [{ arn, configuration: { Pinned: true, MemorySize: 65536, Timeout: 30 } }],
      subscriptions: [
        [lampArn, 'tell', arn],
        [arn, 'told', lampArn],
      ],
    });
    expect(await deployTo(system, version)).toMatchObject({ DeploymentStatus: 'Success' });
    lamp = await system.device('lamp');
    await lamp.subscribe('told');
  }, 120_000);
  afterAll(() => system.close(), 60_000);

  async function tell() {
    const number = ++asked;
    await lamp.publish('tell', JSON.stringify({ ask: number }));
    const payload = await lamp.message('told', (bytes) => JSON.parse(String(bytes)).ask === number, 20_000);
    return told.parse(JSON.parse(String(payload)));
  }

  it('finds none without a role, then those of the role, the same ones while the cloud is away', async () => {
    expect(await tell()).toMatchObject({ status: 404, body: { message: NO_ROLE }, bare: 401 });
    const { greengrass } = system.clients;
    await greengrass.send(new AssociateRoleToGroupCommand({ GroupId: system.groupId, RoleArn: ROLE }));
    const first = await tell();
    expect(first).toMatchObject({
      status: 200,
      bare: 401,
      body: { AccessKeyId: expect.stringMatching(/^ASIA/), Expiration: expect.stringMatching(/Z$/) },
    });
    const { store } = await openStore({ dataFolder: join(system.folder, 'cloud'), isBeside: true });
    const session = await store.roleSessions.find(first.body.AccessKeyId ?? '');
    await store.close();
    const digest = (text: string) => createHash('sha256').update(text).digest('hex');
    expect(first.body.SecretAccessKey).toBe(digest(session?.secretAccessKey ?? ''));
    expect(first.body.Token).toBe(session?.tokenSha256Hex);
    expect(session?.sessionName).toBe('test-core');
    await system.cloud.stop();
    const away = await tell();
    expect(away.body).toEqual(first.body);
  }, 120_000);
});
