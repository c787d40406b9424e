/** A TCP connection through an HTTP or HTTPS proxy (CONNECT), with basic authentication where the proxy wants it. */
import { request as httpRequest } from 'node:http';
import { Agent, type AgentOptions, request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls, rootCertificates } from 'node:tls';

export interface TunnelOptions {
  readonly proxy: {
    readonly host: string;
    readonly port: number;
    /** TLS to the proxy itself. */
    readonly isHttps: boolean;
    readonly username?: string;
    readonly password?: string;
  };
  readonly host: string;
  readonly port: number;
  /** Trusted for an HTTPS proxy, besides the well-known CAs. */
  readonly caPem?: string;
  readonly signal: AbortSignal;
}

/** Resolves with a socket that is connected to `host:port`. The error names the proxy, never its credentials. */
export function openTunnel(options: TunnelOptions): Promise<Socket> {
  const { proxy, host, port, caPem, signal } = options;
  const name = `proxy ${proxy.isHttps ? 'https' : 'http'}://${proxy.host}:${proxy.port}`;
  const target = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const headers: Record<string, string> = { Host: target };
  if (proxy.username !== undefined) {
    const credentials = Buffer.from(`${proxy.username}:${proxy.password ?? ''}`).toString('base64');
    headers['Proxy-Authorization'] = `Basic ${credentials}`;
  }
  const common = { host: proxy.host, port: proxy.port, method: 'CONNECT', path: target, headers, signal };
  return new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: Error) =>
      reject(new Error(`${name}: ${reason}`, cause ? { cause } : {}));
    const request = proxy.isHttps
      ? httpsRequest({
          ...common,
          agent: false,
          // Else it is taken from the Host header, which names where the tunnel leads.
          servername: isIP(proxy.host) ? '' : proxy.host,
          ca: caPem === undefined ? [...rootCertificates] : [...rootCertificates, caPem],
        })
      : httpRequest({ ...common, agent: false });
    request.once('connect', (response, socket, head) => {
      const status = response.statusCode ?? 0;
      if (status < 200 || status > 299) {
        socket.destroy();
        fail(
          status === 407
            ? 'it wants other credentials (407): check username and password of networkProxy'
            : `it refused the connection to ${target} (${status})`,
        );
        return;
      }
      // Errors show in what is put on top of it; the socket itself must not be without a listener.
      socket.on('error', () => undefined);
      if (head.length > 0) socket.unshift(head);
      resolve(socket as Socket);
    });
    request.once('response', (response) => {
      response.destroy();
      fail(`it answered ${response.statusCode} without a tunnel`);
    });
    request.once('error', (error) => fail(error.message, error));
    request.end();
  });
}

/** How long a tunnel may take to open. */
const TUNNEL_TIMEOUT_MS = 20_000;

/** Agent of HTTPS requests that go through a proxy. */
export class TunnelAgent extends Agent {
  constructor(
    options: AgentOptions,
    private readonly proxy: TunnelOptions['proxy'],
  ) {
    super(options);
  }

  override createConnection(
    options: ConnectionOptions,
    callback: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { host = 'localhost', port = 443, ca } = options;
    const signal = AbortSignal.timeout(TUNNEL_TIMEOUT_MS);
    const caPem = typeof ca === 'string' ? { caPem: ca } : {};
    openTunnel({ proxy: this.proxy, host, port, signal, ...caPem }).then(
      (socket) => callback(null, connectTls({ ...options, socket })),
      // The types want a stream also where there is none.
      (error: Error) => callback(error, undefined as unknown as Duplex),
    );
  }
}
