/**
 * What is on its way to one client. Packets are copied behind each other into one buffer, very large ones are shared
 * with everybody who gets them; all of it goes out in one write, never more than one write at a time. Who writes looks
 * at `unsentBytes` first: that is the bound of a slow reader.
 */
import { type Backlog, LIMIT_BYTES } from './backlog.js';
import type { DeviceStream, Piece as StreamPiece } from './device-stream.js';
import { LARGE_BYTES } from './output-buffers.js';
import type { PublishBytes } from './server-packets.js';
import type { TurnWriter } from './turn-writer.js';

/** Packets up to here are copied: cheaper than one more piece in a write. */
const MAX_COPIED_BYTES = 16 * 1024;
const LEAST_BUFFER_BYTES = 512;
/** Most bytes in one write: TLS makes a copy of it. */
const MAX_WRITE_BYTES = 256 * 1024;
/** Messages stop at the limit of the backlog; beyond it there is room for acknowledgements, of a quarter of a million messages. */
const MOST_UNSENT_BYTES = LIMIT_BYTES + 1024 * 1024;
const PUBACK = 0x40;

export interface OutputOptions {
  readonly stream: DeviceStream;
  readonly writer: TurnWriter;
  /** ARN of the device; '' before CONNECT was accepted. */
  readonly source: () => string;
  /** What was to be acknowledged could not be made durable: the client must not hear that it was. */
  readonly onUnsettled: () => void;
  /** Everything that was written has left the process. */
  readonly onDrained: () => void;
}

/** Bytes to write; `owner` is the buffer that is free when they have been written. */
interface Piece extends StreamPiece {
  owner: Buffer | undefined;
}

export class Output {
  readonly #options: OutputOptions;
  /** Complete pieces, in order; `#buffer` from `#from` to `#used` comes behind them. */
  #pieces: Piece[] = [];
  #piecesBytes = 0;
  #buffer: Buffer | undefined;
  #from = 0;
  #used = 0;
  /** How much the last turns needed. */
  #usual = LEAST_BUFFER_BYTES;
  /** The last piece that lies in `#buffer`. */
  #lastOwn: Piece | undefined;
  /** Buffers that are free when the write that is under way is done. */
  #inWrite: Buffer[] = [];
  #writes = 0;
  /** What the backlog knows of. */
  #reported = 0;
  #isWaiting = false;
  #writingBytes = 0;
  #holdsAcks = false;
  #isEnding = false;

  constructor(options: OutputOptions) {
    this.#options = options;
  }

  /** Bytes that were taken and have not left the process. */
  get unsentBytes(): number {
    return this.#piecesBytes + this.#used - this.#from + this.#writingBytes;
  }

  /** What waits for all devices together. */
  get backlog(): Backlog {
    return this.#options.writer.backlog;
  }

  /** There is so much already that no message should be added. */
  get isFull(): boolean {
    return this.unsentBytes >= this.#options.writer.backlog.limit;
  }

  /** Beyond everything that messages may take: a client that asks and asks, and takes none of the answers. */
  get isOverrun(): boolean {
    return this.unsentBytes >= MOST_UNSENT_BYTES;
  }

  /** Writes that were done: grows as long as the client reads. */
  get writes(): number {
    return this.#writes;
  }

  /** The connection is gone, and what waited for it. */
  close(): void {
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#from = this.#used;
    this.#writingBytes = 0;
    this.#report();
  }

  /** An answer that promises something: sent when what it promises is durable. */
  writeAnswer(bytes: Buffer): void {
    this.#holdsAcks = true;
    this.write(bytes);
  }

  /** `bytes` are never changed afterwards. */
  write(bytes: Buffer): void {
    this.#copy(bytes, 0, bytes.length);
    this.#schedule();
  }

  /** The same bytes for many clients, each with its own packet id (QoS 1). */
  writePublish({ bytes, from, end, idAt }: PublishBytes, packetId: number): void {
    const isCopied = end - from <= MAX_COPIED_BYTES;
    const copiedTo = isCopied ? end : idAt === 0 ? from : idAt + 2;
    if (copiedTo > from) {
      const at = this.#copy(bytes, from, copiedTo);
      if (idAt > 0) this.#writeId(at + idAt - from, packetId);
    }
    if (!isCopied) this.#share(bytes.subarray(copiedTo, end));
    this.#schedule();
  }

  writePuback(packetId: number): void {
    const at = this.#reserve(4);
    const buffer = this.#buffer as Buffer;
    buffer[at] = PUBACK;
    buffer[at + 1] = 2;
    this.#writeId(at + 2, packetId);
    this.#holdsAcks = true;
    this.#schedule();
  }

