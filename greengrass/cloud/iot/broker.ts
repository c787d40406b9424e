/**
 * The cloud's MQTT server, as AWS IoT's: mutual TLS, policies on connect, publish and subscribe, shadows on the reserved
 * topics, QoS 0 and 1.
 */
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Aedes, type Client, type PublishPacket, type Subscription } from 'aedes';
import type { Logger } from '../../lib/log.js';
import { PacketGuard } from '../../lib/packet-guard.js';
import {
  filterProblem,
  MAX_MESSAGE_BYTES,
  MAX_TOPIC_BYTES,
  parseShadowTopic,
  topicProblem,
} from '../../model/topic.js';
import type { Store } from '../store/store.js';
import { isActive, mayDo, peerCertificateId } from './device-identity.js';
import type { PolicyVariables } from './policy.js';
import type { CloudShadows } from './shadows.js';

const MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 16;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

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

interface Connection {
  readonly certificateId: string;
  variables: PolicyVariables;
}

export class CloudBroker {
  readonly #options: CloudBrokerOptions;
  readonly #connections = new WeakMap<object, Connection>();
  readonly #sockets = new Map<TLSSocket, string>();
  #broker: Aedes | undefined;
  #server: Server | undefined;

  constructor(options: CloudBrokerOptions) {
    this.#options = options;
  }

  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address ? address.port : this.#options.port;
  }

  async start(): Promise<void> {
    const { tls, host, port, logger, shadows } = this.#options;
    const broker = await Aedes.createBroker({
      maxClientsIdLength: 128,
      connectTimeout: CONNECT_TIMEOUT_MS,
      authenticate: (client, _user, _password, done) => {
        this.#mayConnect(client).then(
          (allowed) => done(null, allowed),
          () => done(null, false),
        );
      },
      authorizePublish: (client, packet, done) => this.#authorizePublish(client, packet, done),
      authorizeSubscribe: (client, subscription, done) => {
        this.#maySubscribe(client, subscription).then(
          (granted) => done(null, granted),
          (error: Error) => done(error),
        );
      },
    });
    broker.on('clientReady', (client) => logger.info({ clientId: client.id }, 'Client connected.'));
    broker.on('clientDisconnect', (client) => logger.info({ clientId: client.id }, 'Client disconnected.'));
    broker.on('clientError', (client, error) =>
      logger.info({ clientId: client.id, reason: error.message }, 'Client connection failed.'),
    );
    broker.on('connectionError', (_client, error) =>
      logger.debug({ reason: error.message }, 'Connection failed.'),
    );
    this.#broker = broker;
    shadows.publishTo((topic, payload) => void this.publish(topic, payload, 0));
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
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.#server = server;
  }

  async stop(): Promise<void> {
    const { broker, server } = { broker: this.#broker, server: this.#server };
    this.#broker = undefined;
    this.#server = undefined;
    const closed = server && new Promise<void>((resolve) => server.close(() => resolve()));
    if (broker) await new Promise<void>((resolve) => broker.close(() => resolve()));
    for (const socket of this.#sockets.keys()) socket.destroy();
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

  /** Cuts every connection that was made with the certificate: it is no longer ACTIVE. */
  disconnectCertificate(certificateId: string): void {
    for (const [socket, id] of this.#sockets) if (id === certificateId) socket.destroy();
  }

  async #accept(socket: TLSSocket): Promise<void> {
    socket.on('error', () => socket.destroy());
    const certificateId = peerCertificateId(socket);
    if (
      certificateId === undefined ||
      !(await isActive(this.#options.store, certificateId).catch(() => false))
    ) {
      this.#options.logger.warn(
        { remoteAddress: socket.remoteAddress, certificateId: certificateId ?? 'none' },
        'Connection refused: the certificate is not registered or not active.',
      );
      socket.destroy();
      return;
    }
    if (socket.destroyed || !this.#broker) return;
    this.#sockets.set(socket, certificateId);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.setNoDelay(true);
    const guarded = new PacketGuard(socket, MAX_PACKET_BYTES);
    this.#connections.set(guarded, { certificateId, variables: {} });
    this.#broker.handle(guarded);
  }

  async #mayConnect(client: Client): Promise<boolean> {
    const { store, logger } = this.#options;
    const connection = this.#connections.get(client.conn);
    if (!connection) return false;
    const things = await store.things.thingsOf(connection.certificateId);
    connection.variables = {
      clientId: client.id,
      ...(things.includes(client.id) ? { thingName: client.id } : {}),
    };
    const allowed = await this.#may(connection, 'iot:Connect', `client/${client.id}`);
    if (!allowed) {
      logger.warn(
        { clientId: client.id, certificateId: connection.certificateId },
        'Connect refused by policy.',
      );
    }
    return allowed;
  }

  #authorizePublish(
    client: Client | null,
    packet: PublishPacket,
    done: (error?: Error | null) => void,
  ): void {
    const connection = client ? this.#connections.get(client.conn) : undefined;
    // The service's own messages come without a client.
    if (!client || !connection) {
      done(null);
      return;
    }
    this.#publishRefusal(connection, packet).then(
      (problem) => {
        if (problem) {
          this.#options.logger.warn(
            { clientId: client.id, topic: packet.topic, reason: problem },
            'Publish refused.',
          );
          done(new Error(problem));
          return;
        }
        packet.retain = false;
        this.#runShadow(packet);
        done(null);
      },
      (error: Error) => done(error),
    );
  }

  /** Why the publish ends the connection, or undefined. */
  async #publishRefusal(connection: Connection, packet: PublishPacket): Promise<string | undefined> {
    if (packet.qos === 2) return 'QoS 2 is not supported';
    const problem = topicProblem(packet.topic);
    if (problem) return problem;
    if (packet.topic.startsWith('$')) {
      const shadow = parseShadowTopic(packet.topic);
      if (!shadow || shadow.kind !== undefined) return 'topics that start with $ are reserved';
    }
    return (await this.#may(connection, 'iot:Publish', `topic/${packet.topic}`))
      ? undefined
      : 'the policy does not allow it';
  }

  #runShadow(packet: PublishPacket): void {
    const request = parseShadowTopic(packet.topic);
    if (!request || request.kind !== undefined) return;
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    this.#options.shadows
      .run(request.thingName, request.operation, payload)
      .catch((error: Error) =>
        this.#options.logger.error({ topic: packet.topic, reason: error.message }, 'Shadow failed.'),
      );
  }

  async #maySubscribe(client: Client, subscription: Subscription): Promise<Subscription | null> {
    const connection = this.#connections.get(client.conn);
    const problem = filterProblem(subscription.topic);
    const allowed =
      connection !== undefined &&
      problem === undefined &&
      (await this.#may(connection, 'iot:Subscribe', `topicfilter/${subscription.topic}`)) &&
      (await this.#may(connection, 'iot:Receive', `topic/${subscription.topic}`));
    if (!allowed) {
      const reason = problem ?? 'the policy does not allow it';
      this.#options.logger.warn(
        { clientId: client.id, filter: subscription.topic, reason },
        'Subscription refused.',
      );
      return null;
    }
    return { ...subscription, qos: subscription.qos === 0 ? 0 : 1 };
  }

  #may({ certificateId, variables }: Connection, action: string, resource: string): Promise<boolean> {
    const { store, region, accountId } = this.#options;
    return mayDo(store, certificateId, {
      action,
      resource: `arn:aws:iot:${region}:${accountId}:${resource}`,
      variables,
    });
  }
}
