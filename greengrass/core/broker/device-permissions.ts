/**
 * What a device may send and ask for, beyond its identity: V1's rules for topics, QoS and sizes. Where a message goes
 * is not decided here: the subscription table alone does that. Pure.
 */
import { isReserved, MAX_MESSAGE_BYTES, parseShadowTopic, topicProblem } from '../../model/topic.js';

/** Why no device may publish to the topic, or undefined. */
export function publishTopicProblem(topic: string): string | undefined {
  const problem = topicProblem(topic);
  if (problem) return problem;
  if (!isReserved(topic)) return undefined;
  const shadow = parseShadowTopic(topic);
  return shadow && shadow.kind === undefined
    ? undefined
    : 'topics that start with $ are reserved; only requests to shadows may be published there';
}

/** Why a publish with this QoS and size ends the connection, or undefined. MQTT 3.1.1 has no other way to refuse one. */
export function publishProblem(qos: number, payloadBytes: number): string | undefined {
  if (qos === 2) return 'QoS 2 is not supported';
  if (payloadBytes > MAX_MESSAGE_BYTES) {
    return `a message of ${payloadBytes} bytes is more than the limit of ${MAX_MESSAGE_BYTES}`;
  }
  return undefined;
}

/** QoS that a SUBSCRIBE is granted: at most 1, V1 and AWS IoT know no QoS 2. */
export function grantedQos(requested: number): 0 | 1 {
  return requested >= 1 ? 1 : 0;
}
