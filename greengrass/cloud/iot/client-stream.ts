/** A connection as aedes sees it: packets are measured before they are buffered, and it leads back to what we know of it. */
import type { Client } from 'aedes';
import { PacketGuard } from '../../lib/packet-guard.js';
import { MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES } from '../../model/topic.js';
import type { Connection } from './connection.js';

const MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 16;

export class ClientStream extends PacketGuard {
  constructor(readonly connection: Connection) {
    super(connection.socket, MAX_PACKET_BYTES);
  }

  /** Bytes that were sent and that the peer has not taken yet, as far as they wait in this process. */
  get unreadBytes(): number {
    return this.writableLength + this.connection.socket.writableLength;
  }
}

export function streamOf(client: Client): ClientStream | undefined {
  return client.conn instanceof ClientStream ? client.conn : undefined;
}

export function connectionOf(client: Client): Connection | undefined {
  return streamOf(client)?.connection;
}
