/** TLS to the cloud, directly or through a proxy; on port 443 with the protocol name that AWS IoT tells MQTT by. */
import { isIP, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { openTunnel } from '../../lib/http-tunnel.js';
import { type NetworkProxy, proxyFor } from '../../model/network-proxy.js';

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
  readonly proxy?: NetworkProxy;
  readonly signal: AbortSignal;
}

/** ALPN protocol name of MQTT with a client certificate. */
const MQTT_ALPN = 'x-amzn-mqtt-ca';

/** Resolves when the handshake is done. The server's certificate must be of `caPem` and name `host`. */
export async function dial(options: DialOptions): Promise<TLSSocket> {
  const { host, port, caPem, certPem, keyPem, signal } = options;
  signal.throwIfAborted();
  const proxy = proxyFor(options.proxy, host);
  const tunnel: Socket | undefined = proxy && (await openTunnel({ proxy, host, port, caPem, signal }));
  const socket = connect({
    host,
    port,
    ...(tunnel ? { socket: tunnel } : {}),
    ...(isIP(host) ? {} : { servername: host }),
    ...(port === 443 ? { ALPNProtocols: [MQTT_ALPN] } : {}),
    ca: caPem,
    cert: certPem,
    key: keyPem,
  });
  return new Promise((resolve, reject) => {
    const abort = () => socket.destroy(new Error('took too long'));
    signal.addEventListener('abort', abort);
    const settled = () => {
      signal.removeEventListener('abort', abort);
      socket.removeListener('error', failed);
      socket.removeListener('close', closed);
    };
    const failed = (error: Error) => {
      settled();
      tunnel?.destroy();
      reject(error);
    };
    const closed = () => failed(new Error('the other side closed the connection during the TLS handshake'));
    // Whoever takes the socket over has listeners of its own, but an error may come before.
    socket.on('error', () => undefined);
    socket.once('error', failed);
    socket.once('close', closed);
    socket.once('secureConnect', () => {
      settled();
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}
