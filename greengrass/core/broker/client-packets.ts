/** What clients send besides PUBLISH and PUBACK, decoded strictly: any broken rule of MQTT 3.1.1 is a ProtocolError. */
import { FieldReader, ProtocolError } from './wire-text.js';

export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
}

export interface ConnectPacket {
  readonly clientId: string;
  readonly cleanSession: boolean;
  /** Seconds; 0 switches it off. */
  readonly keepAliveS: number;
  readonly will?: Will;
}

/** A CONNECT of a protocol that is not served: answered with return code 1 [MQTT-3.1.2-2]. */
export class UnservedProtocol extends Error {
  override readonly name = 'UnservedProtocol';
}

/** MQTT 3.1.1, and 3.1 under its own name: the packets are the same. */
export function decodeConnect(bytes: Buffer, start: number, end: number): ConnectPacket {
  const fields = new FieldReader(bytes, start, end);
  const protocol = fields.text('protocol name');
  const level = fields.byte('protocol level');
  if (protocol !== 'MQTT' && protocol !== 'MQIsdp') throw new ProtocolError('the protocol is not MQTT');
  if (level !== (protocol === 'MQTT' ? 4 : 3)) {
    throw new UnservedProtocol(`protocol ${protocol} level ${level} is not served; use MQTT 3.1.1`);
  }
  const flags = fields.byte('connect flags');
  if (flags & 1) throw new ProtocolError('the reserved connect flag is set');
  const keepAliveS = fields.uint16('keep alive');
  const clientId = fields.text('client id');
  const will = decodeWill(flags, fields);
  if (!(flags & 0x80) && flags & 0x40) throw new ProtocolError('there is a password without a user name');
  if (flags & 0x80) fields.text('user name');
  if (flags & 0x40) fields.binary('password');
  if (fields.left > 0) throw new ProtocolError('CONNECT goes on after its last field');
  return { clientId, cleanSession: (flags & 2) !== 0, keepAliveS, ...(will ? { will } : {}) };
}

function decodeWill(flags: number, fields: FieldReader): Will | undefined {
  const qos = (flags >> 3) & 3;
  if (!(flags & 4)) {
    if (flags & 0x38) throw new ProtocolError('there are flags of a will without a will');
    return undefined;
  }
  if (qos === 3) throw new ProtocolError('the QoS of the will is 3');
  return { topic: fields.text('topic of the will'), payload: fields.binary('will'), qos: qos as 0 | 1 | 2 };
}

export interface SubscribePacket {
  readonly packetId: number;
  readonly filters: ReadonlyArray<{ readonly filter: string; readonly qos: 0 | 1 | 2 }>;
}

export function decodeSubscribe(bytes: Buffer, start: number, end: number): SubscribePacket {
  const fields = new FieldReader(bytes, start, end);
  const packetId = decodePacketId(fields);
  const filters: Array<{ filter: string; qos: 0 | 1 | 2 }> = [];
  do {
    const filter = fields.text('topic filter');
    const qos = fields.byte('requested QoS');
    if (qos > 2) throw new ProtocolError(`the requested QoS byte is ${qos}`);
    filters.push({ filter, qos: qos as 0 | 1 | 2 });
  } while (fields.left > 0);
  return { packetId, filters };
}

export function decodeUnsubscribe(
  bytes: Buffer,
  start: number,
  end: number,
): { readonly packetId: number; readonly filters: readonly string[] } {
  const fields = new FieldReader(bytes, start, end);
  const packetId = decodePacketId(fields);
  const filters: string[] = [];
  do filters.push(fields.text('topic filter'));
  while (fields.left > 0);
  return { packetId, filters };
}

function decodePacketId(fields: FieldReader): number {
  const packetId = fields.uint16('packet id');
  if (packetId === 0) throw new ProtocolError('the packet id is 0');
  return packetId;
}
