/** Strings of MQTT packets: a length of two bytes, then UTF-8 that must be well-formed [MQTT-1.5.3-1], [MQTT-1.5.3-2]. */
import { isUtf8 } from 'node:buffer';

/** The peer broke MQTT's rules; MQTT 3.1.1 knows no answer but to close the connection. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Reads a packet's fields one after the other, never beyond its end. */
export class FieldReader {
  #at: number;

  constructor(
    private readonly bytes: Buffer,
    start: number,
    private readonly end: number,
  ) {
    this.#at = start;
  }

  get left(): number {
    return this.end - this.#at;
  }

  byte(what: string): number {
    return this.bytes[this.#advance(1, what)] as number;
  }

  uint16(what: string): number {
    return this.bytes.readUInt16BE(this.#advance(2, what));
  }

  /** Own memory: what is read here outlives the chunk that it came in. */
  binary(what: string): Buffer {
    const length = this.uint16(what);
    const at = this.#advance(length, what);
    return Buffer.from(this.bytes.subarray(at, at + length));
  }

  text(what: string): string {
    const length = this.uint16(what);
    const at = this.#advance(length, what);
    return wireText(this.bytes, at, at + length, what);
  }

  #advance(count: number, what: string): number {
    const at = this.#at;
    if (at + count > this.end) throw new ProtocolError(`the packet ends within its ${what}`);
    this.#at = at + count;
    return at;
  }
}

export function wireText(bytes: Buffer, start: number, end: number, what: string): string {
  const raw = bytes.subarray(start, end);
  if (!isUtf8(raw)) throw new ProtocolError(`the ${what} is not well-formed UTF-8`);
  if (raw.includes(0)) throw new ProtocolError(`the ${what} contains a null character`);
  return bytes.toString('utf8', start, end);
}
