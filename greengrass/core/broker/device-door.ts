/** Where devices come in: mutual TLS, and of the peer no more than who it is. */
import type { DeviceStream } from './device-stream.js';

export interface ServerCredentials {
  readonly certPem: string;
  readonly keyPem: string;
  readonly caPem: string;
}

/** Who is at the other end. */
export interface Peer {
  readonly remoteAddress: string;
  /** SHA-256 fingerprint of the client's certificate, lower-case hex; absent where it has none. */
  readonly certificateId?: string;
  /** End of the certificate, Unix time in ms. */
  readonly notAfter?: number;
}

export interface DoorOptions {
  readonly credentials: ServerCredentials;
  /** A handshake is done. Of a stream that nobody keeps nothing more is heard. */
  readonly onArrival: (stream: DeviceStream, peer: Peer) => void;
  /** Why a handshake did not come to its end. */
  readonly onFailedHandshake: (reason: string) => void;
  /** All that comes in during `work` is one turn. */
  readonly inTurn: (work: () => void) => void;
  readonly handshakeTimeoutMs: number;
}

export interface DeviceDoor {
  /** The port that it listens on. */
  readonly port: number;
  /** For connections to come. Throws where the certificate can't be used. */
  setCredentials(credentials: ServerCredentials): void;
  /** Called twice a second. */
  sweep(): void;
  /** Takes nobody any more; resolves when the last stream is gone. */
  close(): Promise<void>;
}
