/** TLS for those who show a client certificate: devices and cores. */
import { constants } from 'node:crypto';
import type { TlsOptions } from 'node:tls';

const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * TLS proves that the peer holds its certificate's key; whether the certificate is good is asked of the registry.
 * `protocols`: names that the client may ask for by ALPN; one that asks for others only is refused.
 */
export function deviceTlsOptions(
  { certPem, keyPem }: { readonly certPem: string; readonly keyPem: string },
  protocols: string[],
): TlsOptions {
  return {
    ...{ cert: certPem, key: keyPem, minVersion: 'TLSv1.2', ALPNProtocols: protocols },
    // Tickets let a client resume its TLS session; they cost some 13 KB for each connection at rest.
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...{ requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
  };
}
