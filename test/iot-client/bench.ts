/** A cloud's MQTT server for tests: mutual TLS, one port, and all the ways in which it can fail. */
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Aedes, type Client } from 'aedes';
import { IotConnection, type IotConnectionOptions } from '../../greengrass/core/iot-client/connection.js';
import { createLogger } from '../../greengrass/lib/log.js';
import {
  type CertifiedKey,
  createKeyPair,
  createSelfSigned,
  issueCertificate,
} from '../../greengrass/lib/x509.js';

const HOUR_MS = 3_600_000;

export interface Published {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
}

interface Identities {
  readonly ca: CertifiedKey;
  readonly server: CertifiedKey;
  readonly core: CertifiedKey;
}

/** Made once: keys take their time. */
let identities: Promise<Identities> | undefined;

export class CloudBench {
  readonly published: Published[] = [];
  /** Topic filters of each SUBSCRIBE, in order. */
  readonly subscribed: string[][] = [];
  readonly unsubscribed: string[] = [];
  /** Client ids in the order in which they connected. */
  readonly connects: string[] = [];
  readonly lines: Array<Record<string, unknown> & { msg: string }> = [];
  /** Topics whose publishes are never answered. */
  readonly silent = new Set<string>();
  /** Filters that are refused. */
  readonly refused = new Set<string>();
  /** Serves the connections instead of the broker. */
  takeOver: ((socket: TLSSocket) => void) | undefined;
  /** ALPN protocol of each connection. */
  readonly protocols: Array<string | false | null> = [];
  /** Connections that were begun, whatever became of them. */
  knocks = 0;
  broker: Aedes | undefined;
  #server: Server | undefined;
  #port = 0;
  readonly #sockets = new Set<Socket>();
  readonly #connections: IotConnection[] = [];

  private constructor(
    readonly ca: CertifiedKey,
    private readonly identity: CertifiedKey,
    readonly core: CertifiedKey,
  ) {}

  static async create(): Promise<CloudBench> {
    identities ??= makeIdentities();
    const { ca, server, core } = await identities;
    return new CloudBench(ca, server, core);
  }

  async start(): Promise<void> {
    const broker = new Aedes({
      authorizePublish: (_client, { topic, payload, qos }, done) => {
        this.published.push({ topic, payload: payload.toString(), qos });
        if (!this.silent.has(topic)) done(null);
      },
      authorizeSubscribe: (_client, subscription, done) =>
        done(null, this.refused.has(subscription.topic) ? null : subscription),
    });
    await broker.listen();
    broker.on('clientReady', ({ id }: Client) => this.connects.push(id));
    broker.on('subscribe', (list) => this.subscribed.push(list.map(({ topic }) => topic)));
    broker.on('unsubscribe', (list, client) => {
      if (client.connected) this.unsubscribed.push(...list);
    });
    const server = createServer({
      key: this.identity.privateKeyPem,
      cert: this.identity.certificatePem,
      ca: this.ca.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ['x-amzn-mqtt-ca'],
    });
    server.on('connection', () => {
      this.knocks += 1;
    });
    server.on('secureConnection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      this.protocols.push(socket.alpnProtocol);
      if (this.takeOver) this.takeOver(socket);
      else broker.handle(socket);
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    [this.broker, this.#server] = [broker, server];
  }

  /** The cloud is gone; a later start comes up on the same port. */
  async stop(): Promise<void> {
    const [server, broker] = [this.#server, this.broker];
    [this.broker, this.#server] = [undefined, undefined];
    const closed = server && new Promise((resolve) => server.close(resolve));
    this.dropAll();
    if (broker) await new Promise<void>((resolve) => broker.close(() => resolve()));
    await closed;
  }

  /** Cuts all connections without a word. */
  dropAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  send(topic: string, payload: string, qos: 0 | 1 = 0): void {
    const packet = { cmd: 'publish', topic, payload, qos, retain: false, dup: false } as const;
    this.broker?.publish(packet, () => undefined);
  }

  get port(): number {
    return this.#port;
  }

  /** Certificate and key of the server, for a proxy that speaks TLS itself. */
  get server(): CertifiedKey {
    return this.identity;
  }

  connection(options: Partial<IotConnectionOptions> = {}): IotConnection {
    const connection = new IotConnection({
      host: 'localhost',
      port: this.#port,
      clientId: 'core',
      caPem: this.ca.certificatePem,
      certPem: this.core.certificatePem,
      keyPem: this.core.privateKeyPem,
      keepAliveS: 60,
      maxRetryIntervalS: 1,
      operationTimeoutS: 5,
      logger: createLogger({
        level: 'debug',
        stream: { write: (line: string) => this.lines.push(JSON.parse(line)) },
      }),
      ...options,
    });
    this.#connections.push(connection);
    return connection;
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) await connection.stop();
    await this.stop();
  }
}

async function makeIdentities(): Promise<Identities> {
  const notAfter = new Date(Date.now() + HOUR_MS);
  const ca = await createSelfSigned({ subject: [['CN', 'root']], notAfter, isCa: true });
  const [server, core] = await Promise.all([issue(ca, 'cloud', ['localhost']), issue(ca, 'core', [])]);
  return { ca, server, core };
}

async function issue(ca: CertifiedKey, name: string, hosts: string[]): Promise<CertifiedKey> {
  const keys = await createKeyPair();
  const notAfter = new Date(Date.now() + HOUR_MS);
  const certificatePem = issueCertificate(ca, keys.publicKeyPem, {
    subject: [['CN', name]],
    notAfter,
    hosts,
    usage: 'both',
  });
  return { certificatePem, privateKeyPem: keys.privateKeyPem };
}
