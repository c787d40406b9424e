/**
 * The local MQTT server (V1's GGConnManager): TLS, aedes for the protocol, the router for everything else. aedes never
 * distributes a message by itself: what a device publishes goes to `onPublish`, what a device receives comes through
 * `endpoint`.
 */
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Aedes, type AedesPublishPacket, type Client, type PublishPacket, type Subscription } from 'aedes';
import type { Logger } from '../../lib/log.js';
import { PacketGuard } from '../../lib/packet-guard.js';
import { certificateIdOfDer } from '../../lib/x509.js';
import type { GroupMember } from '../../model/group.js';
import { filterProblem, MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import type { Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import { DeviceList } from './device-auth.js';
import { DeviceEndpoint, type Subscriber } from './device-endpoint.js';
import { grantedQos, publishProblem } from './device-permissions.js';

/** Most topic filters that one device may hold (AWS IoT: 50 on a connection; we leave room). */
const MAX_FILTERS = 500;
/** Largest packet: a message, its topic, headers. SUBSCRIBE packets stay far below. */
const MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 16;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;

export interface ServerCredentials {
  readonly certPem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

export interface MqttServerOptions {
  /** 0 picks a free port. */
  readonly port: number;
  /** All addresses where absent. */
  readonly host?: string;
  readonly certificate: () => ServerCredentials;
  /** A device published: called before the PUBACK goes out. Must not throw. */
  readonly onPublish: (message: Message) => void;
  readonly logger: Logger;
}

interface Connection {
  readonly certificateId: string;
  /** ARN of the device; set once CONNECT was accepted. */
  source?: string;
}

/** aedes, with the distribution taken out: `publish` of a client was routed in authorizePublish already. */
class DeviceBroker extends Aedes {
  override publish(_packet: PublishPacket, ...rest: unknown[]): void {
    const done = rest.at(-1);
    if (typeof done === 'function') setImmediate(() => done());
  }
}

export class MqttServer implements Component {
  readonly name = 'GGConnManager';
  /** Where the router delivers messages for devices. */
  readonly endpoint: Endpoint;
  readonly #options: MqttServerOptions;
  readonly #connections = new WeakMap<object, Connection>();
  readonly #filters = new Map<string, Subscriber & { readonly filters: Map<string, 0 | 1> }>();
  readonly #sockets = new Set<TLSSocket>();
  #devices = new DeviceList([]);
  #broker: DeviceBroker | undefined;
  #server: Server | undefined;
  #starting: Promise<void> | undefined;

  constructor(options: MqttServerOptions) {
    this.#options = options;
    this.endpoint = new DeviceEndpoint((thingName) => {
      const subscriber = this.#filters.get(thingName);
      return subscriber?.client.closed ? undefined : subscriber;
    });
  }

  /** The port that the server listens on; the configured one before it does. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address ? address.port : this.#options.port;
  }

  get connected(): number {
    return this.#filters.size;
  }

  /** Idempotent: a server that listens goes on. */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { port, host, logger } = this.#options;
    const broker = new DeviceBroker({
      maxClientsIdLength: 128,
      connectTimeout: CONNECT_TIMEOUT_MS,
      preConnect: (_client, packet, done) => {
        // V1 keeps nothing for devices that are away. The CONNACK says so: session present 0.
        packet.clean = true;
        done(null, true);
      },
      authenticate: (client, _user, _password, done) => this.#authenticate(client, done),
      authorizePublish: (client, packet, done) => this.#publish(client, packet, done),
      authorizeSubscribe: (client, subscription, done) => this.#subscribe(client, subscription, done),
      authorizeForward: (_client, packet: AedesPublishPacket) => packet,
    });
    await broker.listen();
    broker.on('clientError', (client, error) =>
      logger.debug({ clientId: client.id, reason: error.message }, 'Device connection failed.'),
    );
    broker.on('connectionError', (_client, error) =>
      logger.debug({ reason: error.message }, 'Connection failed.'),
    );
    broker.on('clientReady', (client) => logger.info({ clientId: client.id }, 'Device connected.'));
    broker.on('clientDisconnect', (client) => {
      if (this.#filters.get(client.id)?.client === client) this.#filters.delete(client.id);
      logger.info({ clientId: client.id }, 'Device disconnected.');
    });
    broker.on('unsubscribe', (filters, client) => {
      const held = this.#filters.get(client.id);
      if (held?.client === client) for (const filter of filters) held.filters.delete(filter);
    });
    this.#broker = broker;
    const server = createServer({ ...this.#context(), requestCert: true, rejectUnauthorized: false });
    server.on('secureConnection', (socket) => this.#accept(socket));
    server.on('tlsClientError', (error) => logger.debug({ reason: error.message }, 'TLS handshake failed.'));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.#server = server;
    logger.info({ port: this.port }, 'MQTT server started.');
  }

  async stop(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    this.#starting = undefined;
    const server = this.#server;
    const broker = this.#broker;
    this.#server = undefined;
    this.#broker = undefined;
    const closed = server ? new Promise<void>((resolve) => server.close(() => resolve())) : undefined;
    if (broker) await new Promise<void>((resolve) => broker.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.#filters.clear();
  }

  health(): Health {
    return this.#server
      ? { healthy: true }
      : { healthy: false, reason: 'not started: there is no server certificate yet' };
  }

  /** New members of the group. Devices that are no longer among them are cut; the others never notice. */
  setGroup({ devices }: { devices: readonly GroupMember[] }): void {
    this.#devices = new DeviceList(devices);
    for (const { client } of this.#filters.values()) {
      const connection = this.#connections.get(client.conn);
      if (connection && this.#devices.identify(connection.certificateId, client.id) === undefined) {
        this.#options.logger.info(
          { clientId: client.id },
          'Device left the group; its connection was closed.',
        );
        client.close();
      }
    }
  }

  /** New certificate for connections to come; the open ones go on. */
  reloadCertificate(): void {
    this.#server?.setSecureContext(this.#context());
  }

  #context() {
    const { certPem, keyPem, caPem } = this.#options.certificate();
    return {
      cert: `${certPem.trim()}\n${caPem.trim()}\n`,
      key: keyPem,
      minVersion: 'TLSv1.2' as const,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    };
  }

  #accept(socket: TLSSocket): void {
    const { logger } = this.#options;
    const raw = socket.getPeerCertificate().raw as Buffer | undefined;
    const certificateId = raw ? certificateIdOfDer(raw) : undefined;
    if (certificateId === undefined || !this.#devices.knows(certificateId) || !this.#broker) {
      logger.warn(
        { remoteAddress: socket.remoteAddress, certificateId: certificateId ?? 'none' },
        'Connection refused: the certificate belongs to no device of the group.',
      );
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.setNoDelay(true);
    const guarded = new PacketGuard(socket, MAX_PACKET_BYTES);
    this.#connections.set(guarded, { certificateId });
    this.#broker.handle(guarded);
  }

  #authenticate(client: Client, done: (error: null, success: boolean) => void): void {
    const connection = this.#connections.get(client.conn);
    const source = connection && this.#devices.identify(connection.certificateId, client.id);
    if (!connection || source === undefined) {
      this.#options.logger.warn(
        { clientId: client.id, certificateId: connection?.certificateId },
        'Connection refused: the client id is not the thing name that the certificate belongs to.',
      );
      done(null, false);
      return;
    }
    connection.source = source;
    this.#filters.set(client.id, { client, filters: new Map(), unsentBytes: 0 });
    done(null, true);
  }

  #publish(client: Client | null, packet: PublishPacket, done: (error?: Error | null) => void): void {
    // aedes' own messages about itself come without a client; nobody hears them.
    const source = client ? this.#connections.get(client.conn)?.source : undefined;
    if (!client || source === undefined) {
      done(null);
      return;
    }
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const problem = publishProblem({ topic: packet.topic, qos: packet.qos, payload });
    if (problem) {
      this.#options.logger.warn(
        { clientId: client.id, topic: packet.topic, reason: problem },
        'Publish refused.',
      );
      done(new Error(problem));
      return;
    }
    packet.retain = false;
    this.#options.onPublish({ source, topic: packet.topic, payload, qos: packet.qos === 1 ? 1 : 0 });
    done(null);
  }

  #subscribe(
    client: Client,
    subscription: Subscription,
    done: (error: Error | null, subscription?: Subscription | null) => void,
  ): void {
    const held = this.#filters.get(client.id);
    const problem =
      filterProblem(subscription.topic) ??
      (held && held.filters.size >= MAX_FILTERS && !held.filters.has(subscription.topic)
        ? `more than ${MAX_FILTERS} topic filters`
        : undefined);
    if (problem) {
      this.#options.logger.warn(
        { clientId: client.id, filter: subscription.topic, reason: problem },
        'Subscription refused.',
      );
      done(null, null);
      return;
    }
    if (held?.client === client) held.filters.set(subscription.topic, grantedQos(subscription.qos));
    // The endpoint alone decides on the QoS of a delivery; aedes would lower it to that of the exact filter.
    done(null, { ...subscription, qos: 1 });
  }
}
