/** Who may have what over HTTPS: rules that a request could try to get around, and clients that misbehave. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import type { Deployment } from '../../greengrass/cloud/store/store.js';
import {
  type CertifiedKey,
  certificateId,
  createCertificateRequest,
  createKeyPair,
  createSelfSigned,
} from '../../greengrass/lib/x509.js';
import { ACCOUNT, ALLOW_ALL, type CloudParts, REGION, startCloudParts } from '../support/cloud-parts.js';

const run = promisify(execFile);
const hasCurl = existsSync('/usr/bin/curl');
if (!hasCurl) console.warn('skipped: discovery with curl (apt-get install curl)');
const itWithCurl = hasCurl ? it : it.skip;

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe('the rights of cores and devices over HTTPS', () => {
  let cloud: CloudParts;
  beforeAll(async () => {
    cloud = await startCloudParts();
  });
  afterAll(() => cloud.close());

  function call(
    path: string,
    identity: CertifiedKey,
    options: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: cloud.https.port,
          path,
          method: options.method ?? 'GET',
          headers: options.headers ?? {},
          ca: cloud.caPem,
          agent: false,
          cert: identity.certificatePem,
          key: identity.privateKeyPem,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString(),
            }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end(options.body);
    });
  }

  async function deploy(fields: {
    deploymentId: string;
    groupId: string;
    core: string;
    status: Deployment['status'];
    document?: object;
  }): Promise<void> {
    const { deploymentId, groupId, core, status, document } = fields;
    const at = new Date().toISOString();
    await cloud.store.deployments.create({
      ...{ deploymentId, groupId, groupVersionId: 'v', type: 'NewDeployment', status: 'Building' },
      ...{ createdAt: at, updatedAt: at },
    });
    if (document) await cloud.store.deployments.setDocument(deploymentId, JSON.stringify(document), core);
    if (status !== 'Building') await cloud.store.deployments.setStatus(deploymentId, 'InProgress', at);
    if (status === 'Success') await cloud.store.deployments.setStatus(deploymentId, 'Success', at);
  }

  it('a policy variable lets a device discover for itself only', async () => {
    const resource = `arn:aws:iot:${REGION}:${ACCOUNT}:thing/`;
    const own = (name: string) => ({
      Effect: 'Allow',
      Action: 'greengrass:Discover',
      Resource: resource + name,
    });
    // biome-ignore-start lint/suspicious/noTemplateCurlyInString: policy variables
    const ann = await cloud.identity('ann', [own('${iot:Connection.Thing.ThingName}')]);
    const bob = await cloud.identity('bob', [own('${iot:ClientId}')]);
    // biome-ignore-end lint/suspicious/noTemplateCurlyInString: policy variables
    expect((await call('/greengrass/discover/thing/ann', ann)).status).toBe(404);
    expect((await call('/greengrass/discover/thing/bob', ann)).status).toBe(401);
    expect((await call('/greengrass/discover/thing/ann', bob)).status).toBe(401);
  });

  it('code is given to the core of a group that has it, not for a digest in another text', async () => {
    const core = await cloud.identity('core-a', ALLOW_ALL);
    const own = await cloud.artifacts.put(Buffer.from('own code'));
    const foreign = await cloud.artifacts.put(Buffer.from("another group's code"));
    const base = `arn:aws:greengrass:${REGION}:${ACCOUNT}:/greengrass/groups/ga/deployments/da/artifacts/lambda/`;
    await deploy({
      ...{ deploymentId: 'da', groupId: 'ga', core: 'core-a', status: 'InProgress' },
      document: {
        Cores: [],
        GroupDefinitions: {
          Lambdas: {
            Content: [
              {
                FunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f:1',
                ArtifactArn: base + own,
                DeploymentConfiguration: { Description: base + foreign },
              },
            ],
          },
        },
      },
    });
    const path = '/greengrass/groups/ga/deployments/da/artifacts/lambda/';
    expect(await call(path + own, core)).toMatchObject({ status: 200, body: 'own code' });
    expect((await call(path + foreign, core)).status).toBe(404);
    const { headers } = await call(path + own, core);
    expect(headers).toMatchObject({ etag: `"${own}"`, 'content-type': 'application/zip' });
    expect(own).toBe(createHash('sha256').update('own code').digest('hex'));
  });

  it('the core of a group renews its certificate also while a new deployment is being built', async () => {
    const core = await cloud.identity('core-b', ALLOW_ALL);
    const next = await cloud.identity('core-next', ALLOW_ALL);
    const keys = await createKeyPair();
    const body = JSON.stringify({ csr: createCertificateRequest(keys, [['CN', 'core-b']]) });
    const ask = (identity: CertifiedKey) =>
      call('/greengrass/groups/gb/certificates', identity, { method: 'POST', body });
    expect((await ask(core)).status).toBe(403);
    await deploy({ deploymentId: 'b1', groupId: 'gb', core: 'core-b', status: 'Success', document: {} });
    await deploy({ deploymentId: 'b2', groupId: 'gb', core: 'core-b', status: 'Building' });
    expect((await ask(core)).status).toBe(200);
    await cloud.store.deployments.setDocument('b2', '{}', 'core-next');
    expect((await ask(core)).status).toBe(200);
    expect((await ask(next)).status).toBe(200);
    const at = new Date().toISOString();
    await cloud.store.deployments.setStatus('b2', 'InProgress', at);
    await cloud.store.deployments.setStatus('b2', 'Success', at);
    expect((await ask(core)).status).toBe(403);
  });

  it('a core gets an intermediate CA where the operator delegates one, and no other client does', async () => {
    const core = await cloud.identity('core-i', ALLOW_ALL);
    const device = await cloud.identity('device-i', ALLOW_ALL);
    await deploy({ deploymentId: 'i1', groupId: 'gi', core: 'core-i', status: 'Success', document: {} });
    const keys = await createKeyPair();
    const csr = createCertificateRequest(keys, [['CN', 'whatever it says']]);
    const ask = (identity: CertifiedKey, body: object) =>
      call('/greengrass/groups/gi/authorities', identity, { method: 'POST', body: JSON.stringify(body) });
    const refused = await ask(core, { csr });
    expect(refused).toMatchObject({ status: 403, body: expect.stringContaining('--intermediate-days') });
    expect((await ask(device, { csr })).status).toBe(403);
  });

  it('a deployment that was superseded is not handed out: its core may be another by now', async () => {
    const core = await cloud.identity('core-s', ALLOW_ALL);
    await deploy({ deploymentId: 's1', groupId: 'gs', core: 'core-s', status: 'InProgress', document: {} });
    const path = '/greengrass/groups/gs/deployments/s1';
    expect((await call(path, core)).status).toBe(200);
    const error = { message: 'superseded', details: [] };
    await cloud.store.deployments.setStatus('s1', 'Failure', new Date().toISOString(), error);
    expect((await call(path, core)).status).toBe(404);
  });

  it.each([
    ['greengrass:GetDeployment', 'GET', '/greengrass/groups/gc/deployments/c1'],
    ['greengrass:CreateCertificate', 'POST', '/greengrass/groups/gc/certificates'],
    ['greengrass:GetDeployment', 'GET', '/greengrass/groups/gc/devices'],
    ['greengrass:GetConnectivityInfo', 'GET', '/greengrass/connectivityInfo/thing/core-c'],
    ['greengrass:UpdateConnectivityInfo', 'PUT', '/greengrass/connectivityInfo/thing/core-c'],
  ])('each request needs its own action: %s', async (action, method, path) => {
    const find = async () => (await cloud.store.things.find('core-c')) !== undefined;
    if (!(await find())) {
      await cloud.identity('core-c');
      await deploy({ deploymentId: 'c1', groupId: 'gc', core: 'core-c', status: 'InProgress', document: {} });
    }
    const identityWith = async (statements: object[]) => {
      const made = await cloud.identity(`helper-${Math.random().toString(36).slice(2)}`, statements);
      await cloud.store.things.attachPrincipal('core-c', made.certificateId);
      return made;
    };
    const allowed = await identityWith([{ Effect: 'Allow', Action: action, Resource: '*' }]);
    const denied = await identityWith([...ALLOW_ALL, { Effect: 'Deny', Action: action, Resource: '*' }]);
    const body = method === 'GET' ? '' : '{}';
    expect((await call(path, allowed, { method, body })).status).not.toBe(403);
    expect((await call(path, denied, { method, body })).status).toBe(403);
  });

  it('a certificate that is not active, unknown or expired is 401', async () => {
    const off = await cloud.identity('off', ALLOW_ALL);
    await cloud.store.certificates.setStatus(off.certificateId, 'INACTIVE');
    const unknown = await createSelfSigned({ subject: [['CN', 'x']], notAfter: new Date(Date.now() + 1e7) });
    const expired = await createSelfSigned({
      subject: [['CN', 'old']],
      notBefore: new Date(Date.now() - 7_200_000),
      notAfter: new Date(Date.now() - 3_600_000),
    });
    const id = certificateId(expired.certificatePem);
    await cloud.store.certificates.create({
      ...{ certificateId: id, certificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${id}` },
      ...{ pem: expired.certificatePem, status: 'ACTIVE', createdAt: new Date().toISOString() },
    });
    await cloud.store.policies.attach('off-policy', id);
    for (const identity of [off, unknown, expired]) {
      const { status, body } = await call('/greengrass/discover/thing/off', identity);
      expect({ status, body }).toEqual({ status: 401, body: '{"errorMessage":"Unauthorized request"}' });
    }
  });

  it('a device in eleven groups is told so, in ten it is not', async () => {
    const busy = await cloud.identity('busy', ALLOW_ALL);
    const { thingArn, certificateArn: certArn } = busy;
    const document = { Cores: [], Devices: [{ thingArn, certArn }] };
    for (let n = 0; n < 11; n++) {
      const ids = { deploymentId: `busy${n}`, groupId: `busy${n}`, core: `busy-core${n}` };
      // CAs are made at the first look; one for all saves the test eleven RSA keys.
      await cloud.store.authorities.create({
        ...{ authorityId: `${n}`.padStart(64, '0'), groupId: ids.groupId, certificatePem: 'PEM' },
        ...{ privateKeyPem: 'KEY', createdAt: new Date().toISOString() },
      });
      if (n === 10) {
        const { status, body } = await call('/greengrass/discover/thing/busy', busy);
        expect(status).toBe(200);
        expect((JSON.parse(body) as { GGGroups: unknown[] }).GGGroups).toHaveLength(10);
        expect(body).not.toContain('KEY');
      }
      await deploy({ ...ids, status: 'Success', document });
    }
    expect(await call('/greengrass/discover/thing/busy', busy)).toMatchObject({
      status: 400,
      body: expect.stringContaining('devices may not be in more than 10 groups'),
    });
  });

  it('a group counts for discovery as it is deployed: not before, not after a reset', async () => {
    const device = await cloud.identity('device-d', ALLOW_ALL);
    const { thingArn, certificateArn: certArn } = device;
    const ask = async () => (await call('/greengrass/discover/thing/device-d', device)).status;
    const ids = { deploymentId: 'dd', groupId: 'gd', core: 'core-d' };
    await deploy({ ...ids, status: 'InProgress', document: { Cores: [], Devices: [{ thingArn, certArn }] } });
    expect(await ask()).toBe(404);
    const at = new Date().toISOString();
    await cloud.store.deployments.setStatus('dd', 'Success', at);
    expect(await ask()).toBe(200);
    await cloud.store.deployments.create({
      ...{ deploymentId: 'dr', groupId: 'gd', type: 'ResetDeployment', status: 'InProgress' },
      ...{ createdAt: at, updatedAt: at },
    });
    expect(await ask()).toBe(404);
  });

  itWithCurl('curl discovers', async () => {
    const device = await cloud.identity('curly', ALLOW_ALL);
    const { thingArn, certificateArn: certArn } = device;
    const ids = { deploymentId: 'curl', groupId: 'curl', core: 'core-curl' };
    await deploy({ ...ids, status: 'Success', document: { Cores: [], Devices: [{ thingArn, certArn }] } });
    const folder = mkdtempSync(join(tmpdir(), 'greengrass-curl-'));
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const { stdout } = await run('/usr/bin/curl', [
      ...['--silent', '--show-error', '--include', '--http1.1', '--cacert', file('ca.pem', cloud.caPem)],
      ...['--cert', file('cert.pem', device.certificatePem), '--key', file('key.pem', device.privateKeyPem)],
      `https://127.0.0.1:${cloud.https.port}/greengrass/discover/thing/curly`,
    ]);
    rmSync(folder, { recursive: true });
    expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(stdout).toMatch(/\r\nx-amzn-RequestId: [0-9a-f-]{36}\r\n/);
    expect(stdout).toContain('{"GGGroups":[{"GGGroupId":"curl"');
  });

  it('a body of many megabytes is refused without being read to its end', async () => {
    const core = await cloud.identity('core-big', ALLOW_ALL);
    const socket = tls(core);
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    socket.write('POST /greengrass/groups/g/certificates HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n');
    socket.write('x'.repeat(100_000));
    expect(await textOf(socket)).toMatch(/^HTTP\/1\.1 413 [\s\S]*errorMessage/);
    const chunked = tls(core);
    await new Promise((resolve) => chunked.once('secureConnect', resolve));
    chunked.write('POST /greengrass/groups/g/certificates HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n');
    chunked.write(`20000\r\n${'x'.repeat(0x20000)}\r\n`);
    expect(await textOf(chunked)).toMatch(/^HTTP\/1\.1 413 [\s\S]*errorMessage/);
  });

  it('an address that is too long is refused, and headers that are too large', async () => {
    const core = await cloud.identity('core-long', ALLOW_ALL);
    expect((await call(`/greengrass/discover/thing/${'x'.repeat(3000)}`, core)).status).toBe(400);
    expect((await call('/', core, { headers: { a: 'x'.repeat(20_000) } })).status).toBe(431);
  });

  it('stops at once, also with a client that never finishes its handshake', async () => {
    const other = await startCloudParts();
    const silent = connect(other.https.port, '127.0.0.1');
    silent.on('error', () => {});
    await new Promise((resolve) => silent.once('connect', resolve));
    const gone = new Promise((resolve) => silent.once('close', resolve));
    const start = Date.now();
    await other.https.stop();
    await gone;
    expect(Date.now() - start).toBeLessThan(3000);
    await other.close();
  });

  function tls(identity: CertifiedKey): Socket & NodeJS.EventEmitter {
    const socket = connectTls({
      host: '127.0.0.1',
      port: cloud.https.port,
      ca: cloud.caPem,
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
    });
    socket.on('error', () => {});
    return socket;
  }

  /** What comes until the server ends the connection. */
  function textOf(socket: Socket): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += String(chunk);
      });
      socket.once('close', () => resolve(text));
    });
  }
});
