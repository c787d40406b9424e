/** Listens for the workers' HTTP: connections, their number and their time. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { HttpCall } from './http-call.js';
import { HttpConnection } from './http-connection.js';

/** Connections at once. Where there are more, the oldest one goes that has no call in progress, else the new one. */
const MAX_CONNECTIONS = 2048;
/** How often connections are looked at that take too long. */
const SWEEP_S = 5;

export interface HttpServerOptions {
  readonly handle: (call: HttpCall) => void;
  readonly maxConnections?: number;
}

export class HttpServer {
  readonly #server: Server;
  /** In the order in which they came. */
  readonly #connections = new Set<HttpConnection>();
  readonly #maxConnections: number;
  #seconds = 0;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(private readonly options: HttpServerOptions) {
    this.#maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** 0 picks a free port. */
  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => {});
        resolve();
      });
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo | null)?.port ?? 0;
  }

  /** Ends all connections. */
  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const { socket } of this.#connections) socket.destroy();
    return closed;
  }

  /** `seconds` went by. */
  sweep(seconds: number): void {
    this.#seconds += seconds;
    for (const connection of this.#connections) connection.sweep();
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= this.#maxConnections && !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    const connection = new HttpConnection(socket, { handle: this.options.handle, now: () => this.#seconds });
    this.#connections.add(connection);
    this.#sweeper ??= setInterval(() => this.sweep(SWEEP_S), SWEEP_S * 1000).unref();
    socket.on('close', () => {
      this.#connections.delete(connection);
      if (this.#connections.size > 0) return;
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
    });
  }

  #makeRoom(): boolean {
    for (const connection of this.#connections) {
      if (!connection.isIdle) continue;
      this.#connections.delete(connection);
      connection.socket.destroy();
      return true;
    }
    return false;
  }
}
