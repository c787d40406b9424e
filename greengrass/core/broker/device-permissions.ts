/**
 * What a device may send and ask for, beyond its identity: V1's rules for topics, QoS and sizes. Where a message goes
 * is not decided here: the subscription table alone does that. Pure.
 */
import { isReserved, MAX_MESSAGE_BYTES, parseShadowTopic, topicProblem } from '../../model/topic.js';

/** Why this publish ends the connection, or undefined. MQTT 3.1.1 has no other way to refuse one. */
export function publishProblem(packet: {
  topic: string;
  qos: number;
  payload: { length: number };
}): string | undefined {
  if (packet.qos === 2) return 'QoS 2 is not supported';
  if (packet.payload.length > MAX_MESSAGE_BYTES) {
    return `a message of ${packet.payload.length} bytes is more than the limit of ${MAX_MESSAGE_BYTES}`;
  }
  const problem = topicProblem(packet.topic);
  if (problem) return problem;
  if (!isReserved(packet.topic)) return undefined;
  const shadow = parseShadowTopic(packet.topic);
  return shadow && shadow.kind === undefined
    ? undefined
    : 'topics that start with $ are reserved; only requests to shadows may be published there';
}

/** QoS that a SUBSCRIBE is granted: at most 1, V1 and AWS IoT know no QoS 2. */
export function grantedQos(requested: number): 0 | 1 {
  return requested >= 1 ? 1 : 0;
}
