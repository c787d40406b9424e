/**
 * The local MQTT server (V1's GGConnManager): TLS here, the protocol in device-connection.ts, sessions in sessions.ts.
 * It distributes nothing by itself: what a device publishes goes to `onPublish`, what a device receives comes through
 * `endpoint`.
 */
import type { Logger } from '../../lib/log.js';
import type { RefusedDevice } from '../../model/device-list.js';
import type { GroupMember } from '../../model/group.js';
import { MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import type { Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import { DeviceList } from './device-auth.js';
import { type Broker, DeviceConnection } from './device-connection.js';
import type { DeviceDoor, Peer, ServerCredentials } from './device-door.js';
import { DeviceEndpoint } from './device-endpoint.js';
import type { DeviceStream, StreamListener } from './device-stream.js';
import { KnownTopics } from './known-topics.js';
import { openNodeDoor } from './node-door.js';
import { Outgoing } from './outgoing.js';
import { Sessions } from './sessions.js';
import { hasLane, openLaneDoor } from './tls-lane/tls-lane.js';
import { TurnWriter } from './turn-writer.js';
import { WaitingRoom } from './waiting-room.js';

/** Largest packet: a message, its topic, headers. SUBSCRIBE packets stay far below. */
const MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 16;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;
const STUCK_MS = 10_000;
/** Connections of known devices that have not sent their CONNECT. */
const MAX_WAITING = { all: 1024, ofEach: 32 };
/** How exact keep-alive times are. */
const SILENCE_CHECK_MS = 500;

export type { ServerCredentials } from './device-door.js';

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
  /** Sockets by Node.js also where those in C are to be had. */
  readonly withoutLane?: boolean;
  /** For tests: how long a device may take nothing while publishers wait for it. */
  readonly stuckMs?: number;
  readonly logger: Logger;
}

/** Hears of a stream that is refused. */
const NOBODY: StreamListener = { received() {}, written() {}, closed() {} };

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
  /** Those without a CONNECT yet. */
  readonly #waiting = new WaitingRoom<DeviceConnection>(MAX_WAITING, (connection) =>
    connection.close('others of its certificate, or too many, came after it'),
  );
  #members: readonly GroupMember[] = [];
  #refused: readonly RefusedDevice[] = [];
  #devices = new DeviceList([]);
  #door: DeviceDoor | undefined;
  #silenceCheck: NodeJS.Timeout | undefined;
  #starting: Promise<void> | undefined;
  #checkedAt = 0;
  #isLate = false;

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
      stuckMs: options.stuckMs ?? STUCK_MS,
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
        this.#waiting.leave(connection);
        this.#connections.get(connection.clientId)?.close('the client id connected again');
        this.#connections.set(connection.clientId, connection);
      },
      gone: (connection) => {
        this.#waiting.leave(connection);
        this.#all.delete(connection);
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
    return this.#door?.port ?? this.#options.port;
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
    const { port, host, logger, withoutLane } = this.#options;
    const options = {
      credentials: this.#options.certificate(),
      onArrival: (stream: DeviceStream, peer: Peer) => this.#accept(stream, peer),
      onFailedHandshake: (reason: string) => logger.debug({ reason }, 'TLS handshake failed.'),
      inTurn: (work: () => void) => this.#broker.writer.turn(work),
      handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    };
    this.#sessions.start();
    const open = withoutLane || !hasLane() ? openNodeDoor : openLaneDoor;
    this.#door = await open({ port, host }, options);
    this.#checkedAt = performance.now();
    this.#silenceCheck = setInterval(() => this.#checkSilence(), SILENCE_CHECK_MS);
    this.#silenceCheck.unref();
    logger.info({ port: this.port }, 'MQTT server started.');
  }

  async stop(): Promise<void> {
    await this.#starting?.catch(() => undefined);
    this.#starting = undefined;
    const door = this.#door;
    this.#door = undefined;
    clearInterval(this.#silenceCheck);
    const closed = door?.close();
    for (const connection of this.#all) connection.abandon();
    await closed;
    this.#sessions.stop();
  }

  health(): Health {
    return this.#door
      ? { healthy: true }
      : { healthy: false, reason: 'not started: there is no server certificate yet' };
  }

  /** New members of the group. Devices that are no longer among them are cut; the others never notice. */
  setGroup({ devices }: { devices: readonly GroupMember[] }): void {
    const before = this.#devices;
    this.#members = devices;
    this.#devices = new DeviceList(devices, this.#refused);
    this.#cutOthers('Device left the group; its connection was closed.');
    // One group longer: a deployment that is rolled back brings its devices back.
    if (this.#door) this.#sessions.keepOnly((id) => this.#devices.has(id) || before.has(id));
  }

  /** Devices of the group that have lost their right since it was deployed: cut at once, their sessions forgotten. */
  setRefused(refused: readonly RefusedDevice[]): void {
    this.#refused = refused;
    const before = this.#devices;
    this.#devices = new DeviceList(this.#members, refused);
    this.#cutOthers('Device has lost its right in the cloud; its connection was closed.');
    if (this.#door) this.#sessions.keepOnly((id) => this.#devices.has(id) || !before.has(id));
  }

  #cutOthers(text: string): void {
    for (const connection of this.#connections.values()) {
      const { certificateId, clientId } = connection;
      if (this.#devices.identify(certificateId, clientId) !== undefined) continue;
      this.#options.logger.info({ clientId }, text);
      connection.close('the device may no longer connect');
    }
  }

  /** New certificate for connections to come; the open ones go on. */
  reloadCertificate(): void {
    this.#door?.setCredentials(this.#options.certificate());
  }

  #accept(stream: DeviceStream, { certificateId, notAfter, remoteAddress }: Peer): void {
    const isKnown = certificateId !== undefined && this.#devices.knows(certificateId);
    // Not its beginning: a core without a clock of its own starts in the past.
    const hasExpired = notAfter !== undefined && notAfter < Date.now();
    if (!isKnown || hasExpired || !this.#door) {
      this.#options.logger.warn(
        { remoteAddress, certificateId: certificateId ?? 'none' },
        isKnown && hasExpired
          ? `Connection refused: the certificate of the device has expired on ${new Date(notAfter).toUTCString()}.`
          : 'Connection refused: the certificate belongs to no device of the group.',
      );
      stream.listen(NOBODY);
      stream.destroy();
      return;
    }
    const connection = new DeviceConnection(stream, certificateId, this.#broker);
    this.#all.add(connection);
    this.#waiting.enter(connection, certificateId);
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
    // No clock that jumps: a device would be cut off for a silence that never was.
    const now = performance.now();
    // The process stood still: what came meanwhile has not been read. Once: one that is always late still has to look.
    this.#isLate = !this.#isLate && now - this.#checkedAt > 2 * SILENCE_CHECK_MS;
    this.#checkedAt = now;
    if (this.#isLate) return;
    this.#door?.sweep();
    for (const connection of this.#all) connection.checkSilence(now);
  }
}
