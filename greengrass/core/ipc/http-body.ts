/** Bodies of HTTP requests, by length or in chunks: bytes in, the payload out, never more of it kept than allowed. */
import { HttpFault } from './http-head.js';

/** AWS Lambda's limit of a payload. */
export const MAX_PAYLOAD_BYTES = 6 * 1024 * 1024;
/** A client that still writes when its connection breaks never reads why: so much of what is too large is let go by. */
export const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;
/** Size and extension of a chunk; also all lines behind the last one. */
const MAX_LINE_BYTES = 4096;
const MAX_SIZE_DIGITS = 8;
const CHUNK_LINE = /^([0-9a-fA-F]{1,8})(?:[ \t]*;[\t\x20-\x7e]*)?$/;
const NOTHING = Buffer.alloc(0);

export interface BodyReader {
  /**
   * Takes what belongs to the body and gives the bytes behind its end, undefined where the end is not there yet. Throws
   * HttpFault where the bytes are no body.
   */
  push(bytes: Buffer): Buffer | undefined;
  readonly payload: Payload;
}

/** Bytes of less than that are copied one by one: a call of `copy` costs more. */
const FEW_BYTES = 32;

/**
 * What was read so far. Copied together as it comes: a body in chunks of one byte must not cost an object for each. Too
 * large: the bytes are let go, only counted.
 */
export class Payload {
  #bytes: Buffer = NOTHING;
  #size = 0;
  #received = 0;

  /** The bytes of `chunk` from `start` to before `end`. */
  add(chunk: Buffer, start: number, end: number): void {
    const before = this.#size;
    this.#size += end - start;
    if (before === 0) {
      this.#bytes = chunk.subarray(start, end);
    } else if (this.isTooLarge) {
      this.#bytes = NOTHING;
    } else {
      if (this.#bytes.length < this.#size) {
        const larger = Buffer.allocUnsafe(Math.min(MAX_PAYLOAD_BYTES, this.#size * 2));
        this.#bytes.copy(larger, 0, 0, before);
        this.#bytes = larger;
      }
      if (end - start >= FEW_BYTES) chunk.copy(this.#bytes, before, start, end);
      else for (let at = start; at < end; at++) this.#bytes[before + at - start] = chunk[at] as number;
    }
  }

  /** Counts what came over the wire, sizes and extensions of chunks among it. */
  count(received: number): void {
    this.#received += received;
  }

  get isTooLarge(): boolean {
    return this.#size > MAX_PAYLOAD_BYTES;
  }

  /** Not worth reading on. */
  get isBeyondPatience(): boolean {
    return this.#received > MAX_DISCARDED_BYTES;
  }

  bytes(): Buffer {
    return this.#bytes.length === this.#size ? this.#bytes : this.#bytes.subarray(0, this.#size);
  }
}

/** `length`: undefined where the body comes in chunks. */
export function bodyReader(length: number | undefined): BodyReader {
  return length === undefined ? new ChunkedBody() : new MeasuredBody(length);
}

class MeasuredBody implements BodyReader {
  readonly payload = new Payload();
  constructor(private missing: number) {}

  push(bytes: Buffer): Buffer | undefined {
    this.payload.count(bytes.length);
    if (bytes.length < this.missing) {
      this.payload.add(bytes, 0, bytes.length);
      this.missing -= bytes.length;
      return undefined;
    }
    const end = this.missing;
    this.missing = 0;
    this.payload.add(bytes, 0, end);
    return bytes.subarray(end);
  }
}

class ChunkedBody implements BodyReader {
  readonly payload = new Payload();
  #part: 'size' | 'data' | 'dataEnd' | 'trailer' = 'size';
  #missing = 0;
  #trailerBytes = 0;
  /** A line of which the end is not there yet. */
  #line: Buffer = NOTHING;

  push(chunk: Buffer): Buffer | undefined {
    this.payload.count(chunk.length);
    let at = 0;
    while (at < chunk.length) {
      if (this.#part === 'data') {
        const end = Math.min(chunk.length, at + this.#missing);
        this.payload.add(chunk, at, end);
        this.#missing -= end - at;
        at = end;
        if (this.#missing === 0) this.#part = 'dataEnd';
        continue;
      }
      if (this.#line.length === 0) {
        const next = this.#takePlainLine(chunk, at);
        if (next > at) {
          at = next;
          continue;
        }
      }
      const bytes = chunk.subarray(at);
      const end = bytes.indexOf(10);
      const line = this.#line.length === 0 ? bytes : Buffer.concat([this.#line, bytes]);
      const lineEnd = end < 0 ? -1 : line.length - bytes.length + end;
      if ((lineEnd < 0 ? line.length : lineEnd) > MAX_LINE_BYTES) {
        throw new HttpFault(400, 'a line of the chunked body is too long');
      }
      if (lineEnd < 0) {
        this.#line = line;
        return undefined;
      }
      this.#line = NOTHING;
      at += end + 1;
      if (lineEnd === 0 || line[lineEnd - 1] !== 13) throw malformed();
      if (this.#takeLine(line.toString('latin1', 0, lineEnd - 1))) return chunk.subarray(at);
    }
    return undefined;
  }

  /**
   * Where the next line lies whole in `bytes` and is what nearly all are, a size without extension or the end of the data:
   * takes it, with no object made, and answers where it ends. Else answers `at`.
   */
  #takePlainLine(bytes: Buffer, at: number): number {
    if (this.#part === 'dataEnd') {
      if (bytes[at] !== 13) throw malformed();
      if (bytes[at + 1] !== 10) return at;
      this.#part = 'size';
      return at + 2;
    }
    if (this.#part !== 'size') return at;
    let end = at;
    let size = 0;
    for (; end < at + MAX_SIZE_DIGITS; end++) {
      const digit = hexDigit(bytes[end]);
      if (digit < 0) break;
      size = size * 16 + digit;
    }
    if (end === at || bytes[end] !== 13 || bytes[end + 1] !== 10) return at;
    this.#startChunk(size);
    return end + 2;
  }

  #startChunk(size: number): void {
    this.#missing = size;
    this.#part = size === 0 ? 'trailer' : 'data';
  }

  /** True at the end of the body. */
  #takeLine(line: string): boolean {
    if (this.#part === 'dataEnd') {
      if (line !== '') throw malformed();
      this.#part = 'size';
      return false;
    }
    if (this.#part === 'size') {
      const [, size] = CHUNK_LINE.exec(line) ?? [];
      if (size === undefined) throw malformed();
      this.#startChunk(Number.parseInt(size, 16));
      return false;
    }
    this.#trailerBytes += line.length;
    if (this.#trailerBytes > MAX_LINE_BYTES)
      throw new HttpFault(400, 'the trailers of the request are too long');
    return line === '';
  }
}

/** -1 where it is none. */
function hexDigit(byte = 0): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

function malformed(): HttpFault {
  return new HttpFault(400, 'the chunked body of the request is malformed');
}
