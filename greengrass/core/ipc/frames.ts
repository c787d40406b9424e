/**
 * Frames of the door that our runtimes speak (IPC.md, section 5): a fixed head, two short texts, a payload. All numbers
 * are big-endian.
 *
 *   size u32 (of all that follows) · kind u8 · 0 u8 · flag u16 · sequence u32 · length of A u16 · length of B u32 · A · B · payload
 */
import { MAX_PAYLOAD_BYTES } from './http-call.js';

const HEAD_BYTES = 18;
/** A payload, and 64 KB for the texts. */
export const MAX_FRAME_BYTES = MAX_PAYLOAD_BYTES + 64 * 1024;

/** Kinds of frames that workers send. */
export const FROM_WORKER = { next: 1, result: 2, post: 3, getResult: 4 } as const;
/** Kinds of frames that the core sends. */
export const FROM_CORE = { work: 1, reply: 2 } as const;

export interface Frame {
  readonly kind: number;
  readonly flag: number;
  readonly sequence: number;
  readonly a: string;
  readonly b: string;
  readonly payload: Buffer;
}

const NOTHING = Buffer.alloc(0);

export function encodeFrame({
  kind,
  flag = 0,
  sequence = 0,
  a = '',
  b = '',
  payload = NOTHING,
}: Partial<Frame> & Pick<Frame, 'kind'>): Buffer {
  const lengthA = Buffer.byteLength(a);
  const lengthB = Buffer.byteLength(b);
  const frame = Buffer.allocUnsafe(HEAD_BYTES + lengthA + lengthB + payload.length);
  frame.writeUInt32BE(frame.length - 4, 0);
  frame.writeUInt8(kind, 4);
  frame.writeUInt8(0, 5);
  frame.writeUInt16BE(flag, 6);
  frame.writeUInt32BE(sequence, 8);
  frame.writeUInt16BE(lengthA, 12);
  frame.writeUInt32BE(lengthB, 14);
  frame.write(a, HEAD_BYTES);
  frame.write(b, HEAD_BYTES + lengthA);
  payload.copy(frame, HEAD_BYTES + lengthA + lengthB);
  return frame;
}

/** Bytes in, frames out. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;
  /** Bytes that the frame at the front needs; its head where that is not there yet. */
  #needed = HEAD_BYTES;

  /** Throws Error where the bytes are no frames, after which the stream is of no use. */
  *push(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size >= this.#needed) {
      const bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      this.#chunks = [bytes];
      const total = bytes.readUInt32BE(0) + 4;
      if (total < HEAD_BYTES || total > MAX_FRAME_BYTES) {
        throw new Error(`a frame of ${total} bytes, where ${HEAD_BYTES} to ${MAX_FRAME_BYTES} are allowed`);
      }
      this.#needed = total;
      if (this.#size < total) return;
      const rest = bytes.subarray(total);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#size = rest.length;
      this.#needed = HEAD_BYTES;
      yield decode(bytes.subarray(0, total));
    }
  }
}

function decode(frame: Buffer): Frame {
  const endOfA = HEAD_BYTES + frame.readUInt16BE(12);
  const endOfB = endOfA + frame.readUInt32BE(14);
  if (endOfB > frame.length) throw new Error('a frame whose texts are longer than itself');
  return {
    kind: frame.readUInt8(4),
    flag: frame.readUInt16BE(6),
    sequence: frame.readUInt32BE(8),
    a: frame.toString('utf8', HEAD_BYTES, endOfA),
    b: frame.toString('utf8', endOfA, endOfB),
    payload: frame.subarray(endOfB),
  };
}
