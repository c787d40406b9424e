/** The whole program, as an operator starts it: `greengrass-cloud start`. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { fileURLToPath } from 'node:url';
import {
  CreateCoreDefinitionCommand,
  CreateDeploymentCommand,
  CreateGroupCommand,
  GetDeploymentStatusCommand,
  GreengrassClient,
} from '@aws-sdk/client-greengrass';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DescribeEndpointCommand,
  IoTClient,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import {
  GetThingShadowCommand,
  IoTDataPlaneClient,
  PublishCommand,
  UpdateThingShadowCommand,
} from '@aws-sdk/client-iot-data-plane';
import mqtt from 'mqtt';
import { z } from '../../greengrass/lib/check.js';
import { type ChildProcess, type Exit, start, stop, waitForExit } from '../../greengrass/lib/subprocess.js';
import { waitFor } from '../support/wait-for.js';
import { refusalOf } from './harness.js';

/** The compiled program of the same build as this test. */
const PROGRAM = resolve(
  dirname(fileURLToPath(import.meta.url)),
  '../../greengrass/cloud/bin/greengrass-cloud.js',
);

const ready = z.strictObject({
  pid: z.number(),
  api: z.string(),
  mqtt: z.strictObject({ host: z.string(), port: z.number() }),
  https: z.strictObject({ host: z.string(), port: z.number() }),
  caFile: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  region: z.string(),
  accountId: z.string().regex(/^\d{12}$/),
});
type Ready = z.output<typeof ready>;

let folder = '';
const running: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gg-cloud-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((child) => stop(child, 5000)));
  await rm(folder, { recursive: true, force: true });
});

function argumentsOf(extra: readonly string[]): string[] {
  const ports = ['--api-port', '0', '--mqtt-port', '0', '--https-port', '0'];
  return [PROGRAM, 'start', '--data', join(folder, 'data'), ...ports, ...extra];
}

