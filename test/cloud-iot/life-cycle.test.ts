/** The cloud's MQTT server at its edges: ports that are taken, clients that hang, certificates revoked in mid-connect. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import type { CertificateStore, Store } from '../../greengrass/cloud/store/store.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { type CertifiedKey, certificateId, createSelfSigned } from '../../greengrass/lib/x509.js';
import { waitFor } from '../support/wait-for.js';

const tomorrow = () => new Date(Date.now() + 86_400_000);

describe("the life of the cloud's MQTT server", () => {
  let folder: string;
  let store: Store;
  let server: CertifiedKey;
  let client: CertifiedKey;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-broker-'));
    store = await openSqliteStore(join(folder, 'cloud.db'));
    server = await createSelfSigned({
      subject: [['CN', 'localhost']],
      notAfter: tomorrow(),
      hosts: ['127.0.0.1'],
      usage: 'server',
    });
    client = await createSelfSigned({ subject: [['CN', 'client']], notAfter: tomorrow() });
    const id = certificateId(client.certificatePem);
    await store.certificates.create({
      certificateId: id,
      certificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${id}`,
      pem: client.certificatePem,
      status: 'ACTIVE',
      createdAt: new Date().toISOString(),
    });
  });
  afterAll(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const newBroker = (overrides: { port?: number; certificates?: CertificateStore } = {}) => {
    const { certificates = store.certificates, port = 0 } = overrides;
    const shadows = new CloudShadows(store);
    const broker = new CloudBroker({
      store: { ...store, certificates },
      tls: { certPem: server.certificatePem, keyPem: server.privateKeyPem },
      host: '127.0.0.1',
      port,
      region: 'us-east-1',
      accountId: '123456789012',
      shadows,
      logger: silentLogger(),
    });
    return { broker, shadows };
  };
  const tlsTo = (port: number, key: CertifiedKey, ALPNProtocols?: string[]) => {
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ca: server.certificatePem,
      cert: key.certificatePem,
      key: key.privateKeyPem,
      ...(ALPNProtocols ? { ALPNProtocols } : {}),
    });
    socket.on('error', () => {});
    return socket;
  };
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

  it('leaves nothing where its port is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const before = timers();
    const { broker } = newBroker({ port });
    await expect(broker.start()).rejects.toThrow(/EADDRINUSE/);
    await waitFor(() => timers() <= before, { what: 'the timers of the broker to end' });
    other.close();
  });

  it('stops at once, also with clients that never finish their handshake or send nothing', async () => {
    const { broker } = newBroker();
    await broker.start();
    const silent = connect(broker.port, '127.0.0.1');
    const mute = tlsTo(broker.port, client);
    silent.on('error', () => {});
    await Promise.all([once(silent, 'connect'), once(mute, 'secureConnect')]);
    const gone = Promise.all([closeOf(silent), closeOf(mute)]);
    const start = Date.now();
    await broker.stop();
    await gone;
    expect(Date.now() - start).toBeLessThan(3000);
    await broker.stop();
  });

  it('takes the protocol name that AWS gives MQTT on port 443, and no other', async () => {
    const { broker } = newBroker();
    await broker.start();
    const mqtt = tlsTo(broker.port, client, ['x-amzn-mqtt-ca']);
    await once(mqtt, 'secureConnect');
    expect(mqtt.alpnProtocol).toBe('x-amzn-mqtt-ca');
    const http = tlsTo(broker.port, client, ['x-amzn-http-ca']);
    await closeOf(http);
    expect(http.authorized).toBe(false);
    mqtt.destroy();
    await broker.stop();
  });

  it('does not let in a certificate that is deactivated while it is looked up', async () => {
    const { promise: looked, resolve: look } = promiseOf<void>();
    const { promise: answered, resolve: answer } = promiseOf<void>();
    const certificates: CertificateStore = {
      create: (certificate) => store.certificates.create(certificate),
      find: async (id) => {
        const found = await store.certificates.find(id);
        look();
        await answered;
        return found;
      },
      setStatus: (id, status) => store.certificates.setStatus(id, status),
      delete: (id) => store.certificates.delete(id),
      list: (limit, after) => store.certificates.list(limit, after),
    };
    const { broker } = newBroker({ certificates });
    await broker.start();
    const socket = tlsTo(broker.port, client);
    const closed = closeOf(socket);
    await looked;
    broker.disconnectCertificate(certificateId(client.certificatePem));
    answer();
    await closed;
    await broker.stop();
  });

  it('lets nobody in while the registry can not be asked', async () => {
    const fail = () => Promise.reject(new Error('the database is away'));
    const certificates = { create: fail, find: fail, setStatus: fail, delete: fail, list: fail };
    const { broker } = newBroker({ certificates });
    await broker.start();
    const socket = tlsTo(broker.port, client);
    await closeOf(socket);
    await broker.stop();
  });

  it('a shadow goes on being served over HTTP after the broker has stopped', async () => {
    const { broker, shadows } = newBroker();
    await broker.start();
    await broker.stop();
    const answer = await shadows.update('late', Buffer.from('{"state":{"reported":{"a":1}}}'));
    expect(answer).toMatchObject({ accepted: true, code: 200 });
  });
});

/** Unlike `once` of node:events, an error on the way is no failure. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function promiseOf<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
