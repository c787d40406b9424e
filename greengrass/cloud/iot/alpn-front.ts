/**
 * Port 443 of AWS IoT: one TLS listener for MQTT and HTTPS, which the client tells apart by ALPN. A client that names
 * another protocol is refused in the handshake, one that names none afterwards.
 */
import { createServer, type TLSSocket } from 'node:tls';
import type { Logger } from '../../lib/log.js';
import { Listening } from './open-sockets.js';
import { deviceTlsOptions } from './tls-options.js';

const MQTT = 'x-amzn-mqtt-ca';
const HTTP = 'x-amzn-http-ca';

/** Serves a TLS connection whose handshake is done. */
export interface SocketAcceptor {
  accept(socket: TLSSocket): void;
}

export interface AlpnFrontOptions {
  readonly tls: { readonly certPem: string; readonly keyPem: string };
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Both must run as long as this one does. */
  readonly mqtt: SocketAcceptor;
  readonly https: SocketAcceptor;
  readonly logger: Logger;
}

export class AlpnFront {
  readonly #options: AlpnFrontOptions;
  #listening: Listening | undefined;

  constructor(options: AlpnFrontOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#listening?.port ?? this.#options.port;
  }

  async start(): Promise<void> {
    const { tls, host, port, logger } = this.#options;
    const server = createServer(deviceTlsOptions(tls, [MQTT, HTTP]), (socket) => this.#dispatch(socket));
    server.on('tlsClientError', (error, socket) => {
      // Node.js leaves a handshake that took too long open.
      socket.destroy();
      logger.debug({ reason: error.message }, 'TLS handshake failed.');
    });
    this.#listening = await Listening.on(server, { port, host });
  }

  async stop(): Promise<void> {
    const listening = this.#listening;
    this.#listening = undefined;
    await listening?.stop();
  }

  #dispatch(socket: TLSSocket): void {
    if (socket.alpnProtocol === MQTT) this.#options.mqtt.accept(socket);
    else if (socket.alpnProtocol === HTTP) this.#options.https.accept(socket);
    else socket.destroy();
  }
}
