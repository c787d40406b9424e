/** Discovery and what cores fetch, byte for byte where old clients read letters. */
import { createHash, X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { connect } from 'node:tls';
import { createCertificateRequest, createKeyPair } from '../../greengrass/lib/x509.js';
import { ALLOW_ALL, type CloudParts, type Identity, startCloudParts } from '../support/cloud-parts.js';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
}

describe('the HTTPS server for devices and cores', () => {
  let cloud: CloudParts;
  let core: Identity;
  let lamp: Identity;
  let stranger: Identity;
  const zip = Buffer.from('not really a zip, but bytes all the same');
  const digest = createHash('sha256').update(zip).digest('hex');
  const DEPLOYMENT = '/greengrass/groups/g1/deployments/d1';

  beforeAll(async () => {
    cloud = await startCloudParts();
    core = await cloud.identity('core', ALLOW_ALL);
    lamp = await cloud.identity('lamp', ALLOW_ALL);
    stranger = await cloud.identity('stranger', ALLOW_ALL);
    await cloud.artifacts.put(zip);
    const { store } = cloud;
    const at = new Date().toISOString();
    await store.deployments.create({
      deploymentId: 'd1',
      groupId: 'g1',
      groupVersionId: 'v1',
      type: 'NewDeployment',
      status: 'Building',
      createdAt: at,
      updatedAt: at,
    });
    const document = {
      Cores: [{ thingArn: core.thingArn, certArn: core.certificateArn }],
      Devices: [{ thingArn: lamp.thingArn, certArn: lamp.certificateArn }],
      GroupDefinitions: {
        Lambdas: {
          Content: [
            {
              FunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f:1',
              ArtifactArn: `arn:aws:greengrass:us-east-1:123456789012:${DEPLOYMENT}/artifacts/lambda/${digest}`,
            },
          ],
        },
      },
    };
    await store.deployments.setDocument('d1', JSON.stringify(document), 'core');
    await store.deployments.setStatus('d1', 'InProgress', at);
    await store.deployments.setStatus('d1', 'Success', at);
  });
  afterAll(() => cloud.close());

  function call(
    path: string,
    identity: Identity | undefined,
    options: { method?: string; headers?: Record<string, string>; body?: string } = {},
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
          ...(identity ? { cert: identity.certificatePem, key: identity.privateKeyPem } : {}),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks),
            }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end(options.body);
    });
  }

  it('answers discovery in the letters that clients look for', async () => {
    await call('/greengrass/connectivityInfo/thing/core', core, {
      method: 'PUT',
      body: '{"ConnectivityInfo":[{"Id":"i","HostAddress":"10.0.0.1","PortNumber":8883}]}',
    });
    const { status, body } = await call('/greengrass/discover/thing/lamp', lamp);
    expect(status).toBe(200);
    const [authority] = await cloud.authorities.list('g1');
    expect(JSON.parse(body.toString())).toEqual({
      GGGroups: [
        {
          GGGroupId: 'g1',
          Cores: [
            {
              thingArn: core.thingArn,
              Connectivity: [{ Id: 'i', HostAddress: '10.0.0.1', PortNumber: 8883, Metadata: '' }],
            },
          ],
          CAs: [authority?.certificatePem],
        },
      ],
    });
  });

  it('lists the active CA first after a rotation', async () => {
    const newer = await cloud.authorities.create('g1');
    const { body } = await call('/greengrass/discover/thing/lamp', lamp);
    const { GGGroups } = JSON.parse(body.toString()) as { GGGroups: Array<{ CAs: string[] }> };
    expect(GGGroups[0]?.CAs).toHaveLength(2);
    expect(GGGroups[0]?.CAs[0]).toBe(newer.certificatePem);
  });

  it('speaks to clients without a Host header, with content-length in lower case and no chunks', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: cloud.https.port,
      ca: cloud.caPem,
      cert: lamp.certificatePem,
      key: lamp.privateKeyPem,
      ALPNProtocols: ['x-amzn-http-ca'],
    });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    expect(socket.alpnProtocol).toBe('x-amzn-http-ca');
    socket.write('GET /greengrass/discover/thing/lamp HTTP/1.1\r\nConnection: close\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toMatch(/\r\ncontent-length: \d+\r\n/);
    expect(text).not.toMatch(/transfer-encoding/i);
  });

  it.each<[string, () => Promise<Answer>, number]>([
    ['no certificate', () => call('/greengrass/discover/thing/lamp', undefined), 401],
    ['a thing in no group', () => call('/greengrass/discover/thing/stranger', stranger), 404],
    ['a thing name that is none', () => call('/greengrass/discover/thing/%2e%2e%2fetc', lamp), 400],
    ['a path that is broken', () => call('/greengrass/discover/thing/%zz', lamp), 400],
    ['an unknown path', () => call('/greengrass/nothing', lamp), 404],
    ["another core's deployment", () => call(DEPLOYMENT, stranger), 403],
    ['a deployment that is not there', () => call('/greengrass/groups/g1/deployments/nope', core), 403],
    [
      'an artifact of no deployment',
      () => call(`${DEPLOYMENT}/artifacts/lambda/${'0'.repeat(64)}`, core),
      404,
    ],
    [
      "another core's certificate",
      () => call('/greengrass/groups/g1/certificates', lamp, { method: 'POST', body: '{"csr":"x"}' }),
      403,
    ],
    [
      'a request that is no CSR',
      () => call('/greengrass/groups/g1/certificates', core, { method: 'POST', body: '{"csr":"x"}' }),
      400,
    ],
    [
      'a body that is no JSON',
      () => call('/greengrass/groups/g1/certificates', core, { method: 'POST', body: '{' }),
      400,
    ],
    [
      'a body that is too large',
      () => call('/greengrass/groups/g1/certificates', core, { method: 'POST', body: 'x'.repeat(70_000) }),
      413,
    ],
    [
      'eleven endpoints',
      () =>
        call('/greengrass/connectivityInfo/thing/core', core, {
          method: 'PUT',
          body: JSON.stringify({ ConnectivityInfo: Array.from({ length: 11 }, () => ({})) }),
        }),
      400,
    ],
    ["another thing's connectivity", () => call('/greengrass/connectivityInfo/thing/core', lamp), 403],
  ])('refuses %s', async (_what, ask, expected) => {
    const { status, body } = await ask();
    expect(status).toBe(expected);
    expect(JSON.parse(body.toString())).toEqual({ errorMessage: expect.any(String) });
  });

  it('refuses discovery where no policy allows it', async () => {
    const quiet = await cloud.identity('quiet');
    expect((await call('/greengrass/discover/thing/quiet', quiet)).status).toBe(401);
  });

  it('allows discovery on conditions that hold, by the address and the thing', async () => {
    const discovering = async (name: string, site: string, network: string) => {
      const condition = {
        StringEquals: { 'iot:Connection.Thing.Attributes[site]': 'berlin' },
        IpAddress: { 'aws:SourceIp': network },
      };
      const allow = { Effect: 'Allow', Action: 'greengrass:Discover', Resource: '*', Condition: condition };
      const identity = await cloud.identity(name, [allow]);
      const thing = await cloud.store.things.find(name);
      if (!thing) throw new Error('no thing');
      await cloud.store.things.update({ ...thing, attributes: { site } });
      return (await call(`/greengrass/discover/thing/${name}`, identity)).status;
    };
    // 404: allowed, but in no group.
    expect(await discovering('at-home', 'berlin', '127.0.0.0/8')).toBe(404);
    expect(await discovering('elsewhere', 'rome', '127.0.0.0/8')).toBe(401);
    expect(await discovering('abroad', 'berlin', '10.0.0.0/8')).toBe(401);
  });

  it('gives the group document as it was built', async () => {
    const { status, body } = await call(DEPLOYMENT, core);
    expect(status).toBe(200);
    expect(body.toString()).toBe((await cloud.store.deployments.find('g1', 'd1'))?.document);
  });

  it('gives an artifact whole, from an offset, and says when there is no more', async () => {
    const path = `${DEPLOYMENT}/artifacts/lambda/${digest}`;
    expect(await call(path, core)).toMatchObject({ status: 200, body: zip });
    const rest = await call(path, core, { headers: { range: 'bytes=10-' } });
    expect(rest).toMatchObject({ status: 206, body: zip.subarray(10) });
    expect(rest.headers['content-range']).toBe(`bytes 10-${zip.length - 1}/${zip.length}`);
    expect((await call(path, core, { headers: { range: `bytes=${zip.length}-` } })).status).toBe(416);
  });

  it("signs the core's server certificate for its hosts", async () => {
    const keys = await createKeyPair();
    const csr = createCertificateRequest(keys, [['CN', 'core']], ['core.local', '192.168.0.7']);
    const { status, body } = await call('/greengrass/groups/g1/certificates', core, {
      method: 'POST',
      body: JSON.stringify({ csr }),
    });
    expect(status).toBe(200);
    const signed = JSON.parse(body.toString()) as { certificatePem: string; caPem: string };
    const certificate = new X509Certificate(signed.certificatePem);
    expect(certificate.verify(new X509Certificate(signed.caPem).publicKey)).toBe(true);
    expect(certificate.checkHost('core.local')).toBe('core.local');
    expect(certificate.checkIP('192.168.0.7')).toBe('192.168.0.7');
    expect(certificate.checkIP('10.0.0.1')).toBe('10.0.0.1');
    expect(certificate.ca).toBe(false);
  });
});
