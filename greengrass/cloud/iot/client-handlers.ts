/** What clients ask for and what becomes of them: aedes' questions and events, answered by AWS IoT's rules. */
import type { AedesPublishPacket, Client, ConnectPacket, PublishPacket, Subscription } from 'aedes';
import type { Logger } from '../../lib/log.js';
import { filterMatches, parseShadowTopic } from '../../model/topic.js';
import { type InboundPacket, payloadOf } from './aedes-internals.js';
import type { ClientPermissions, Refusal } from './client-permissions.js';
import { connectionOf, streamOf } from './client-stream.js';
import type { Connection } from './connection.js';
import type { Connections } from './connections.js';
import type { CloudJobs } from './jobs/cloud-jobs.js';
import { keepAliveFor, subscribeProblem, willProblem } from './limits.js';
import type { PersistentSessions } from './persistent-sessions.js';
import type { Publications } from './publications.js';
import { SESSION_MARK } from './session-persistence.js';
import type { CloudShadows } from './shadows.js';

/** A client that leaves so much unread is cut; what was for its persistent session stays there. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

export interface HandlerParts {
  readonly permissions: ClientPermissions;
  readonly connections: Connections;
  readonly sessions: PersistentSessions;
  readonly publications: Publications;
  readonly shadows: CloudShadows;
  /** Absent: requests for jobs are taken and not answered. */
  readonly jobs?: CloudJobs;
  readonly logger: Logger;
}

export class ClientHandlers {
  readonly #parts: HandlerParts;
  readonly #taking = new Set<Promise<void>>();

  constructor(parts: HandlerParts) {
    this.#parts = parts;
  }

