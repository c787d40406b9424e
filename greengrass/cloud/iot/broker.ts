/**
 * The cloud's MQTT server, as AWS IoT's: mutual TLS, policies on connect, publish and subscribe, persistent sessions,
 * retained messages, lifecycle events, shadows on the reserved topics, QoS 0 and 1. It carries the messages; what
 * clients may do is in client-handlers.ts.
 */
import type { EventEmitter } from 'node:events';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { Aedes, type Client, type PublishPacket } from 'aedes';
import type { Logger } from '../../lib/log.js';
import type { Bus } from '../store/bus.js';
import type { Store } from '../store/store.js';
import { beforeEachPacket, forgetClosedClient, numberAtEmission } from './aedes-internals.js';
import { ClientHandlers } from './client-handlers.js';
import { ClientLife } from './client-life.js';
import { ClientPermissions } from './client-permissions.js';
import { ClientStream } from './client-stream.js';
import { Connection } from './connection.js';
import { Connections } from './connections.js';
import { isActive, peerCertificateId } from './device-identity.js';
import type { CloudJobs } from './jobs/cloud-jobs.js';
import { followSockets } from './open-sockets.js';
import { DEFAULT_SESSION_SETTINGS, PersistentSessions, type SessionSettings } from './persistent-sessions.js';
import { Publications } from './publications.js';
import { type ReplicaNotice, type ReplicaPublication, Replicas } from './replicas.js';
import { RetainedMessages } from './retained-messages.js';
import { SessionPersistence } from './session-persistence.js';
import type { CloudShadows } from './shadows.js';
import { deviceTlsOptions } from './tls-options.js';

const CONNECT_TIMEOUT_MS = 10_000;
/** So long a policy that was detached behind our back may go on allowing. AWS IoT takes minutes. */
const REVIEW_INTERVAL_MS = 60_000;
const REVIEWED_AT_ONCE = 100;

export interface CloudBrokerOptions {
  readonly store: Pick<Store, 'certificates' | 'policies' | 'things' | 'sessions' | 'retained'>;
  readonly tls: { readonly certPem: string; readonly keyPem: string };
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  readonly region: string;
  readonly accountId: string;
  readonly shadows: CloudShadows;
  /** Absent: requests of things for jobs are taken and not answered. */
  readonly jobs?: CloudJobs;
  readonly logger: Logger;
  /** How long persistent sessions last and how much they hold; AWS IoT's hour where it is left out. */
  readonly sessions?: SessionSettings;
  /** To the other replicas over the same store; left out where there is one. It runs before the broker starts. */
  readonly bus?: Pick<Bus, 'send' | 'onMessage'>;
}

export class CloudBroker {
  readonly #options: CloudBrokerOptions;
  readonly #permissions: ClientPermissions;
  readonly #connections = new Connections();
  readonly #sessions: PersistentSessions;
  readonly #retained: RetainedMessages;
  readonly #replicas: Replicas;
  readonly #publications: Publications;
  readonly #handlers: ClientHandlers;
  readonly #life: ClientLife;
  #broker: Aedes | undefined;
  #server: Server | undefined;
  #closeSockets: () => void = () => {};
  #reviews: NodeJS.Timeout | undefined;

