/**
 * The few things of aedes that its types do not show and that this broker needs. The version is pinned in package.json;
 * each function fails at once, by name, where an update has taken away what it stands on.
 */
import type { EventEmitter } from 'node:events';
import type { Aedes, Client, PublishPacket, Subscription } from 'aedes';

/** What an MQTT packet may be, as far as it is looked at before aedes handles it. */
export type InboundPacket =
  | { readonly cmd: 'connect' | 'disconnect' | 'pingreq' | 'puback' | 'pubrec' | 'pubrel' | 'pubcomp' }
  | { readonly cmd: 'publish'; readonly qos: number; readonly topic: string }
  | { readonly cmd: 'subscribe'; subscriptions: Subscription[] }
  | { readonly cmd: 'unsubscribe'; readonly unsubscriptions: string[] };

export type PacketListener = (this: { readonly client: Client }, packet: InboundPacket) => void;

/** Calls `listener` with each packet of the client before aedes handles it; `this.client` is the client. */
export function beforeEachPacket(client: Client, listener: PacketListener): void {
  inner<{ _parser: EventEmitter }>(client, '_parser')._parser.prependListener('packet', listener);
}

interface Emitted {
  brokerCounter: number;
  brokerId: string;
}

/**
 * Numbers packets when they go out to the subscribers. aedes numbers them earlier, then waits for the persistence; a
 * packet that is overtaken meanwhile would look like a repetition to a client that gets both, and be left out.
 */
export function numberAtEmission(broker: Aedes): void {
  const { mq } = inner<{ mq: { emit(packet: Emitted, done: () => void): unknown } }>(broker, 'mq');
  const counted = inner<{ counter: number }>(broker, 'counter');
  const emit = mq.emit.bind(mq);
  mq.emit = (packet, done) => {
    packet.brokerId = broker.id;
    packet.brokerCounter = ++counted.counter;
    return emit(packet, done);
  };
}

/** aedes registers a client that was closed while it connected, and never takes it out again. */
export function forgetClosedClient(broker: Aedes, client: Client): void {
  inner<{ unregisterClient(client: Client): void }>(broker, 'unregisterClient').unregisterClient(client);
}

/** A client's publication before it is routed; aedes' type leaves out what it really holds. */
export function payloadOf({ payload }: Pick<PublishPacket, 'payload'>): Buffer {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}

function inner<T extends object>(from: object, member: keyof T & string): T {
  if (!(member in from)) throw new Error(`aedes has no ${member} any more; the broker needs it`);
  return from as T;
}
