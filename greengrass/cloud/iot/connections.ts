/** All connections of this replica; those that said CONNECT by their client id, of which there is one at a time. */
import type { Connection, DisconnectReason } from './connection.js';

export class Connections {
  readonly #all = new Set<Connection>();
  readonly #byClientId = new Map<string, Connection>();

  get size(): number {
    return this.#all.size;
  }

  add(connection: Connection): void {
    this.#all.add(connection);
  }

  /** The socket is closed. */
  remove(connection: Connection): void {
    this.#all.delete(connection);
    if (!connection.isRegistered) this.release(connection);
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#all.values();
  }

  byClientId(clientId: string): Connection | undefined {
    return this.#byClientId.get(clientId);
  }

  /** Gives the client id to the connection; one that had it is ended, and its end waited for [MQTT-3.1.4-2]. */
  async claim(clientId: string, connection: Connection): Promise<void> {
    for (;;) {
      const older = this.#byClientId.get(clientId);
      if (!older) break;
      older.end('DUPLICATE_CLIENTID');
      await older.gone();
    }
    if (connection.socket.destroyed) return;
    connection.clientId = clientId;
    connection.begin();
    this.#byClientId.set(clientId, connection);
  }

  /** The client id is free again. */
  release(connection: Connection): void {
    const { clientId } = connection;
    if (clientId !== undefined && this.#byClientId.get(clientId) === connection)
      this.#byClientId.delete(clientId);
    connection.tellGone();
  }

  /** Another replica has a newer connection of this client id. */
  endOlder(clientId: string, newer: Pick<Connection, 'connectedAt' | 'sessionIdentifier'>): void {
    const own = this.#byClientId.get(clientId);
    if (!own) return;
    const isOlder =
      own.connectedAt < newer.connectedAt ||
      (own.connectedAt === newer.connectedAt && own.sessionIdentifier < newer.sessionIdentifier);
    if (isOlder) own.end('DUPLICATE_CLIENTID');
  }

  endAll(reason: DisconnectReason): void {
    for (const connection of this.#all) connection.endReason ??= reason;
  }
}