  constructor(options: CloudBrokerOptions) {
    const { store, shadows, jobs, logger } = options;
    this.#options = options;
    this.#permissions = new ClientPermissions(store, options.region, options.accountId);
    this.#sessions = new PersistentSessions(
      store.sessions,
      options.sessions ?? DEFAULT_SESSION_SETTINGS,
      logger,
    );
    this.#retained = new RetainedMessages(store.retained, logger);
    this.#replicas = new Replicas(options.bus, logger);
    this.#publications = new Publications(this.#sessions, this.#retained, this.#replicas);
    const parts = { permissions: this.#permissions, connections: this.#connections, logger };
    this.#handlers = new ClientHandlers({
      ...parts,
      ...{ sessions: this.#sessions, publications: this.#publications, shadows },
      ...(jobs ? { jobs } : {}),
    });
    this.#life = new ClientLife({
      ...parts,
      ...{ sessions: this.#sessions, replicas: this.#replicas },
      publish: (topic, payload) => this.#publishOwn(topic, payload),
    });
  }

  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address ? address.port : this.#options.port;
  }

  /** Connections that are open, and messages that were dropped because a session's queue was full. */
  get counts(): { readonly connections: number; readonly droppedMessages: number } {
    return { connections: this.#connections.size, droppedMessages: this.#sessions.droppedMessages };
  }

  async start(): Promise<void> {
    const { host, port, logger, shadows, jobs, bus } = this.#options;
    this.#broker = await this.#createBroker();
    const loaded = this.#sessions.start(
      bus && ((notice) => this.#replicas.tell({ kind: 'session', ...notice })),
    );
    this.#replicas.listen(
      {
        onPublication: (publication) => this.#deliver(publication),
        onNotice: (notice) => this.#follow(notice),
      },
      loaded,
    );
    shadows.publishTo((topic, payload) => this.#publishOwn(topic, payload));
    jobs?.publishTo((topic, payload) => this.#publishOwn(topic, payload));
    const server = this.#createServer();
    this.#server = server;
    this.#closeSockets = followSockets(server);
    try {
      await loaded;
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, resolve);
      });
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#reviews = setInterval(() => {
      this.#review().catch((error: Error) =>
        logger.error({ reason: error.message }, 'Policies of connected clients could not be read again.'),
      );
    }, REVIEW_INTERVAL_MS);
    this.#reviews.unref();
  }

  async stop(): Promise<void> {
    const { broker, server } = { broker: this.#broker, server: this.#server };
    clearInterval(this.#reviews);
    this.#connections.endAll('SERVER_INITIATED_DISCONNECT');
    this.#broker = undefined;
    this.#server = undefined;
    const closed = server?.listening && new Promise<void>((resolve) => server.close(() => resolve()));
    if (broker) await new Promise<void>((resolve) => broker.close(() => resolve()));
    this.#closeSockets();
    await closed;
    await this.#handlers.idle();
    await this.#sessions.stop();
  }

  /** Publishes as the service itself. Resolves when nothing of it can be lost any more. */
  async publish(topic: string, payload: Buffer, qos: 0 | 1, retain = false): Promise<void> {
    if (!this.#broker) throw new Error('the broker is not running');
    await this.#publications.take({ topic, payload, qos, retain });
    await this.#route(topic, payload, qos);
  }

  /** Cuts every connection that was made with the certificate: it is no longer ACTIVE. Its wills are not published. */
  disconnectCertificate(certificateId: string): void {
    this.#disconnect(certificateId);
    this.#tell({ kind: 'disconnectCertificate', certificateId });
  }

  /**
   * Reads policies and certificates of connections again: of all, or of those that were made with the certificate. It
   * happens by itself now and then; after a change of a policy, ask for it.
   */
  async review(certificateId?: string): Promise<void> {
    this.#tell({ kind: 'review', certificateId });
    await this.#review(certificateId);
  }

  /** Serves a TLS connection that was accepted elsewhere; its handshake asked for a client certificate. */
  accept(socket: TLSSocket): void {
    void this.#accept(socket);
  }

  async #createBroker(): Promise<Aedes> {
    const { logger } = this.#options;
    const handlers = this.#handlers;
    const failed = (client: Client, error: Error) =>
      logger.error({ clientId: client.id, reason: error.message }, 'Connect could not be checked.');
    const broker = await Aedes.createBroker({
      // Unlimited: with a limit, one client that does not read holds up the messages of all others.
      concurrency: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      maxClientsIdLength: Number.POSITIVE_INFINITY,
      persistence: new SessionPersistence(this.#sessions, this.#retained),
      preConnect: (client, packet, done) => {
        const problem = handlers.preConnectProblem(client, packet);
        done(problem === undefined ? null : new Error(problem), problem === undefined);
      },
      authenticate: (client, _user, _password, done) => {
        handlers.mayConnect(client).then(
          (allowed) => done(null, allowed),
          (error: Error) => {
            failed(client, error);
            done(null, false);
          },
        );
      },
      authorizePublish: (client, packet, done) => {
        handlers.takePublish(client, packet).then(() => done(null), done);
      },
      authorizeSubscribe: (client, subscription, done) => {
        handlers.maySubscribe(client, subscription).then((granted) => done(null, granted), done);
      },
      authorizeForward: (client, packet) => handlers.forward(client, packet),
    });
    numberAtEmission(broker);
    this.#life.follow(broker, (client) => forgetClosedClient(broker, client));
    broker.on('unsubscribe', (filters, client) => handlers.unsubscribed(client, filters));
    const events: EventEmitter = broker;
    events.on('error', (error: Error) => logger.error({ reason: error.message }, 'Broker failed at a task.'));
    broker.on('connectionError', (_client, error) =>
      logger.debug({ reason: error.message }, 'Connection failed.'),
    );
    return broker;
  }

  #createServer(): Server {
    const server = createServer(deviceTlsOptions(this.#options.tls, ['x-amzn-mqtt-ca', 'mqtt']));
    server.on('secureConnection', (socket) => this.accept(socket));
    server.on('tlsClientError', (error, socket) => {
      // Node.js leaves a handshake that took too long open.
      socket.destroy();
      this.#options.logger.debug({ reason: error.message }, 'TLS handshake failed.');
    });
    return server;
  }

  async #accept(socket: TLSSocket): Promise<void> {
    socket.on('error', destroySocket);
    const certificateId = peerCertificateId(socket);
    const connection = new Connection(certificateId ?? 'none', socket);
    // Known before the registry is asked: a certificate that is deactivated meanwhile cuts this one too.
    this.#connections.add(connection);
    socket.once('close', () => this.#connections.remove(connection));
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
    beforeEachPacket(this.#broker.handle(new ClientStream(connection)), this.#inspect);
  }

  /** One function for all connections. */
  readonly #inspect = this.#newInspector();

  #newInspector() {
    const inspect: ClientHandlers['inspect'] = (client, packet) => this.#handlers.inspect(client, packet);
    return function onPacket(this: { readonly client: Client }, packet: Parameters<typeof inspect>[1]): void {
      inspect(this.client, packet);
    };
  }

  /** Nobody gets in while the registry can't be asked. */
  #isActive(certificateId: string): Promise<boolean> {
    return isActive(this.#options.store, certificateId).catch((error: Error) => {
      this.#options.logger.error({ certificateId, reason: error.message }, 'Registry could not be asked.');
      return false;
    });
  }

  async #review(certificateId?: string): Promise<void> {
    let count = 0;
    for (const connection of this.#connections) {
      if (certificateId !== undefined && connection.certificateId !== certificateId) continue;
      if (await isActive(this.#options.store, connection.certificateId)) {
        await this.#permissions.refresh(connection);
      } else {
        revoke(connection);
      }
      if (++count % REVIEWED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #disconnect(certificateId: string): void {
    for (const connection of this.#connections)
      if (connection.certificateId === certificateId) revoke(connection);
  }

  /** To the clients of this replica. */
  #route(topic: string, payload: Buffer, qos: 0 | 1): Promise<void> {
    const packet: PublishPacket = { cmd: 'publish', topic, payload, qos, retain: false, dup: false };
    return new Promise((resolve, reject) => {
      if (!this.#broker) resolve();
      else this.#broker.publish(packet, (error?: Error) => (error ? reject(error) : resolve()));
    });
  }

  /** Shadow answers and events; those that come after the end have nobody to go to. */
  #publishOwn(topic: string, payload: Buffer): void {
    this.publish(topic, payload, 1).catch((error: Error) =>
      this.#options.logger.debug(
        { topic, reason: error.message },
        'A message of the service was not published.',
      ),
    );
  }

  #deliver({ topic, payload, qos, enqueued }: ReplicaPublication): void {
    const stored = enqueued ? this.#sessions.deliver(enqueued, topic, payload) : Promise.resolve();
    Promise.all([stored, this.#route(topic, payload, qos)]).catch((error: Error) =>
      this.#options.logger.error(
        { topic, reason: error.message },
        'A message of a replica was not delivered.',
      ),
    );
  }

  #follow(notice: ReplicaNotice): void {
    if (notice.kind === 'disconnectCertificate') this.#disconnect(notice.certificateId);
    else if (notice.kind === 'session') this.#sessions.take(notice);
    else if (notice.kind === 'connected') this.#life.connectedElsewhere(notice);
    else
      this.#review(notice.certificateId).catch((error: Error) =>
        this.#options.logger.error({ reason: error.message }, 'Policies could not be read again.'),
      );
  }

  #tell(notice: ReplicaNotice): void {
    this.#replicas
      .tell(notice)
      .catch((error: Error) =>
        this.#options.logger.error({ reason: error.message }, 'Other replicas were not told.'),
      );
  }
}

function destroySocket(this: TLSSocket): void {
  this.destroy();
}

function revoke(connection: Connection): void {
  connection.isRevoked = true;
  connection.end('AUTH_ERROR');
}
