/** As much of DER as X.509 structures need to be taken apart and put together. No meaning, only tags and lengths. */

export const SEQUENCE = 0x30;
export const OBJECT_ID = 0x06;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;

/** A value with its tag and length. */
export function encode(tag: number, content: Uint8Array): Buffer {
  const size = content.length;
  if (size < 0x80) return Buffer.concat([Buffer.from([tag, size]), content]);
  const digits: number[] = [];
  for (let rest = size; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.length, ...digits]), content]);
}

export function sequence(...parts: Uint8Array[]): Buffer {
  return encode(SEQUENCE, Buffer.concat(parts));
}

/** A bit string of whole bytes. */
export function bitString(content: Uint8Array): Buffer {
  return encode(BIT_STRING, Buffer.concat([Buffer.from([0]), content]));
}

/** An object id in its encoded form, e.g. `2a8648ce3d040302`. */
export function objectId(hex: string): Buffer {
  return encode(OBJECT_ID, Buffer.from(hex, 'hex'));
}

/** Tag and content of the value that `der` begins with. Throws where it does not fit. */
export function decode(der: Uint8Array): { tag: number; content: Buffer; whole: Buffer } {
  const bytes = Buffer.from(der.buffer, der.byteOffset, der.byteLength);
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) throw new Error('DER ends too early');
  let start = 2;
  let size = first;
  if (first > 0x84 || first === 0x80) throw new Error('DER has a length that is not allowed here');
  if (first > 0x80) {
    start += first - 0x80;
    if (bytes.length < start) throw new Error('DER ends too early');
    size = bytes.readUIntBE(2, first - 0x80);
  }
  if (bytes.length < start + size) throw new Error('DER ends too early');
  return { tag, content: bytes.subarray(start, start + size), whole: bytes.subarray(0, start + size) };
}

/** The values that a constructed value holds, each with its tag and length. */
export function children(der: Uint8Array): Buffer[] {
  const found: Buffer[] = [];
  for (let { content: rest } = decode(der); rest.length > 0; ) {
    const { whole } = decode(rest);
    found.push(whole);
    rest = rest.subarray(whole.length);
  }
  return found;
}
