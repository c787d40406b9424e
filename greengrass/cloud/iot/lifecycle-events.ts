/**
 * Lifecycle events as AWS IoT publishes them: who connected and disconnected, who subscribed to what. A connection's
 * version number is one more than that of the connection before under the same client id, and starts again at 0 after
 * an hour without one.
 */
import type { Connection, DisconnectReason } from './connection.js';

const FORGOTTEN_AFTER_MS = 60 * 60 * 1000;
/** Client ids that are away whose number is remembered; of more, the longest away start again at 0. */
const MAX_REMEMBERED = 100_000;

interface LastVersion {
  readonly versionNumber: number;
  readonly endedAt: number;
}

export class LifecycleEvents {
  readonly #last = new Map<string, LastVersion>();

  constructor(private readonly publish: (topic: string, payload: Buffer) => void) {}

  /** The version number of a connection that begins now. */
  nextVersion(clientId: string): number {
    const last = this.#last.get(clientId);
    this.#last.delete(clientId);
    return last && Date.now() - last.endedAt < FORGOTTEN_AFTER_MS ? last.versionNumber + 1 : 0;
  }

  /** The client id had a connection with this number, here or at another replica. */
  remember(clientId: string, versionNumber: number): void {
    this.#last.delete(clientId);
    this.#last.set(clientId, { versionNumber, endedAt: Date.now() });
    for (const [oldest, { endedAt }] of this.#last) {
      if (this.#last.size <= MAX_REMEMBERED && Date.now() - endedAt < FORGOTTEN_AFTER_MS) break;
      this.#last.delete(oldest);
    }
  }

  connected(connection: Connection): void {
    const ipAddress = connection.socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '');
    this.#tell('presence', 'connected', connection, {
      ...(ipAddress === undefined ? {} : { ipAddress }),
      versionNumber: connection.versionNumber,
    });
  }

  disconnected(connection: Connection): void {
    const disconnectReason: DisconnectReason = connection.endReason ?? 'CONNECTION_LOST';
    this.#tell('presence', 'disconnected', connection, {
      clientInitiatedDisconnect: disconnectReason === 'CLIENT_INITIATED_DISCONNECT',
      disconnectReason,
      versionNumber: connection.versionNumber,
    });
  }

  subscribed(connection: Connection, topics: readonly string[]): void {
    if (topics.length > 0) this.#tell('subscriptions', 'subscribed', connection, { topics });
  }

  unsubscribed(connection: Connection, topics: readonly string[]): void {
    if (topics.length > 0) this.#tell('subscriptions', 'unsubscribed', connection, { topics });
  }

  #tell(family: string, eventType: string, connection: Connection, members: object): void {
    const { clientId = '', sessionIdentifier, certificateId } = connection;
    const event = {
      ...{ clientId, timestamp: Date.now(), eventType },
      ...{ sessionIdentifier, principalIdentifier: certificateId, ...members },
    };
    this.publish(`$aws/events/${family}/${eventType}/${clientId}`, Buffer.from(JSON.stringify(event)));
  }
}
