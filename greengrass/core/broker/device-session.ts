/**
 * A device as the broker knows it: what it subscribed to, and what is on its way to it. Ends with the connection, or
 * stays where the device asked for that (clean session 0).
 */
import { filterMatches } from '../../model/topic.js';
import type { Delivery } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import type { AtLeastOnce } from './at-least-once.js';
import type { Outgoing } from './outgoing.js';
import type { Output } from './output.js';

/** Topics whose QoS is remembered for a device; beyond it the memory starts anew. */
const MAX_KNOWN_TOPICS = 1024;

/** What the device asked for, by topic filter. */
export type Filters = ReadonlyMap<string, 0 | 1>;

/** Highest QoS of the filters that take the topic, or undefined where none does. MQTT's rules, not V1's. */
function subscribedQos(filters: Filters, topic: string): 0 | 1 | undefined {
  const exact = filters.get(topic);
  if (exact === 1) return 1;
  let best: 0 | 1 | undefined = exact;
  for (const [filter, qos] of filters) {
    if ((best === undefined || qos > best) && filterMatches(filter, topic, 'included')) best = qos;
  }
  return best;
}

export class DeviceSession {
  readonly #filters: Map<string, 0 | 1>;
  readonly #atLeastOnce: AtLeastOnce;
  #qosOf: Map<string, 0 | 1 | -1> | undefined;
  #output: Output | undefined;
  #dropped = 0;

  constructor(
    readonly clientId: string,
    /** True where the session outlives the connection. */
    readonly isPersistent: boolean,
    atLeastOnce: AtLeastOnce,
    filters: Filters = new Map(),
  ) {
    this.#atLeastOnce = atLeastOnce;
    this.#filters = new Map(filters);
  }

  get filters(): Filters {
    return this.#filters;
  }

  get isConnected(): boolean {
    return this.#output !== undefined;
  }

  /** QoS 0 messages that were lost because the device reads slower than it is sent to. */
  get dropped(): number {
    return this.#dropped;
  }

  subscribe(filter: string, qos: 0 | 1): void {
    this.#filters.set(filter, qos);
    this.#qosOf = undefined;
  }

  unsubscribe(filter: string): void {
    this.#filters.delete(filter);
    this.#qosOf = undefined;
  }

  attach(output: Output): void {
    this.#output = output;
    this.#atLeastOnce.attach(output);
  }

  detach(): void {
    this.#output = undefined;
    this.#atLeastOnce.detach();
  }

  acked(packetId: number): void {
    this.#atLeastOnce.acked(packetId);
  }

  drained(): void {
    this.#atLeastOnce.drained();
  }

  written(): void {
    this.#atLeastOnce.written?.();
  }

  /** Publishers wait for this device. */
  get holdsUp(): boolean {
    return this.#atLeastOnce.holdsUp === true;
  }

  /** See AtLeastOnce. */
  get awaitedAcks(): number | undefined {
    return this.#atLeastOnce.awaitedAcks;
  }

  /** Sends with the lower QoS of message and subscription. False where the device does not get it. */
  deliver(message: Message, outgoing: Outgoing, delivery: Delivery | undefined): boolean {
    const output = this.#output;
    if (output === undefined && !this.isPersistent) return false;
    const wanted = this.#wantedQos(message.topic);
    if (wanted === -1) return false;
    if (wanted === 1 && (delivery?.qos ?? message.qos) === 1) {
      return this.#atLeastOnce.push(message, () => outgoing.qos1(message), delivery);
    }
    if (output === undefined) return false;
    if (output.isFull) {
      this.#dropped += 1;
      return false;
    }
    output.writePublish(outgoing.qos0(message), 0);
    return true;
  }

  /** Why a message on this topic does not reach the device. */
  refusal(topic: string): string {
    if (this.#wantedQos(topic) === -1) return 'the device has not subscribed to the topic';
    return this.#output === undefined
      ? 'the device is not connected'
      : 'the device takes less than it is sent';
  }

  #wantedQos(topic: string): 0 | 1 | -1 {
    const known = this.#qosOf?.get(topic);
    if (known !== undefined) return known;
    const wanted = subscribedQos(this.#filters, topic) ?? -1;
    if (this.#qosOf === undefined || this.#qosOf.size >= MAX_KNOWN_TOPICS) this.#qosOf = new Map();
    this.#qosOf.set(topic, wanted);
    return wanted;
  }
}
