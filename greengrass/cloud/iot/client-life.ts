/** From CONNECT to the end: the outbox of a persistent session, lifecycle events, and word to the other replicas. */
import type { Aedes, Client } from 'aedes';
import type { Logger } from '../../lib/log.js';
import type { ClientPermissions } from './client-permissions.js';
import { type ClientStream, connectionOf, streamOf } from './client-stream.js';
import type { Connection } from './connection.js';
import type { Connections } from './connections.js';
import { LifecycleEvents } from './lifecycle-events.js';
import type { PersistentSessions } from './persistent-sessions.js';
import { encodePublish } from './publish-frame.js';
import type { ReplicaNotice, Replicas } from './replicas.js';
import type { OutboxPeer } from './session-outbox.js';

/** While so much is unread the queue of a session waits in the store. */
const CONGESTED_BYTES = 256 * 1024;
const REFUSED = 128;
/** Said by aedes of a connection that is gone, or that it cut for not reading. */
const LOST = /^(?:connection closed|drain timeout|premature close)$/i;

export interface ClientLifeParts {
  readonly permissions: ClientPermissions;
  readonly connections: Connections;
  readonly sessions: PersistentSessions;
  readonly replicas: Replicas;
  readonly logger: Logger;
  readonly publish: (topic: string, payload: Buffer) => void;
}

export class ClientLife {
  readonly #parts: ClientLifeParts;
  readonly #events: LifecycleEvents;

  constructor(parts: ClientLifeParts) {
    this.#parts = parts;
    this.#events = new LifecycleEvents(parts.publish);
  }

  /** `forget`: takes a client out that was registered although it is closed. */
  follow(broker: Aedes, forget: (client: Client) => void): void {
    const { logger } = this.#parts;
    broker.on('client', (client) => {
      const stream = streamOf(client);
      if (client.closed || !stream) forget(client);
      else this.#registered(stream);
    });
    broker.on('clientReady', (client) => {
      const connection = connectionOf(client);
      if (connection?.isRegistered) this.#ready(connection);
    });
    broker.on('clientDisconnect', (client) => {
      const connection = connectionOf(client);
      if (connection?.isRegistered) this.#ended(connection);
    });
    broker.on('keepaliveTimeout', (client) => {
      const connection = connectionOf(client);
      if (connection) connection.endReason ??= 'MQTT_KEEP_ALIVE_TIMEOUT';
    });
    broker.on('clientError', (client, error) => {
      logger.info({ clientId: client.id, reason: error.message }, 'Client connection failed.');
      const connection = connectionOf(client);
      const isClients = !('code' in error) && !LOST.test(error.message);
      if (connection && isClients) connection.endReason ??= 'CLIENT_ERROR';
    });
    broker.on('subscribe', (subscriptions, client) => {
      const connection = connectionOf(client);
      const granted = subscriptions.filter(({ qos }) => Number(qos) !== REFUSED);
      if (connection)
        this.#events.subscribed(
          connection,
          granted.map(({ topic }) => topic),
        );
    });
    broker.on('unsubscribe', (filters, client) => {
      const connection = connectionOf(client);
      // At its end a connection unsubscribes by itself, of which nobody is told.
      if (connection && !client.closed) this.#events.unsubscribed(connection, filters);
    });
  }

  connectedElsewhere(notice: Extract<ReplicaNotice, { kind: 'connected' }>): void {
    this.#parts.connections.endOlder(notice.clientId, notice);
    this.#events.remember(notice.clientId, notice.versionNumber);
  }

  #registered(stream: ClientStream): void {
    const { connection } = stream;
    connection.isRegistered = true;
    if (connection.isPersistent)
      connection.outbox = this.#parts.sessions.attach(
        new Peer(stream, connection.clientId ?? '', this.#parts.permissions),
      );
  }

  #ready(connection: Connection): void {
    const { clientId = '', connectedAt, sessionIdentifier } = connection;
    this.#parts.logger.info({ clientId }, 'Client connected.');
    connection.isReady = true;
    connection.versionNumber = this.#events.nextVersion(clientId);
    const { versionNumber } = connection;
    this.#parts.replicas
      .tell({ kind: 'connected', clientId, connectedAt, sessionIdentifier, versionNumber })
      .catch((error: Error) =>
        this.#parts.logger.error({ clientId, reason: error.message }, 'Other replicas were not told.'),
      );
    this.#events.connected(connection);
    connection.outbox?.start();
  }

  #ended(connection: Connection): void {
    const { clientId = '', outbox, versionNumber } = connection;
    connection.isRegistered = false;
    if (outbox) this.#parts.sessions.detach(clientId, outbox);
    connection.outbox = undefined;
    if (connection.isReady) {
      this.#parts.logger.info({ clientId, reason: connection.endReason }, 'Client disconnected.');
      this.#events.remember(clientId, versionNumber);
      this.#events.disconnected(connection);
    }
    this.#parts.connections.release(connection);
  }
}

class Peer implements OutboxPeer {
  constructor(
    private readonly stream: ClientStream,
    readonly clientId: string,
    private readonly permissions: ClientPermissions,
  ) {}

  send(frame: Parameters<OutboxPeer['send']>[0]): void {
    this.stream.write(encodePublish(frame));
  }

  mayReceive(topic: string): boolean {
    return this.permissions.mayReceive(this.stream.connection, topic);
  }

  isCongested(drained: () => void): boolean {
    if (this.stream.unreadBytes <= CONGESTED_BYTES) return false;
    if (!this.stream.listeners('drain').includes(drained)) this.stream.once('drain', drained);
    return true;
  }

  fail(): void {
    this.stream.connection.end('SERVER_ERROR');
  }
}
