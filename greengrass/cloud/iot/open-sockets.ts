import type { Socket } from 'node:net';
import type { Server } from 'node:tls';

/**
 * Follows the sockets of a TLS server from their first byte on. Answers how to end them all: `close()` alone waits for
 * each, and for those that never finish their handshake until its time-out.
 */
export function followSockets(server: Server): () => void {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return () => {
    for (const socket of open) socket.destroy();
  };
}
