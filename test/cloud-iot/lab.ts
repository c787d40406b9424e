/** Brokers over one store that can be stopped and started again, and identities that they know. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IConnectPacket } from 'mqtt-packet';
import { CloudBroker, type CloudBrokerOptions } from '../../greengrass/cloud/iot/broker.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import type { Store } from '../../greengrass/cloud/store/store.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { type CertifiedKey, certificateId } from '../../greengrass/lib/x509.js';
import { readySelfSigned } from '../support/ready-made.js';
import { RawClient } from './raw-client.js';

export const REGION = 'us-east-1';
export const ACCOUNT = '123456789012';
export const ARN = (rest: string) => `arn:aws:iot:${REGION}:${ACCOUNT}:${rest}`;
const ALLOW_ALL = [{ Effect: 'Allow', Action: '*', Resource: '*' }];
const tomorrow = () => new Date(Date.now() + 86_400_000);

export interface LabIdentity extends CertifiedKey {
  readonly certificateId: string;
}

export class Lab {
  readonly #folder = mkdtempSync(join(tmpdir(), 'greengrass-lab-'));
  readonly #brokers: CloudBroker[] = [];
  readonly #clients: RawClient[] = [];
  store!: Store;
  server!: CertifiedKey;

  static async open(): Promise<Lab> {
    const lab = new Lab();
    lab.server = await readySelfSigned({
      subject: [['CN', 'localhost']],
      ...{ notAfter: tomorrow(), hosts: ['127.0.0.1'], usage: 'server' as const },
    });
    await lab.openStore();
    return lab;
  }

  get databasePath(): string {
    return join(this.#folder, 'cloud.db');
  }

  async openStore(): Promise<void> {
    this.store = await openSqliteStore(this.databasePath);
  }

  /** The first broker is where clients connect to unless they say otherwise. */
  async start(options: Partial<CloudBrokerOptions> = {}): Promise<CloudBroker> {
    const broker = this.newBroker(options);
    await broker.start();
    this.#brokers.push(broker);
    return broker;
  }

  newBroker(options: Partial<CloudBrokerOptions> = {}): CloudBroker {
    return new CloudBroker({
      ...{ store: this.store, shadows: new CloudShadows(this.store), logger: silentLogger() },
      tls: { certPem: this.server.certificatePem, keyPem: this.server.privateKeyPem },
      ...{ host: '127.0.0.1', port: 0, region: REGION, accountId: ACCOUNT, ...options },
    });
  }

  async stop(broker: CloudBroker): Promise<void> {
    this.#brokers.splice(this.#brokers.indexOf(broker), 1);
    await broker.stop();
  }

  /** Stops all brokers and opens the store anew, as a restart of the cloud does. */
  async restart(options: Partial<CloudBrokerOptions> = {}): Promise<CloudBroker> {
    for (const broker of [...this.#brokers]) await this.stop(broker);
    await this.store.close();
    await this.openStore();
    return this.start(options);
  }

  async identity(name: string, statements: object[] = ALLOW_ALL): Promise<LabIdentity> {
    const own = await readySelfSigned({ subject: [['CN', name]], notAfter: tomorrow() });
    const id = certificateId(own.certificatePem);
    const createdAt = new Date().toISOString();
    const certificateArn = ARN(`cert/${id}`);
    const certificate = { certificateId: id, certificateArn, pem: own.certificatePem, createdAt };
    await this.store.certificates.create({ ...certificate, status: 'ACTIVE' });
    await this.store.policies.create({
      ...{ policyName: name, policyArn: ARN(`policy/${name}`), versionId: '1', createdAt },
      document: JSON.stringify({ Version: '2012-10-17', Statement: statements }),
    });
    await this.store.policies.attach(name, id);
    return { ...own, certificateId: id };
  }

  target(identity: CertifiedKey, broker = this.#brokers[0]) {
    return { port: broker?.port ?? 0, caPem: this.server.certificatePem, identity };
  }

  /** Connected, or an error. */
  async connect(
    identity: CertifiedKey,
    clientId: string,
    options: Partial<IConnectPacket> = {},
    broker?: CloudBroker,
  ) {
    const { client, connack } = await RawClient.connect(this.target(identity, broker), clientId, options);
    this.#clients.push(client);
    if (connack.returnCode !== 0) throw new Error(`refused with ${connack.returnCode}`);
    return Object.assign(client, { sessionPresent: connack.sessionPresent });
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.socket.destroy();
    for (const broker of this.#brokers) await broker.stop();
    await this.store.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
