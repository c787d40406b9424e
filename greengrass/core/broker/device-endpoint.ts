/**
 * A routed message on its way to a device: sent where the device has itself subscribed to the topic (with MQTT's own
 * rules), with the lower of the two QoS. A device that reads slower than it is sent to costs messages, not the core its
 * memory.
 */
import { thingNameOf } from '../../model/arn.js';
import type { Delivery, Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import type { Outgoing } from './outgoing.js';
import type { Sessions } from './sessions.js';

/** Names of targets are taken apart once. */
const MAX_KNOWN_TARGETS = 10_000;

export class DeviceEndpoint implements Endpoint {
  readonly keepsNoMessage = true;
  readonly #thingNames = new Map<string, string>();

  constructor(
    private readonly sessions: Sessions,
    private readonly outgoing: Outgoing,
  ) {}

  deliver(message: Message, target: string, delivery?: Delivery): boolean {
    const session = this.sessions.find(this.#thingNames.get(target) ?? this.#learn(target));
    return session?.deliver(message, this.outgoing, delivery) ?? false;
  }

  explain(message: Message, target: string): string {
    const session = this.sessions.find(this.#learn(target));
    return session?.refusal(message.topic) ?? 'the device is not connected';
  }

  settle(): boolean {
    return this.sessions.settle();
  }

  #learn(target: string): string {
    const thingName = thingNameOf(target) ?? '';
    if (this.#thingNames.size >= MAX_KNOWN_TARGETS) this.#thingNames.clear();
    this.#thingNames.set(target, thingName);
    return thingName;
  }
}
