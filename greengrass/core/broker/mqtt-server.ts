/**
 * The local MQTT server (V1's GGConnManager): TLS here, the protocol in device-connection.ts, sessions in sessions.ts.
 * It distributes nothing by itself: what a device publishes goes to `onPublish`, what a device receives comes through
 * `endpoint`.
 */
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Logger } from '../../lib/log.js';
import type { GroupMember } from '../../model/group.js';
import { MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import type { Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import { DeviceList } from './device-auth.js';
import { type Broker, DeviceConnection } from './device-connection.js';
import { DeviceEndpoint } from './device-endpoint.js';
import { KnownTopics } from './known-topics.js';
import { Outgoing } from './outgoing.js';
import { Sessions } from './sessions.js';
import { TurnWriter } from './turn-writer.js';

/** Largest packet: a message, its topic, headers. SUBSCRIBE packets stay far below. */
const MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 16;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** How exact keep-alive times are. */
const SILENCE_CHECK_MS = 500;

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
  /**
   * Makes durable what `onPublish` led to (that of `endpoint` among it), before the PUBACKs of a turn of the event loop go
   * out; answers the sources for whose messages that failed. Absent: only what this server itself keeps is made durable.
   */
  readonly settle?: () => ReadonlySet<string>;
  /** Database of the sessions that outlive their connection; absent: there are none. */
  readonly sessionsPath?: string;
  readonly logger: Logger;
}

export class MqttServer implements Component {
  readonly name = 'GGConnManager';
  /** Where the router delivers messages for devices. */
  readonly endpoint: Endpoint;
  readonly #options: MqttServerOptions;
  readonly #sessions: Sessions;
  readonly #broker: Broker;
  /** By client id. */
  readonly #connections = new Map<string, DeviceConnection>();
  readonly #all = new Set<DeviceConnection>();
  #devices = new DeviceList([]);
  #server: Server | undefined;
  #silenceCheck: NodeJS.Timeout | undefined;
  #starting: Promise<void> | undefined;

  constructor(options: MqttServerOptions) {
    const { logger, onPublish, settle } = options;
    this.#options = options;
    this.#sessions = new Sessions(options.sessionsPath, logger, () => this.#broker.writer.wake());
    const outgoing = new Outgoing();
    const endpoint = new DeviceEndpoint(this.#sessions, outgoing);
    this.endpoint = endpoint;
    this.#broker = {
      maxPacketBytes: MAX_PACKET_BYTES,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      sessions: this.#sessions,
      topics: new KnownTopics(),
      outgoing,
      writer: new TurnWriter(() => {
        outgoing.clear();
        return this.#broken(settle ? settle() : this.#settleAlone());
      }),
      logger,
      onPublish,
      identify: (certificateId, clientId) => this.#devices.identify(certificateId, clientId),
      entered: (connection) => {
        this.#connections.get(connection.clientId)?.close('the client id connected again');
        this.#connections.set(connection.clientId, connection);
      },
      left: (connection) => {
        if (this.#connections.get(connection.clientId) === connection) {
          this.#connections.delete(connection.clientId);
        }
      },
    };
  }

  /** The port that the server listens on; the configured one before it does. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address ? address.port : this.#options.port;
  }

  get connected(): number {
    return this.#connections.size;
  }

  /** Idempotent: a server that listens goes on. Throws DatabaseError where the sessions can't be read. */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { port, host, logger } = this.#options;
    const server = createServer({ ...this.#context(), requestCert: true, rejectUnauthorized: false });
    server.on('secureConnection', (socket) => this.#accept(socket));
    server.on('tlsClientError', (error) => logger.debug({ reason: error.message }, 'TLS handshake failed.'));
    this.#sessions.start();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.#server = server;
    this.#silenceCheck = setInterval(() => this.#checkSilence(), SILENCE_CHECK_MS);
    this.#silenceCheck.unref();
    logger.info({ port: this.port }, 'MQTT server started.');
  }

  async stop(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    this.#starting = undefined;
    const server = this.#server;
    this.#server = undefined;
    clearInterval(this.#silenceCheck);
    const closed = server ? new Promise<void>((resolve) => server.close(() => resolve())) : undefined;
    for (const connection of this.#all) connection.abandon();
    await closed;
    this.#sessions.stop();
  }

  health(): Health {
    return this.#server
      ? { healthy: true }
      : { healthy: false, reason: 'not started: there is no server certificate yet' };
  }

  /** New members of the group. Devices that are no longer among them are cut; the others never notice. */
  setGroup({ devices }: { devices: readonly GroupMember[] }): void {
    const before = this.#devices;
    this.#devices = new DeviceList(devices);
    for (const connection of this.#connections.values()) {
      const { certificateId, clientId } = connection;
      if (this.#devices.identify(certificateId, clientId) !== undefined) continue;
      this.#options.logger.info({ clientId }, 'Device left the group; its connection was closed.');
      connection.close('the device left the group');
    }
    // One group longer: a deployment that is rolled back brings its devices back.
    if (this.#server) this.#sessions.keepOnly((id) => this.#devices.has(id) || before.has(id));
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
    const certificate = socket.getPeerX509Certificate();
    const certificateId = certificate?.fingerprint256.replaceAll(':', '').toLowerCase();
    const isKnown = certificateId !== undefined && this.#devices.knows(certificateId);
    // Not its beginning: a core without a clock of its own starts in the past.
    const hasExpired = certificate !== undefined && Date.parse(certificate.validTo) < Date.now();
    if (!isKnown || hasExpired || !this.#server) {
      this.#options.logger.warn(
        { remoteAddress: socket.remoteAddress, certificateId: certificateId ?? 'none' },
        isKnown && hasExpired
          ? `Connection refused: the certificate of the device has expired on ${certificate.validTo}.`
          : 'Connection refused: the certificate belongs to no device of the group.',
      );
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const connection = new DeviceConnection(socket, certificateId, this.#broker);
    this.#all.add(connection);
    socket.once('close', () => this.#all.delete(connection));
  }

  #settleAlone(): ReadonlySet<string> {
    if (this.#sessions.settle()) return new Set();
    return new Set([...this.#connections.values()].map(({ source }) => source));
  }

  /** Adds those whose own session could not be written. */
  #broken(failed: ReadonlySet<string>): ReadonlySet<string> {
    const broken = this.#sessions.takeBroken();
    if (broken.size === 0) return failed;
    return new Set([...failed, ...[...broken].map((id) => this.#connections.get(id)?.source ?? '')]);
  }

  #checkSilence(): void {
    const now = Date.now();
    for (const connection of this.#all) connection.checkSilence(now);
  }
}
