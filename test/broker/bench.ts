/** A local MQTT server on a free port with devices around it: real TLS, real certificates, real clients. */
import { generateKeyPairSync } from 'node:crypto';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { MqttServer, type ServerCredentials } from '../../greengrass/core/broker/mqtt-server.js';
import type { Message } from '../../greengrass/core/router/message.js';
import { createLogger } from '../../greengrass/lib/log.js';
import {
  type CertifiedKey,
  certificateId,
  createKeyPair,
  createSelfSigned,
  issueCertificate,
} from '../../greengrass/lib/x509.js';
import { certificateArn, thingArn } from '../../greengrass/model/arn.js';
import type { GroupMember } from '../../greengrass/model/group.js';
import { waitFor } from '../support/wait-for.js';

const REGION = 'us-east-1';
const ACCOUNT = '123456789012';
const HOUR_MS = 3_600_000;

/** A thing with its certificate. */
export interface TestDevice extends CertifiedKey {
  readonly thingName: string;
  readonly arn: string;
  readonly member: GroupMember;
}

export function arnOf(thingName: string): string {
  return thingArn(REGION, ACCOUNT, thingName);
}

/** A key on a curve: made, and used, in a fraction of the time of an RSA key. */
export async function makeDevice(thingName: string): Promise<TestDevice> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificatePem = issueCertificate(
    await authority(),
    publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    {
      subject: [['CN', thingName]],
      notAfter: new Date(Date.now() + HOUR_MS),
      usage: 'client',
    },
  );
  const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const key = { certificatePem, privateKeyPem };
  return { ...key, thingName, arn: arnOf(thingName), member: memberOf(thingName, key.certificatePem) };
}

export function memberOf(thingName: string, certificatePem: string): GroupMember {
  return {
    thingArn: arnOf(thingName),
    certArn: certificateArn(REGION, ACCOUNT, certificateId(certificatePem)),
  };
}

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
}

/** A connected device and what it received. */
export interface Session {
  readonly client: MqttClient;
  readonly received: Received[];
}

export class BrokerBench {
  readonly published: Message[] = [];
  readonly lines: Array<Record<string, unknown> & { msg: string; level: number }> = [];
  server: MqttServer;
  /** False: the disk is full, so to say. */
  canSettle = true;
  readonly #clients: MqttClient[] = [];

  private constructor(
    readonly ca: CertifiedKey,
    private credentials: ServerCredentials,
    private readonly sessionsPath: string | undefined,
    private readonly withoutLane = false,
  ) {
    this.server = this.#createServer();
  }

  get serverCredentials(): ServerCredentials {
    return this.credentials;
  }

  #createServer(): MqttServer {
    return new MqttServer({
      port: 0,
      host: '127.0.0.1',
      ...(this.sessionsPath === undefined ? {} : { sessionsPath: this.sessionsPath }),
      certificate: () => this.credentials,
      // A copy: what a message is in is used again when the turn is over.
      onPublish: ({ source, topic, payload, qos }) => this.published.push({ source, topic, payload, qos }),
      withoutLane: this.withoutLane || process.env.GREENGRASS_TEST_WITHOUT_LANE === '1',
      settle: () => {
        const isSettled = this.canSettle && this.server.endpoint.settle?.() !== false;
        return new Set(isSettled ? [] : this.published.map(({ source }) => source));
      },
      logger: createLogger({
        level: 'debug',
        stream: { write: (text: string) => this.lines.push(JSON.parse(text)) },
      }),
    });
  }

  /** The server as after a restart of the core: nothing is left of the old one but its files. */
  async restart(...devices: TestDevice[]): Promise<void> {
    await this.server.stop();
    this.server = this.#createServer();
    await this.server.start();
    this.setGroup(...devices);
  }

  static async start(sessionsPath?: string, withoutLane = false): Promise<BrokerBench> {
    const ca = await authority();
    const bench = new BrokerBench(ca, await issueServer(ca), sessionsPath, withoutLane);
    await bench.server.start();
    return bench;
  }

  /** A new certificate of the same CA for the server; takes effect with reloadCertificate. */
  async replaceCertificate(): Promise<string> {
    this.credentials = await issueServer(this.ca);
    return this.credentials.certPem;
  }

  setGroup(...devices: TestDevice[]): void {
    this.server.setGroup({ devices: devices.map(({ member }) => member) });
  }

  /** A client that tries to connect, once. */
  open(device: CertifiedKey | undefined, clientId: string, options: IClientOptions = {}): MqttClient {
    const client = mqtt.connect({
      protocol: 'mqtts',
      host: '127.0.0.1',
      port: this.server.port,
      ca: this.ca.certificatePem,
      ...(device ? { cert: device.certificatePem, key: device.privateKeyPem } : {}),
      clientId,
      reconnectPeriod: 0,
      connectTimeout: 5_000,
      ...options,
    });
    client.on('error', () => undefined);
    this.#clients.push(client);
    return client;
  }

  /** A connected device. */
  async connect(device: TestDevice, options: IClientOptions = {}): Promise<Session> {
    const client = this.open(device, device.thingName, options);
    const received: Received[] = [];
    client.on('message', (topic, payload, { qos, retain }) =>
      received.push({ topic, payload: payload.toString(), qos, retain }),
    );
    await waitFor(() => client.connected, { what: `${device.thingName} connects` });
    return { client, received };
  }

  /** How an attempt to connect that must not succeed ends. */
  refusalOf(client: MqttClient): Promise<string> {
    return new Promise((resolve, reject) => {
      client.on('connect', () => reject(new Error('was connected')));
      client.on('error', (error) => resolve(error.message));
      client.on('close', () => resolve('closed'));
    });
  }

  /** Closes what a test left open and forgets what was published. */
  async clear(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.endAsync(true).catch(() => undefined);
    await waitFor(() => this.server.connected === 0, { what: 'all devices are gone' });
    this.published.length = 0;
    this.lines.length = 0;
  }

  async stop(): Promise<void> {
    await this.clear();
    await this.server.stop();
  }
}

let group: Promise<CertifiedKey> | undefined;

/** Made once for a test file: keys take their time. */
function authority(): Promise<CertifiedKey> {
  group ??= createSelfSigned({
    subject: [['CN', 'group CA']],
    notAfter: new Date(Date.now() + HOUR_MS),
    isCa: true,
  });
  return group;
}

async function issueServer(ca: CertifiedKey): Promise<ServerCredentials> {
  const keys = await createKeyPair();
  const certPem = issueCertificate(ca, keys.publicKeyPem, {
    subject: [['CN', 'core']],
    notAfter: new Date(Date.now() + HOUR_MS),
    hosts: ['localhost', '127.0.0.1'],
    usage: 'server',
  });
  return { certPem, keyPem: keys.privateKeyPem, caPem: ca.certificatePem };
}
