import type { Socket } from 'node:net';
import type { Server, TLSSocket } from 'node:tls';

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

/** A TLS server that listens. */
export class Listening {
  private constructor(
    private readonly server: Server,
    private readonly closeSockets: () => void,
  ) {}

  /** Rejects where the port can't be had. */
  static async on(server: Server, { port, host }: { port: number; host: string }): Promise<Listening> {
    const closeSockets = followSockets(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    return new Listening(server, closeSockets);
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  /** Serves a TLS connection that was accepted elsewhere. */
  accept(socket: TLSSocket): void {
    this.server.emit('secureConnection', socket);
  }

  /** Takes nobody any more and ends who is there. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.closeSockets();
    await closed;
  }
}
