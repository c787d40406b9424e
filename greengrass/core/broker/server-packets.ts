/** What the server sends, as bytes. */

export const PINGRESP = Buffer.from([0xd0, 0]);
export const CONNACK_CODES = {
  accepted: 0,
  protocol: 1,
  clientId: 2,
  unavailable: 3,
  notAuthorized: 5,
} as const;

export function connack(code: number, sessionPresent: boolean): Buffer {
  return Buffer.from([0x20, 2, sessionPresent ? 1 : 0, code]);
}

/** 0x80 stands for a filter that was refused. */
export function suback(packetId: number, codes: readonly number[]): Buffer {
  const length = 2 + codes.length;
  const head = [0x90, ...remainingLength(length), packetId >> 8, packetId & 0xff];
  return Buffer.from([...head, ...codes]);
}

export function unsuback(packetId: number): Buffer {
  return Buffer.from([0xb0, 2, packetId >> 8, packetId & 0xff]);
}

function remainingLength(length: number): number[] {
  const bytes: number[] = [];
  let left = length;
  do {
    bytes.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return bytes;
}

/** A PUBLISH in one piece: `bytes` from `from` to `end`. With QoS 1 its packet id is to be written at `idAt`. */
export interface PublishBytes {
  readonly bytes: Buffer;
  readonly from: number;
  readonly end: number;
  /** 0 with QoS 0. */
  readonly idAt: number;
}

/** The packet in memory of its own: for who keeps it longer than the turn that it came in. */
export function ownPublish({ bytes, from, end, idAt }: PublishBytes): PublishBytes {
  const own = Buffer.from(bytes.subarray(from, end));
  return { bytes: own, from: 0, end: own.length, idAt: idAt === 0 ? 0 : idAt - from };
}

const DUP = 0x08;

export function encodePublish(topic: string, payload: Buffer, qos: 0 | 1, dup = false): PublishBytes {
  const topicBytes = Buffer.byteLength(topic);
  const length = 2 + topicBytes + (qos === 1 ? 2 : 0) + payload.length;
  const header = remainingLength(length);
  const bytes = Buffer.allocUnsafe(1 + header.length + length);
  bytes[0] = 0x30 | (qos << 1) | (dup ? DUP : 0);
  bytes.set(header, 1);
  let at = bytes.writeUInt16BE(topicBytes, 1 + header.length);
  at += bytes.write(topic, at, 'utf8');
  const idAt = qos === 1 ? at : 0;
  if (qos === 1) at += 2;
  payload.copy(bytes, at);
  return { bytes, from: 0, end: bytes.length, idAt };
}
