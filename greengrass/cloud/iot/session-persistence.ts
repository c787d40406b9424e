/**
 * What aedes wants of a persistence, answered from persistent sessions and retained messages. Much of it has nothing to
 * do: publications are stored before aedes routes them, outboxes send what waits, QoS 2 does not exist, and a will is
 * with its connection.
 */
import { Readable } from 'node:stream';
import type { Client } from 'aedes';
import { connectionOf } from './client-stream.js';
import type { PersistentSessions } from './persistent-sessions.js';
import type { RetainedMessages } from './retained-messages.js';

/**
 * A subscription that stands for "there is a session": aedes tells the client so only where there are subscriptions.
 * It is refused when it is restored.
 */
export const SESSION_MARK = '$session';

interface StoredSubscription {
  readonly topic: string;
  readonly qos: number;
}

export class SessionPersistence {
  constructor(
    private readonly sessions: PersistentSessions,
    private readonly retained: RetainedMessages,
  ) {}

  async setup(): Promise<void> {}
  async destroy(): Promise<void> {}

  async subscriptionsByClient({ id }: { readonly id: string }): Promise<StoredSubscription[]> {
    const filters = await this.sessions.resume(id);
    if (!filters) return [];
    return [
      { topic: SESSION_MARK, qos: 0 },
      ...Array.from(filters, ([topic, qos]): StoredSubscription => ({ topic, qos })),
    ];
  }

  cleanSubscriptions({ id }: Client): Promise<void> {
    return this.sessions.discard(id);
  }

  /** Done when the subscription was granted. */
  async addSubscriptions(): Promise<void> {}

  removeSubscriptions({ id }: Client, filters: readonly string[]): Promise<void> {
    return this.sessions.unsubscribe(id, filters);
  }

  /** None that aedes would have to queue for. */
  async subscriptionsByTopic(): Promise<never[]> {
    return [];
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return { subsCount: 0, clientsCount: 0 };
  }

  async outgoingEnqueue(): Promise<void> {}
  async outgoingEnqueueCombi(): Promise<void> {}
  async outgoingUpdate(): Promise<void> {}

  /** PUBACK, or (without a packet identifier) a message that aedes itself does not deliver. */
  async outgoingClearMessageId(client: Client, packet: { readonly messageId?: number }): Promise<undefined> {
    if (packet.messageId !== undefined) connectionOf(client)?.outbox?.acknowledge(packet.messageId);
    return undefined;
  }

  outgoingStream(): Readable {
    return Readable.from([]);
  }

  async incomingStorePacket(): Promise<never> {
    throw new Error('QoS 2 is not supported');
  }

  async incomingGetPacket(): Promise<never> {
    throw new Error('no such packet');
  }

  async incomingDelPacket(): Promise<never> {
    throw new Error('no such packet');
  }

  /** Done when the publication was taken. */
  async storeRetained(): Promise<void> {}

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#retained(filters));
  }

  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter]);
  }

  async putWill(): Promise<void> {}
  async getWill(): Promise<undefined> {
    return undefined;
  }
  async delWill(): Promise<undefined> {
    return undefined;
  }
  streamWill(): Readable {
    return Readable.from([]);
  }

  async *#retained(filters: readonly string[]): AsyncGenerator<object, void, void> {
    for await (const { topic, payload, qos } of this.retained.matching(filters))
      yield { cmd: 'publish', topic, payload, qos, retain: true };
  }
}
