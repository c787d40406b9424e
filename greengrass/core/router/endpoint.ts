import type { Message } from './message.js';

/**
 * Something that can receive messages. Endpoints come to the router; the router knows none of them by type.
 * `deliver` is on the hot path: it must not block and must not throw. It answers false where it had to refuse the
 * message (queue full, gone), which the router counts and the sender's queueFullPolicy may need to know.
 */
export interface Endpoint {
  deliver(message: Message, target: string): boolean;
}
