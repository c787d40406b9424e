/** A PUBLISH packet with QoS 1 as it goes over the wire [MQTT-3.3]. Pure. */
export interface PublishFrame {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly messageId: number;
  /** It may have been sent before. */
  readonly isRepetition: boolean;
}

const PUBLISH_QOS_1 = 0x32;
const DUP = 0x08;

export function encodePublish({ topic, payload, messageId, isRepetition }: PublishFrame): Buffer {
  const topicBytes = Buffer.byteLength(topic);
  const length = 2 + topicBytes + 2 + payload.length;
  const lengthBytes = length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : 4;
  const frame = Buffer.allocUnsafe(1 + lengthBytes + length);
  frame[0] = isRepetition ? PUBLISH_QOS_1 | DUP : PUBLISH_QOS_1;
  let at = 1;
  for (let rest = length; at <= lengthBytes; rest >>>= 7)
    frame[at++] = (rest & 0x7f) | (at <= lengthBytes ? 0x80 : 0);
  at = frame.writeUInt16BE(topicBytes, at);
  at += frame.write(topic, at);
  at = frame.writeUInt16BE(messageId, at);
  frame.set(payload, at);
  return frame;
}
