import type { Message } from './message.js';

/** What subscriptions ask of a delivery beyond V1 (extension); absent members are V1's way. */
export interface Delivery {
  /** 0: at most once, whatever the sender asked for. 1: at least once, though the sender did not ask for it. */
  readonly qos?: 0 | 1;
  /** Higher goes first where messages wait; 0 where absent. */
  readonly priority?: number;
  /** How long the message may wait, in ms. */
  readonly ttlMs?: number;
}

/**
 * Something that can receive messages. Endpoints come to the router; the router knows none of them by type.
 * `deliver` is on the hot path: it must not block and must not throw. It answers false where it had to refuse the
 * message (queue full, gone), which the router counts and the sender's queueFullPolicy may need to know.
 */
export interface Endpoint {
  /**
   * True where `deliver` takes all that it needs of the message before it returns. Others get their payload in memory that
   * stays: what a device has sent is in a buffer that is used again when the turn of the event loop is over.
   */
  readonly keepsNoMessage?: boolean;
  deliver(message: Message, target: string, delivery?: Delivery): boolean;
  /**
   * Makes durable what `deliver` took, all at once. Called at the end of a turn of the event loop, before anybody hears that
   * his message was accepted. False where that failed: then those whose messages it were do not hear it. Must not throw.
   */
  settle?(): boolean;
  /** True where `count` copies of the message, for targets of this endpoint, would be taken now. Absent: always. */
  hasRoom?(message: Message, count: number, delivery?: Delivery): boolean;
  /** Why it refused `message`, for somebody who traces it. */
  explain?(message: Message, target: string): string;
}