  /** Nothing is written afterwards; the connection closes when all has been sent. */
  end(): void {
    this.#isEnding = true;
    this.#schedule();
  }

  /** For the TurnWriter. `failed`: sources whose messages are not durable. */
  flush(failed: ReadonlySet<string>): void {
    this.#isWaiting = false;
    if (this.#holdsAcks && failed.size > 0 && failed.has(this.#options.source())) {
      this.#options.onUnsettled();
      return;
    }
    this.#holdsAcks = false;
    if (this.#writingBytes === 0) this.#send();
    this.#report();
  }

  /** Tells the backlog how much waits here. */
  #report(): void {
    const bytes = this.unsentBytes;
    if (bytes === this.#reported) return;
    this.#options.writer.backlog.add(bytes - this.#reported);
    this.#reported = bytes;
  }

  #send(): void {
    const { stream } = this.#options;
    let isDrained = false;
    while (!stream.isDestroyed) {
      this.#retireBuffer();
      if (this.#pieces.length === 0) break;
      if (!stream.write(this.#take())) return;
      this.#wrote();
      isDrained = true;
    }
    if (this.#isEnding) stream.end();
    else if (isDrained) this.#options.onDrained();
  }

  /** The pieces of the next write. */
  #take(): Piece[] {
    let count = 0;
    let bytes = 0;
    while (count < this.#pieces.length && bytes < MAX_WRITE_BYTES) {
      const { bytes: piece, owner } = this.#pieces[count++] as Piece;
      bytes += piece.length;
      if (owner !== undefined) this.#inWrite.push(owner);
    }
    const taken = this.#pieces;
    this.#pieces = count === taken.length ? [] : taken.splice(count);
    this.#piecesBytes -= bytes;
    this.#writingBytes = bytes;
    return taken;
  }

  /** The stream has written what it was given. */
  written(): void {
    this.#wrote();
    // What came meanwhile and waits for its turn is sent in its turn: its acknowledgements are not settled yet.
    if (!this.#isWaiting) {
      if (this.#isEnding || this.#piecesBytes + this.#used - this.#from > 0) this.#send();
      else this.#options.onDrained();
    }
    this.#report();
  }

  #wrote(): void {
    for (const buffer of this.#inWrite) this.#options.writer.buffers.giveBack(buffer);
    if (this.#inWrite.length > 0) this.#inWrite = [];
    this.#writingBytes = 0;
    this.#writes += 1;
  }

  #schedule(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#options.writer.add(this);
  }

  #writeId(at: number, packetId: number): void {
    const buffer = this.#buffer as Buffer;
    buffer[at] = packetId >> 8;
    buffer[at + 1] = packetId & 0xff;
  }

  #copy(bytes: Buffer, from: number, end: number): number {
    const at = this.#reserve(end - from);
    bytes.copy(this.#buffer as Buffer, at, from, end);
    return at;
  }

  /** Room for `size` bytes in the buffer; answers where. */
  #reserve(size: number): number {
    const at = this.#used;
    if (this.#buffer !== undefined && at + size <= this.#buffer.length) {
      this.#used = at + size;
      return at;
    }
    if (this.#buffer !== undefined) {
      this.#retireBuffer();
      this.#usual = Math.min(this.#usual * 4, LARGE_BYTES);
    }
    this.#buffer = this.#options.writer.buffers.take(Math.max(this.#usual, size));
    this.#from = 0;
    this.#used = size;
    return 0;
  }

  #share(bytes: Buffer): void {
    this.#closePiece();
    this.#pieces.push({ bytes, owner: undefined });
    this.#piecesBytes += bytes.length;
  }

  #closePiece(): void {
    if (this.#used === this.#from) return;
    const bytes = (this.#buffer as Buffer).subarray(this.#from, this.#used);
    this.#lastOwn = { bytes, owner: undefined };
    this.#pieces.push(this.#lastOwn);
    this.#piecesBytes += bytes.length;
    this.#from = this.#used;
  }

  /** Nothing more is put into the buffer. The next one is as large as this one had to be, roughly. */
  #retireBuffer(): void {
    if (this.#buffer === undefined) return;
    this.#closePiece();
    if (this.#lastOwn !== undefined) this.#lastOwn.owner = this.#buffer;
    if (this.#used * 4 < this.#usual) this.#usual = Math.max(LEAST_BUFFER_BYTES, this.#usual >> 1);
    this.#lastOwn = undefined;
    this.#buffer = undefined;
    this.#from = 0;
    this.#used = 0;
  }
}
