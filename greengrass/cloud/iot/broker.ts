/**
 * The cloud's MQTT server, as AWS IoT's: mutual TLS, policies on connect, publish and subscribe, shadows on the reserved
 * topics, QoS 0 and 1.
 */
import type { EventEmitter } from 'node:events';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Aedes, type Client, type PublishPacket, type Subscription } from 'aedes';
import type { Logger } from '../../lib/log.js';
import { PacketGuard } from '../../lib/packet-guard.js';
import { MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES, parseShadowTopic } from '../../model/topic.js';
import type { Store } from '../store/store.js';
import { ClientPermissions, type Connection, newConnection } from './client-permissions.js';
import { isActive, peerCertificateId } from './device-identity.js';
import { followSockets } from './open-sockets.js';
import type { CloudShadows } from './shadows.js';

const MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 16;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** So long a policy that was detached may go on allowing deliveries. AWS IoT takes minutes. */
const REVIEW_INTERVAL_MS = 30_000;

export interface CloudBrokerOptions {
  readonly store: Pick<Store, 'certificates' | 'policies' | 'things'>;
  readonly tls: { readonly certPem: string; readonly keyPem: string };
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly region: string;
  readonly accountId: string;
  readonly shadows: CloudShadows;
  readonly logger: Logger;
}

export class CloudBroker {
  readonly #options: CloudBrokerOptions;
  readonly #permissions: ClientPermissions;
  /** By the stream that aedes knows a client by. */
  readonly #connections = new WeakMap<object, Connection>();
  readonly #sockets = new Map<TLSSocket, Connection>();
  #broker: Aedes | undefined;
  #server: Server | undefined;
  #closeSockets: () => void = () => {};
  #reviews: NodeJS.Timeout | undefined;