async function startCloud(...extra: string[]): Promise<{ child: ChildProcess; info: Ready }> {
  const file = join(folder, 'ready.json');
  const child = await start(process.execPath, argumentsOf(['--ready-file', file, ...extra]), {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  running.push(child);
  const log: string[] = [];
  child.stderr?.on('data', (part: Buffer) => log.push(part.toString()));
  const info = await waitFor(
    async () => {
      if (child.exitCode !== null) throw new Error(log.join(''));
      // A killed process leaves its file behind.
      const found = ready.parse(JSON.parse(await readFile(file, 'utf8')));
      return found.pid === child.pid ? found : undefined;
    },
    { timeoutMs: 20_000, what: 'the ready file' },
  );
  return { child, info };
}

async function endOf(...extra: string[]): Promise<Exit & { stderr: string }> {
  const child = await start(process.execPath, argumentsOf(extra), { stdio: ['ignore', 'ignore', 'pipe'] });
  running.push(child);
  const log: string[] = [];
  child.stderr?.on('data', (part: Buffer) => log.push(part.toString()));
  const exit = await waitForExit(child);
  return { ...exit, stderr: log.join('') };
}

function clientConfig({ api, region, accessKeyId, secretAccessKey }: Ready) {
  return { endpoint: api, region, credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 };
}

/** The names in the certificate that the cloud shows to a client of this address. */
function certifiedNames(host: string, port: number): Promise<string> {
  return new Promise((resolveNames, reject) => {
    const socket = connectTls({ host, port, rejectUnauthorized: false }, () => {
      resolveNames(socket.getPeerX509Certificate()?.subjectAltName ?? '');
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

it('on all addresses tells cores one that other machines reach, and has it in its certificate', async () => {
  const { info } = await startCloud('--host', '0.0.0.0');
  expect(new URL(info.api).hostname).toBe('127.0.0.1');
  const others = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const own = others.filter(({ internal, family }) => !internal && family === 'IPv4');
  expect([...own.map(({ address }) => address), '127.0.0.1']).toContain(info.https.host);
  expect(await certifiedNames('127.0.0.1', info.https.port)).toContain(`IP Address:${info.https.host}`);
});

it('tells cores the public name, and has all public names in its certificate', async () => {
  const { info } = await startCloud('--public-host', 'cloud.example', '198.51.100.7');
  expect([info.mqtt.host, info.https.host]).toEqual(['cloud.example', 'cloud.example']);
  const names = await certifiedNames('127.0.0.1', info.https.port);
  expect(names).toContain('DNS:cloud.example');
  expect(names).toContain('IP Address:198.51.100.7');
  expect((await endOf('--public-host', 'no name')).stderr).toContain('must be a host name or an IP address');
});

it('starts, writes its addresses for its owner only, and ends with 0 when asked', async () => {
  const { child, info } = await startCloud();
  expect((await stat(join(folder, 'ready.json'))).mode & 0o777).toBe(0o600);
  expect(info).toMatchObject({ region: 'us-east-1', caFile: join(folder, 'data', 'ca.pem') });
  expect(await stop(child, 10_000)).toEqual({ code: 0, signal: null });
  await expect(stat(join(folder, 'ready.json'))).rejects.toThrow('ENOENT');
});

it('comes back the same on the same data, also after it was killed', async () => {
  const { child, info } = await startCloud();
  const iot = new IoTClient(clientConfig(info));
  await iot.send(new CreateThingCommand({ thingName: 'kept' }));
  const ca = await readFile(info.caFile, 'utf8');
  child.kill('SIGKILL');
  await waitForExit(child);
  const again = await startCloud();
  const { accountId, accessKeyId, secretAccessKey } = info;
  expect(again.info).toMatchObject({ accountId, accessKeyId, secretAccessKey });
  expect(await readFile(again.info.caFile, 'utf8')).toBe(ca);
  const other = new IoTClient(clientConfig(again.info));
  expect(
    await refusalOf(
      other.send(new CreateThingCommand({ thingName: 'kept', attributePayload: { attributes: { a: '1' } } })),
    ),
  ).toMatchObject({ status: 409 });
  iot.destroy();
  other.destroy();
});

it('shows one certificate, good for its names, on MQTT and HTTPS', async () => {
  const { info } = await startCloud();
  const ca = await readFile(info.caFile, 'utf8');
  for (const port of [info.mqtt.port, info.https.port]) {
    for (const servername of ['localhost', hostname()]) {
      const socket = connectTls({ host: '127.0.0.1', port, ca, servername });
      await new Promise<void>((resolve, reject) => {
        socket.once('secureConnect', () => resolve());
        socket.once('error', reject);
      });
      expect(socket.authorized).toBe(true);
      socket.destroy();
    }
  }
});

it('a core made through the API connects, is told of its deployment, and fetches the document', async () => {
  const { info } = await startCloud();
  const iot = new IoTClient(clientConfig(info));
  const greengrass = new GreengrassClient(clientConfig(info));
  const { thingArn = '' } = await iot.send(new CreateThingCommand({ thingName: 'core' }));
  const {
    certificateArn = '',
    certificateId = '',
    certificatePem = '',
    keyPair,
  } = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
  const policyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: ['iot:*', 'greengrass:*'], Resource: '*' }],
  });
  await iot.send(new CreatePolicyCommand({ policyName: 'core', policyDocument }));
  await iot.send(new AttachPolicyCommand({ policyName: 'core', target: certificateArn }));
  await iot.send(new AttachThingPrincipalCommand({ thingName: 'core', principal: certificateArn }));
  const { endpointAddress } = await iot.send(new DescribeEndpointCommand({ endpointType: 'iot:Data-ATS' }));
  expect(endpointAddress).toBe(`127.0.0.1:${info.mqtt.port}`);

  const tls = {
    ca: await readFile(info.caFile, 'utf8'),
    cert: certificatePem,
    key: keyPair?.PrivateKey ?? '',
  };
  const client = await mqtt.connectAsync(`mqtts://${info.mqtt.host}:${info.mqtt.port}`, {
    ...tls,
    clientId: 'core',
    reconnectPeriod: 0,
  });
  const received: Array<{ topic: string; payload: string }> = [];
  client.on('message', (topic, payload) => received.push({ topic, payload: payload.toString() }));
  await client.subscribeAsync(['$aws/things/core-gda/shadow/update/delta', 'to/core'], { qos: 1 });

  const cores = await greengrass.send(
    new CreateCoreDefinitionCommand({
      InitialVersion: { Cores: [{ Id: 'c', ThingArn: thingArn, CertificateArn: certificateArn }] },
    }),
  );
  const group = await greengrass.send(
    new CreateGroupCommand({
      Name: 'g',
      InitialVersion: { CoreDefinitionVersionArn: cores.LatestVersionArn ?? '' },
    }),
  );
  const GroupId = group.Id ?? '';
  const { DeploymentId = '' } = await greengrass.send(
    new CreateDeploymentCommand({
      GroupId,
      GroupVersionId: group.LatestVersion ?? '',
      DeploymentType: 'NewDeployment',
    }),
  );
  const status = () => greengrass.send(new GetDeploymentStatusCommand({ GroupId, DeploymentId }));
  expect(await status()).toMatchObject({ DeploymentStatus: 'InProgress' });
  const notice = await waitFor(() => received.find(({ topic }) => topic.endsWith('/update/delta')));
  expect(notice.payload).toContain(DeploymentId);

  const document = await getHttps(info, tls, `/greengrass/groups/${GroupId}/deployments/${DeploymentId}`);
  expect(JSON.parse(document)).toMatchObject({ Cores: [{ thingArn }] });

  const data = new IoTDataPlaneClient(clientConfig(info));
  await data.send(new PublishCommand({ topic: 'to/core', payload: Buffer.from('hello'), qos: 1 }));
  await waitFor(() => received.find(({ topic, payload }) => topic === 'to/core' && payload === 'hello'));

  const reported = { deploymentId: DeploymentId, status: 'Success', stage: 'commit' };
  await client.publishAsync('$aws/things/core-gda/shadow/update', JSON.stringify({ state: { reported } }), {
    qos: 1,
  });
  await waitFor(async () => (await status()).DeploymentStatus === 'Success');

  const wrong = new UpdateThingShadowCommand({ thingName: 'core', payload: Buffer.from('{"state":5}') });
  expect(await refusalOf(data.send(wrong))).toMatchObject({ status: 400, type: 'InvalidRequestException' });
  expect(await refusalOf(data.send(new GetThingShadowCommand({ thingName: 'core' })))).toMatchObject({
    status: 404,
    type: 'ResourceNotFoundException',
  });

  const cut = new Promise<void>((resolve) => client.once('close', () => resolve()));
  await iot.send(new UpdateCertificateCommand({ certificateId, newStatus: 'INACTIVE' }));
  await cut;
  for (const sdk of [iot, greengrass, data]) sdk.destroy();
  client.end(true);
});

function getHttps(
  info: Ready,
  tls: { ca: string; cert: string; key: string },
  path: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...info.https, ...tls, path, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve(Buffer.concat(parts).toString()));
      response.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

describe('refuses to start, and says why,', () => {
  it('without signatures on an address that others can reach', async () => {
    const end = await endOf('--auth', 'none', '--host', '0.0.0.0');
    expect(end.code).toBe(2);
    expect(end.stderr).toContain('loopback');
  });

  it('with a wrong command line', async () => {
    expect((await endOf('--api-port', '99999')).stderr).toContain('apiPort: must be at most 65535');
    expect((await endOf('--no-such-option')).code).toBe(2);
  });

  it('on a port that is taken, and stops what it had started', async () => {
    const other = createServer();
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => {
        const address = other.address();
        resolve(typeof address === 'object' && address ? address.port : 0);
      });
    });
    const end = await endOf('--api-port', String(port));
    expect(end.code).toBe(1);
    expect(end.stderr).toContain('EADDRINUSE');
    other.close();
  });
});
