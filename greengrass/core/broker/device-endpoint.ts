/**
 * A routed message on its way to a device: sent where the device is connected and has itself subscribed to the topic
 * (with MQTT's own rules), with the lower of the two QoS. A device that reads slower than it is sent to loses
 * messages, not the core its memory.
 */
import type { Client } from 'aedes';
import { thingNameOf } from '../../model/arn.js';
import { filterMatches } from '../../model/topic.js';
import type { Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';

/** What the device asked for, by topic filter. */
export type Filters = ReadonlyMap<string, 0 | 1>;

/** Highest QoS of the filters that take the topic, or undefined where none does. */
export function subscribedQos(filters: Filters, topic: string): 0 | 1 | undefined {
  const exact = filters.get(topic);
  if (exact === 1) return 1;
  let best: 0 | 1 | undefined = exact;
  for (const [filter, qos] of filters) {
    if ((best === undefined || qos > best) && filterMatches(filter, topic, 'included')) best = qos;
  }
  return best;
}

/** A connected client with what it subscribed to. */
export interface Subscriber {
  readonly client: Client;
  readonly filters: Filters;
  /** Bytes that were taken for the device and are not yet on their way through its socket. */
  unsentBytes: number;
}

/** Beyond it, messages for a device that does not read are refused. */
const MAX_UNSENT_BYTES = 8 * 1024 * 1024;
/** What a waiting message takes besides its payload, roughly. */
const MESSAGE_OVERHEAD_BYTES = 512;

export class DeviceEndpoint implements Endpoint {
  /** `find`: the connected client of a thing name. */
  constructor(private readonly find: (thingName: string) => Subscriber | undefined) {}

  deliver({ topic, payload, qos }: Message, target: string): boolean {
    const thingName = thingNameOf(target);
    const subscriber = thingName === undefined ? undefined : this.find(thingName);
    if (subscriber === undefined) return false;
    const wanted = subscribedQos(subscriber.filters, topic);
    if (wanted === undefined || subscriber.unsentBytes >= MAX_UNSENT_BYTES) return false;
    const granted = qos === 1 && wanted === 1 ? 1 : 0;
    const bytes = payload.length + MESSAGE_OVERHEAD_BYTES;
    subscriber.unsentBytes += bytes;
    // A failed write closes the client; there is nobody else to tell.
    subscriber.client.publish(
      { cmd: 'publish', topic, payload, qos: granted, retain: false, dup: false },
      () => {
        subscriber.unsentBytes -= bytes;
      },
    );
    return true;
  }
}
