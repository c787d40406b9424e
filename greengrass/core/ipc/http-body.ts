/** Bodies of HTTP requests, by length or in chunks: bytes in, the payload out, never more of it kept than allowed. */
import { HttpFault } from './http-head.js';

/** AWS Lambda's limit of a payload. */
export const MAX_PAYLOAD_BYTES = 6 * 1024 * 1024;
/** A client that still writes when its connection breaks never reads why: so much of what is too large is let go by. */
export const MAX_DISCARDED_BYTES = 64 * 1024 * 1024;
/** Size and extension of a chunk; also all lines behind the last one. */
const MAX_LINE_BYTES = 4096;
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

/**
 * What was read so far. Copied together as it comes: a body in chunks of one byte must not cost an object for each. Too
 * large: the bytes are let go, only counted.
 */
export class Payload {
  #bytes: Buffer = NOTHING;
  #size = 0;
  #received = 0;

  add(chunk: Buffer): void {
    const before = this.#size;
    this.#size += chunk.length;
    if (before === 0) {
      this.#bytes = chunk;
    } else if (this.isTooLarge) {
      this.#bytes = NOTHING;
    } else {
      if (this.#bytes.length < this.#size) {
        const larger = Buffer.allocUnsafe(Math.min(MAX_PAYLOAD_BYTES, this.#size * 2));
        this.#bytes.copy(larger, 0, 0, before);
        this.#bytes = larger;
      }
      chunk.copy(this.#bytes, before);
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
      this.payload.add(bytes);
      this.missing -= bytes.length;
      return undefined;
    }
    const end = this.missing;
    this.missing = 0;
    this.payload.add(end === bytes.length ? bytes : bytes.subarray(0, end));
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
    let bytes = chunk;
    while (bytes.length > 0) {
      if (this.#part === 'data') {
        const taken = bytes.subarray(0, this.#missing);
        this.payload.add(taken);
        this.#missing -= taken.length;
        bytes = bytes.subarray(taken.length);
        if (this.#missing === 0) this.#part = 'dataEnd';
        continue;
      }
      if (this.#part === 'dataEnd' && this.#line.length === 0 && bytes[0] !== 13) throw malformed();
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
      bytes = bytes.subarray(end + 1);
      if (lineEnd === 0 || line[lineEnd - 1] !== 13) throw malformed();
      if (this.#takeLine(line.toString('latin1', 0, lineEnd - 1))) return bytes;
    }
    return undefined;
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
      this.#missing = Number.parseInt(size, 16);
      this.#part = this.#missing === 0 ? 'trailer' : 'data';
      return false;
    }
    this.#trailerBytes += line.length;
    if (this.#trailerBytes > MAX_LINE_BYTES)
      throw new HttpFault(400, 'the trailers of the request are too long');
    return line === '';
  }
}

function malformed(): HttpFault {
  return new HttpFault(400, 'the chunked body of the request is malformed');
}
