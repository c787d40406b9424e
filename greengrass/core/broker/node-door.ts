/** The door made of Node.js' own TLS server: where the one in C was not built. */
import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import type { DeviceDoor, DoorOptions, Peer, ServerCredentials } from './device-door.js';
import { NodeStream } from './device-stream.js';
import { WaitingRoom } from './waiting-room.js';

/** Under way; beyond it the oldest gives way. */
const MAX_HANDSHAKES = 1024;

export async function openNodeDoor(
  { port, host }: { port: number; host: string | undefined },
  { credentials, onArrival, onFailedHandshake, handshakeTimeoutMs }: DoorOptions,
): Promise<DeviceDoor> {
  const server = createServer({
    ...contextOf(credentials),
    ...{ requestCert: true, rejectUnauthorized: false, handshakeTimeout: handshakeTimeoutMs },
  });
  const handshakes = new WaitingRoom<Socket>({ all: MAX_HANDSHAKES, ofEach: MAX_HANDSHAKES }, (socket) =>
    socket.destroy(),
  );
  const byPeer = new Map<string, Socket>();
  server.on('connection', (socket: Socket) => {
    const peer = endOf(socket);
    byPeer.set(peer, socket);
    handshakes.enter(socket, '');
    socket.once('close', () => {
      handshakes.leave(socket);
      byPeer.delete(peer);
    });
  });
  server.on('secureConnection', (socket) => {
    const raw = byPeer.get(endOf(socket));
    if (raw) handshakes.leave(raw);
    socket.setNoDelay(true);
    onArrival(new NodeStream(socket), peerOf(socket));
  });
  server.on('tlsClientError', (error, socket) => {
    // Node.js leaves a handshake that took too long open.
    socket.destroy();
    onFailedHandshake(error.message);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    setCredentials: (next) => server.setSecureContext(contextOf(next)),
    sweep: () => undefined,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

function endOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function contextOf({ certPem, keyPem, caPem }: ServerCredentials) {
  return { cert: `${certPem.trim()}\n${caPem.trim()}\n`, key: keyPem, minVersion: 'TLSv1.2' as const };
}

function peerOf(socket: TLSSocket): Peer {
  const certificate = socket.getPeerX509Certificate();
  const remoteAddress = socket.remoteAddress ?? '';
  if (certificate === undefined) return { remoteAddress };
  const certificateId = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return { remoteAddress, certificateId, notAfter: Date.parse(certificate.validTo) };
}
