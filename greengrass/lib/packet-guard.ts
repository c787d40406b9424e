/**
 * Bounds the size of MQTT packets before a parser buffers them: follows the fixed headers of the byte stream and ends
 * the connection at the first packet that announces more than it may [MQTT-2.2.3]. The parser behind it has no limit.
 */
import { Duplex } from 'node:stream';

type State = 'type' | 'length' | 'body';

/** A connection as the broker sees it: what comes in was measured, what goes out is passed on. */
export class PacketGuard extends Duplex {
  #state: State = 'type';
  #length = 0;
  #lengthBytes = 0;
  #left = 0;

  constructor(
    private readonly socket: Duplex,
    private readonly maxPacketBytes: number,
  ) {
    super({ allowHalfOpen: false });
    socket.on('data', (chunk: Buffer) => {
      const problem = this.#follow(chunk);
      if (problem) this.destroy(new Error(problem));
      else if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.socket.write(chunk)) done();
    else this.socket.once('drain', () => done());
  }

  override _final(done: (error?: Error | null) => void): void {
    this.socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }

  /** Answers why the connection must end, or undefined. */
  #follow(chunk: Buffer): string | undefined {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'body') {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
        if (this.#left === 0) this.#state = 'type';
        continue;
      }
      const byte = chunk[at++] as number;
      if (this.#state === 'type') {
        this.#state = 'length';
        this.#length = 0;
        this.#lengthBytes = 0;
        continue;
      }
      this.#length += (byte & 0x7f) * 128 ** this.#lengthBytes++;
      if (byte & 0x80) {
        if (this.#lengthBytes === 4) return 'malformed remaining length';
        continue;
      }
      if (this.#length > this.maxPacketBytes) {
        return `a packet of ${this.#length} bytes is more than the limit of ${this.maxPacketBytes}`;
      }
      this.#left = this.#length;
      this.#state = this.#left === 0 ? 'type' : 'body';
    }
    return undefined;
  }
}
