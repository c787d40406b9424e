/** Broker and HTTPS server of the cloud over a real store, and identities that it knows. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IClientOptions, MqttClient } from 'mqtt';
import { DeviceNotices } from '../../greengrass/cloud/authority/device-notices.js';
import { GroupAuthorities } from '../../greengrass/cloud/authority/group-authorities.js';
import { DeviceHttpsServer } from '../../greengrass/cloud/discovery/https-server.js';
import { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import { CloudJobs } from '../../greengrass/cloud/iot/jobs/cloud-jobs.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { ArtifactFolder } from '../../greengrass/cloud/store/artifact-folder.js';
import { OwnSecrets } from '../../greengrass/cloud/store/secret-source.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import type { Store } from '../../greengrass/cloud/store/store.js';
import { connectOnce } from '../../greengrass/dev/device.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { Vault } from '../../greengrass/lib/vault.js';
import { type CertifiedKey, certificateId, issueCertificate } from '../../greengrass/lib/x509.js';
import { readyKeyPair, readySelfSigned } from './ready-made.js';

export const REGION = 'us-east-1';
export const ACCOUNT = '123456789012';
const IOT = `arn:aws:iot:${REGION}:${ACCOUNT}`;
const tomorrow = () => new Date(Date.now() + 86_400_000);

export interface CloudParts {
  readonly store: Store;
  readonly artifacts: ArtifactFolder;
  readonly authorities: GroupAuthorities;
  readonly shadows: CloudShadows;
  readonly jobs: CloudJobs;
  readonly broker: CloudBroker;
  readonly https: DeviceHttpsServer;
  /** CA of the servers. */
  readonly caPem: string;
  /** A thing with an ACTIVE certificate and, where given, a policy of these statements. */
  identity(thingName: string, statements?: object[]): Promise<Identity>;
  /** Rejects where the connection is refused. */
  connect(identity: CertifiedKey, options?: IClientOptions): Promise<MqttClient>;
  close(): Promise<void>;
}

export interface Identity extends CertifiedKey {
  readonly thingName: string;
  readonly thingArn: string;
  readonly certificateId: string;
  readonly certificateArn: string;
}

export const ALLOW_ALL = [{ Effect: 'Allow', Action: '*', Resource: '*' }];

export async function startCloudParts(): Promise<CloudParts> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-cloud-'));
  const store = await openSqliteStore(join(folder, 'cloud.db'));
  const artifacts = new ArtifactFolder(join(folder, 'artifacts'));
  const ca = await readySelfSigned({ subject: [['CN', 'ca']], notAfter: tomorrow(), isCa: true });
  const keys = await readyKeyPair();
  const certPem = issueCertificate(ca, keys.publicKeyPem, {
    subject: [['CN', 'localhost']],
    notAfter: tomorrow(),
    hosts: ['localhost', '127.0.0.1'],
    usage: 'server',
  });
  const common = {
    store,
    tls: { certPem, keyPem: keys.privateKeyPem },
    host: '127.0.0.1',
    port: 0,
    region: REGION,
    accountId: ACCOUNT,
    logger: silentLogger(),
  };
  const shadows = new CloudShadows(store);
  const jobs = new CloudJobs(store);
  const broker = new CloudBroker({ ...common, jobs, shadows });
  const authorities = new GroupAuthorities(store, ACCOUNT);
  const secrets = new OwnSecrets(store.secrets, new Vault(Buffer.alloc(32)));
  const deviceNotices = new DeviceNotices({ ...common, shadows });
  const https = new DeviceHttpsServer({ ...common, artifacts, secrets, authorities, deviceNotices });
  await broker.start();
  await https.start();
  const clients: MqttClient[] = [];
  return {
    store,
    artifacts,
    authorities,
    shadows,
    jobs,
    broker,
    https,
    caPem: ca.certificatePem,
    identity: async (thingName, statements) => {
      const own = await readySelfSigned({ subject: [['CN', thingName]], notAfter: tomorrow() });
      const id = certificateId(own.certificatePem);
      const at = new Date().toISOString();
      const thingArn = `${IOT}:thing/${thingName}`;
      const certificateArn = `${IOT}:cert/${id}`;
      await store.things.create({
        thingName,
        thingId: id.slice(0, 36),
        thingArn,
        attributes: {},
        version: 1,
        createdAt: at,
      });
      await store.certificates.create({
        certificateId: id,
        certificateArn,
        pem: own.certificatePem,
        status: 'ACTIVE',
        createdAt: at,
      });
      await store.things.attachPrincipal(thingName, id);
      if (statements) {
        const policyName = `${thingName}-policy`;
        const document = JSON.stringify({ Version: '2012-10-17', Statement: statements });
        await store.policies.create({
          policyName,
          policyArn: `${IOT}:policy/${policyName}`,
          document,
          versionId: '1',
          createdAt: at,
        });
        await store.policies.attach(policyName, id);
      }
      return { ...own, thingName, thingArn, certificateId: id, certificateArn };
    },
    connect: async (identity, options = {}) => {
      const client = await connectOnce({
        protocol: 'mqtts',
        host: '127.0.0.1',
        port: broker.port,
        ca: ca.certificatePem,
        cert: identity.certificatePem,
        key: identity.privateKeyPem,
        connectTimeout: 30_000,
        ...options,
      });
      client.on('error', () => {});
      clients.push(client);
      return client;
    },
    close: async () => {
      for (const client of clients) client.end(true);
      await broker.stop();
      await https.stop();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
