/** One device's bytes, decrypted, both ways: what connections need of a socket, whatever is behind it. */
import type { Duplex } from 'node:stream';

/** A piece of a write. */
export interface Piece {
  readonly bytes: Buffer;
}

export interface StreamListener {
  /** `bytes` from `from` to `end` came. They are the listener's until it returns, and no longer. */
  received(bytes: Buffer, from: number, end: number): void;
  /** The write that was under way has left the process. */
  written(): void;
  /** Nothing comes and nothing goes any more. Called once. */
  closed(reason: string): void;
}

export interface DeviceStream {
  readonly isDestroyed: boolean;
  /** Once, before anything comes. */
  listen(listener: StreamListener): void;
  /** True: all of it is gone. False: `written` follows, and until then nothing more is to be written. */
  write(pieces: readonly Piece[]): boolean;
  /** No write follows; the peer is told when all has been sent. */
  end(): void;
  /** At once. `closed` follows, not within this call. */
  destroy(): void;
  pause(): void;
  resume(): void;
}

/** A stream of Node.js. */
export class NodeStream implements DeviceStream {
  #listener: StreamListener | undefined;

  constructor(private readonly socket: Duplex) {}

  get isDestroyed(): boolean {
    return this.socket.destroyed;
  }

  listen(listener: StreamListener): void {
    const { socket } = this;
    let reason = 'the connection was closed';
    this.#listener = listener;
    socket.on('data', (chunk: Buffer) => listener.received(chunk, 0, chunk.length));
    socket.on('error', (error) => {
      reason = error.message;
    });
    socket.on('close', () => listener.closed(reason));
  }

  write(pieces: readonly Piece[]): boolean {
    const { socket } = this;
    const last = pieces.length - 1;
    if (last > 0) socket.cork();
    for (let index = 0; index < last; index++) socket.write((pieces[index] as Piece).bytes);
    socket.write((pieces[last] as Piece).bytes, this.#written);
    if (last > 0) socket.uncork();
    return false;
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  readonly #written = (error?: Error | null): void => {
    if (!error && !this.socket.destroyed) this.#listener?.written();
  };
}