  constructor(options: CloudBrokerOptions) {
    this.#options = options;
    this.#permissions = new ClientPermissions(options.store, options.region, options.accountId);
  }

  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address ? address.port : this.#options.port;
  }

  async start(): Promise<void> {
    const { host, port, logger, shadows } = this.#options;
    this.#broker = await this.#createBroker();
    shadows.publishTo((topic, payload) => this.#publishAnswer(topic, payload));
    const server = this.#createServer();
    this.#server = server;
    this.#closeSockets = followSockets(server);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, resolve);
      });
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#reviews = setInterval(() => {
      this.review().catch((error: Error) =>
        logger.error({ reason: error.message }, 'Policies of connected clients could not be read again.'),
      );
    }, REVIEW_INTERVAL_MS);
    this.#reviews.unref();
  }

  async stop(): Promise<void> {
    const { broker, server } = { broker: this.#broker, server: this.#server };
    clearInterval(this.#reviews);
    this.#broker = undefined;
    this.#server = undefined;
    const closed = server?.listening && new Promise<void>((resolve) => server.close(() => resolve()));
    if (broker) await new Promise<void>((resolve) => broker.close(() => resolve()));
    this.#closeSockets();
    await closed;
  }

  /** Publishes as the service itself. */
  publish(topic: string, payload: Buffer, qos: 0 | 1): Promise<void> {
    const broker = this.#broker;
    if (!broker) return Promise.reject(new Error('the broker is not running'));
    return new Promise((resolve, reject) => {
      const packet: PublishPacket = { cmd: 'publish', topic, payload, qos, retain: false, dup: false };
      broker.publish(packet, (error?: Error) => (error ? reject(error) : resolve()));
    });
  }

  /** Cuts every connection that was made with the certificate: it is no longer ACTIVE. Its wills are not published. */
  disconnectCertificate(certificateId: string): void {
    for (const [socket, connection] of this.#sockets) {
      if (connection.certificateId === certificateId) cut(socket, connection);
    }
  }

  /** Reads policies and certificates of all connections again. Happens every 30 s; a change of a policy may ask for it. */
  async review(): Promise<void> {
    for (const [socket, connection] of this.#sockets) {
      if (await isActive(this.#options.store, connection.certificateId)) {
        await this.#permissions.refresh(connection);
      } else {
        cut(socket, connection);
      }
    }
  }

  async #createBroker(): Promise<Aedes> {
    const { logger } = this.#options;
    const broker = await Aedes.createBroker({
      maxClientsIdLength: 128,
      connectTimeout: CONNECT_TIMEOUT_MS,
      authenticate: (client, _user, _password, done) => {
        this.#mayConnect(client).then(
          (allowed) => done(null, allowed),
          (error: Error) => {
            logger.error({ clientId: client.id, reason: error.message }, 'Connect could not be checked.');
            done(null, false);
          },
        );
      },
      authorizePublish: (client, packet, done) => {
        this.#takePublish(client, packet).then(
          () => done(null),
          (error: Error) => done(error),
        );
      },
      authorizeSubscribe: (client, subscription, done) => {
        this.#maySubscribe(client, subscription).then(
          (granted) => done(null, granted),
          (error: Error) => done(error),
        );
      },
      authorizeForward: (client, packet) => {
        const connection = this.#connections.get(client.conn);
        return connection && this.#permissions.mayReceive(connection, packet.topic) ? packet : null;
      },
    });
    broker.on('clientReady', (client) => logger.info({ clientId: client.id }, 'Client connected.'));
    broker.on('clientDisconnect', (client) => logger.info({ clientId: client.id }, 'Client disconnected.'));
    broker.on('clientError', (client, error) =>
      logger.info({ clientId: client.id, reason: error.message }, 'Client connection failed.'),
    );
    const events: EventEmitter = broker;
    events.on('error', (error: Error) => logger.error({ reason: error.message }, 'Broker failed at a task.'));
    broker.on('connectionError', (_client, error) =>
      logger.debug({ reason: error.message }, 'Connection failed.'),
    );
    return broker;
  }

  #createServer(): Server {
    const { tls, logger } = this.#options;
    const server = createServer({
      cert: tls.certPem,
      key: tls.keyPem,
      minVersion: 'TLSv1.2',
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      ALPNProtocols: ['x-amzn-mqtt-ca', 'mqtt'],
    });
    server.on('secureConnection', (socket) => void this.#accept(socket));
    server.on('tlsClientError', (error) => logger.debug({ reason: error.message }, 'TLS handshake failed.'));
    return server;
  }

  /** Shadow answers that come after the end have nobody to go to. */
  #publishAnswer(topic: string, payload: Buffer): void {
    this.publish(topic, payload, 0).catch((error: Error) =>
      this.#options.logger.debug({ topic, reason: error.message }, 'Shadow answer was not published.'),
    );
  }

  async #accept(socket: TLSSocket): Promise<void> {
    socket.on('error', () => socket.destroy());
    const certificateId = peerCertificateId(socket);
    const connection = newConnection(certificateId ?? 'none');
    // Known before the registry is asked: a certificate that is deactivated meanwhile cuts this one too.
    this.#sockets.set(socket, connection);
    socket.once('close', () => this.#sockets.delete(socket));
    if (certificateId === undefined || !(await this.#isActive(certificateId))) {
      this.#options.logger.warn(
        { remoteAddress: socket.remoteAddress, certificateId: connection.certificateId },
        'Connection refused: the certificate is not registered, not active or expired.',
      );
      socket.destroy();
      return;
    }
    if (socket.destroyed || !this.#broker) {
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const guarded = new PacketGuard(socket, MAX_PACKET_BYTES);
    this.#connections.set(guarded, connection);
    this.#broker.handle(guarded);
  }

  /** Nobody gets in while the registry can't be asked. */
  #isActive(certificateId: string): Promise<boolean> {
    return isActive(this.#options.store, certificateId).catch((error: Error) => {
      this.#options.logger.error({ certificateId, reason: error.message }, 'Registry could not be asked.');
      return false;
    });
  }

  async #mayConnect(client: Client): Promise<boolean> {
    const connection = this.#connections.get(client.conn);
    if (!connection) return false;
    const reason = await this.#permissions.connectRefusal(connection, client.id);
    if (reason === undefined) return true;
    const { certificateId } = connection;
    this.#options.logger.warn({ clientId: client.id, certificateId, reason }, 'Connect refused.');
    return false;
  }

  /** Rejects where the publication ends the connection. A shadow's request is done, durably, before it is acknowledged. */
  async #takePublish(client: Client | null, packet: PublishPacket): Promise<void> {
    const { logger, shadows } = this.#options;
    const connection = client ? this.#connections.get(client.conn) : undefined;
    if (!client || !connection) throw new Error('a publication needs a connection');
    const { topic } = packet;
    const reason = await this.#permissions.publishRefusal(connection, topic, packet.qos);
    if (reason !== undefined) {
      logger.warn({ clientId: client.id, topic, reason }, 'Publish refused.');
      throw new Error(reason);
    }
    packet.retain = false;
    const request = parseShadowTopic(topic);
    if (!request) return;
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    try {
      await shadows.run(request.thingName, request.operation, payload);
    } catch (error) {
      logger.error({ topic, reason: (error as Error).message }, 'Shadow failed.');
      throw error;
    }
  }

  async #maySubscribe(client: Client, subscription: Subscription): Promise<Subscription | null> {
    const connection = this.#connections.get(client.conn);
    if (!connection) return null;
    const { topic: filter, qos } = subscription;
    const reason = await this.#permissions.subscribeRefusal(connection, filter);
    if (reason === undefined) return { ...subscription, qos: qos === 0 ? 0 : 1 };
    this.#options.logger.warn({ clientId: client.id, filter, reason }, 'Subscription refused.');
    return null;
  }
}

function cut(socket: TLSSocket, connection: Connection): void {
  connection.isRevoked = true;
  socket.destroy();
}
