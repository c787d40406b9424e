/** MQTT and HTTPS behind one port. */
import { once } from 'node:events';
import { type RequestOptions, request } from 'node:https';
import { type ConnectionOptions, connect } from 'node:tls';
import { AlpnFront } from '../../greengrass/cloud/iot/alpn-front.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { createSelfSigned } from '../../greengrass/lib/x509.js';
import { ALLOW_ALL, type CloudParts, type Identity, startCloudParts } from '../support/cloud-parts.js';
import { RawClient } from './raw-client.js';

describe('the port that MQTT and HTTPS share', () => {
  let cloud: CloudParts;
  let front: AlpnFront;
  let identity: Identity;
  let caPem: string;
  beforeAll(async () => {
    cloud = await startCloudParts();
    identity = await cloud.identity('core', ALLOW_ALL);
    const server = await createSelfSigned({
      subject: [['CN', 'localhost']],
      notAfter: new Date(Date.now() + 86_400_000),
      hosts: ['127.0.0.1'],
      usage: 'server',
    });
    caPem = server.certificatePem;
    front = new AlpnFront({
      ...{ mqtt: cloud.broker, https: cloud.https, logger: silentLogger() },
      tls: { certPem: server.certificatePem, keyPem: server.privateKeyPem },
      ...{ host: '127.0.0.1', port: 0 },
    });
    await front.start();
  });
  afterAll(async () => {
    await front.stop();
    await cloud.close();
  });

  const target = (alpn: string) => ({ port: front.port, caPem, identity, alpn });

  it('brings x-amzn-mqtt-ca to the MQTT server, with the client as its certificate says', async () => {
    const { client } = await RawClient.connect(target('x-amzn-mqtt-ca'), 'core');
    await client.subscribe({ news: 1 });
    await client.publish('news', 'x');
    expect((await client.message()).topic).toBe('news');
    cloud.broker.disconnectCertificate(identity.certificateId);
    await client.gone();
  });

  it('brings x-amzn-http-ca to the HTTPS server', async () => {
    const options: RequestOptions & ConnectionOptions = {
      ...{ host: '127.0.0.1', port: front.port, path: '/greengrass/discover/thing/core', ca: caPem },
      ...{ cert: identity.certificatePem, key: identity.privateKeyPem, agent: false },
      ALPNProtocols: ['x-amzn-http-ca'],
    };
    const call = request(options);
    call.end();
    const [answer] = (await once(call, 'response')) as [{ statusCode: number; resume(): void }];
    answer.resume();
    expect(answer.statusCode).toBe(404);
  });

  it.each([
    ['another protocol', ['http/1.1']],
    ['none', undefined],
  ])('closes on %s', async (_what, names) => {
    const socket = connect({
      ...{ host: '127.0.0.1', port: front.port, ca: caPem },
      ...{ cert: identity.certificatePem, key: identity.privateKeyPem },
      ...(names ? { ALPNProtocols: names } : {}),
    });
    socket.on('error', () => {});
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  });

  it('stops at once, with its connections', async () => {
    const { client } = await RawClient.connect(target('x-amzn-mqtt-ca'), 'core');
    await front.stop();
    await client.gone();
    await expect(RawClient.open(target('x-amzn-mqtt-ca'))).rejects.toThrow(/ECONNREFUSED/);
  });
});