  /** Resolves when every publication that was begun is through. */
  async idle(): Promise<void> {
    while (this.#taking.size > 0) await Promise.allSettled(this.#taking);
  }

  /** Each packet before it is handled. Where it ends the connection, what aedes does with it has no effect. */
  inspect(client: Client, packet: InboundPacket): void {
    const connection = connectionOf(client);
    if (!connection) return;
    if (packet.cmd === 'disconnect') connection.endReason ??= 'CLIENT_INITIATED_DISCONNECT';
    if (packet.cmd === 'connect' && connection.clientId !== undefined) connection.end('CLIENT_ERROR');
    if (packet.cmd !== 'subscribe') return;
    const problem = subscribeProblem(packet.subscriptions, connection.filters);
    if (problem) {
      packet.subscriptions = [];
      this.#refuse(connection, { reason: problem, isByPolicy: false }, 'Subscriptions refused.');
      return;
    }
    for (const subscription of packet.subscriptions) {
      // Said in the SUBACK too: QoS 2 is granted as 1.
      if (subscription.qos === 2) subscription.qos = 1;
      if (!connection.filters.has(subscription.topic))
        connection.holdFilter(subscription.topic, subscription.qos);
    }
  }

  /** Answers why the CONNECT can't be taken, or undefined. */
  preConnectProblem(client: Client, packet: ConnectPacket): string | undefined {
    const connection = connectionOf(client);
    if (!connection) return 'a connection is needed';
    if (!packet.clientId && !packet.clean) return 'a persistent session needs a client id';
    packet.keepalive = keepAliveFor(packet.keepalive);
    connection.isPersistent = packet.clean === false;
    return willProblem(packet.will);
  }

  async mayConnect(client: Client): Promise<boolean> {
    const connection = connectionOf(client);
    if (!connection) return false;
    const { permissions, connections, logger } = this.#parts;
    const refusal = await permissions.connectRefusal(connection, client.id);
    if (refusal) {
      const { certificateId } = connection;
      logger.warn({ clientId: client.id, certificateId, reason: refusal.reason }, 'Connect refused.');
      return false;
    }
    await connections.claim(client.id, connection);
    return connection.clientId !== undefined;
  }

  /** One after the other for a connection, so that they keep their order. Rejects where it ends the connection. */
  takePublish(client: Client | null, packet: PublishPacket): Promise<void> {
    const connection = client ? connectionOf(client) : undefined;
    if (!connection) return Promise.reject(new Error('a publication needs a connection'));
    const before = connection.publishing ?? Promise.resolve();
    const taken = before.then(() => this.#takePublish(connection, packet));
    const settled = taken
      .catch(() => {})
      .then(() => {
        this.#taking.delete(settled);
        if (connection.publishing === settled) connection.publishing = undefined;
      });
    connection.publishing = settled;
    this.#taking.add(settled);
    return taken;
  }

  async maySubscribe(client: Client, subscription: Subscription): Promise<Subscription | null> {
    const connection = connectionOf(client);
    const { topic: filter } = subscription;
    if (!connection || filter === SESSION_MARK) return null;
    const { permissions, sessions, logger } = this.#parts;
    const refusal = await permissions.subscribeRefusal(connection, filter);
    if (refusal) {
      logger.warn({ clientId: client.id, filter, reason: refusal.reason }, 'Subscription refused.');
      connection.filters.delete(filter);
      if (connection.isPersistent) await sessions.unsubscribe(client.id, [filter]);
      return null;
    }
    const qos = subscription.qos === 0 ? 0 : 1;
    connection.holdFilter(filter, qos);
    if (connection.isPersistent) await sessions.subscribe(client.id, filter, qos);
    return { ...subscription, qos };
  }

  /** What goes out to the client, or null. */
  forward(client: Client, packet: AedesPublishPacket): AedesPublishPacket | null {
    const stream = streamOf(client);
    const connection = stream?.connection;
    if (!connection || !this.#parts.permissions.mayReceive(connection, packet.topic)) return null;
    if (stream.unreadBytes > MAX_UNREAD_BYTES) {
      this.#parts.logger.warn({ clientId: client.id }, 'Client does not read; its connection was cut.');
      connection.end('SERVER_INITIATED_DISCONNECT');
      return null;
    }
    if (!packet.retain && (!connection.isPersistent || packet.qos === 0)) return packet;
    const qos = packet.qos === 0 ? 0 : qosOf(connection, packet.topic);
    if (packet.retain) return retainedFor(connection, packet, qos);
    // The outbox of the session sends it.
    return qos > 0 ? null : packet;
  }

  unsubscribed(client: Client, filters: readonly string[]): void {
    const connection = connectionOf(client);
    for (const filter of filters) connection?.filters.delete(filter);
  }

  async #takePublish(connection: Connection, packet: PublishPacket): Promise<void> {
    // A will, which has no packet of its own, is published whatever ended the connection.
    if (connection.isRefused && 'cmd' in packet) throw new Error('the connection has ended');
    const { permissions, publications, shadows, jobs, logger } = this.#parts;
    const { topic, qos, retain } = packet;
    const payload = payloadOf(packet);
    const bytes = payload.length;
    const refusal = await permissions.publishRefusal(connection, { topic, qos, retain, bytes });
    if (refusal) {
      this.#refuse(connection, refusal, 'Publish refused.', topic);
      throw new Error(refusal.reason);
    }
    // Retained messages are kept by us; who is subscribed already gets it as an ordinary one [MQTT-3.3.1-9].
    packet.retain = false;
    try {
      await publications.take({ topic, payload, qos: qos === 0 ? 0 : 1, retain });
      const request = parseShadowTopic(topic);
      if (request) await shadows.run(request.key, request.operation, payload);
      await jobs?.take(topic, payload);
    } catch (error) {
      logger.error({ topic, reason: (error as Error).message }, 'A publication could not be taken.');
      connection.end('SERVER_ERROR');
      throw error;
    }
  }

  #refuse(connection: Connection, { reason, isByPolicy }: Refusal, what: string, topic?: string): void {
    this.#parts.logger.warn({ clientId: connection.clientId, topic, reason }, what);
    connection.isRefused = true;
    connection.end(isByPolicy ? 'AUTH_ERROR' : 'CLIENT_ERROR');
  }
}

/** The highest QoS of the connection's subscriptions that take the topic. */
function qosOf({ filters }: Connection, topic: string): 0 | 1 {
  for (const [filter, qos] of filters) if (qos > 0 && filterMatches(filter, topic, 'included')) return 1;
  return 0;
}

function retainedFor(
  connection: Connection,
  packet: AedesPublishPacket,
  qos: 0 | 1,
): AedesPublishPacket | null {
  if (!connection.isPersistent || qos === 0) return { ...packet, qos };
  const messageId = connection.outbox?.reserveId();
  return messageId === undefined ? null : { ...packet, qos, messageId };
}
