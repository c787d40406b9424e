/** A message as the packets that devices get: encoded once, whatever the number of its targets. */
import type { Message } from '../router/message.js';
import { encodePublish, type PublishBytes } from './server-packets.js';

export class Outgoing {
  #message: Message | undefined;
  #qos0: PublishBytes | undefined;
  #qos1: PublishBytes | undefined;

  /** The packet in which a device sent `message` is the packet that others get, where the QoS is the same. */
  prime(message: Message, packet: PublishBytes): void {
    this.#message = message;
    this.#qos0 = message.qos === 0 ? packet : undefined;
    this.#qos1 = message.qos === 1 ? packet : undefined;
  }

  /** Forgets the message: it must not be kept alive by what was sent. */
  clear(): void {
    this.#message = undefined;
    this.#qos0 = undefined;
    this.#qos1 = undefined;
  }

  qos0(message: Message): PublishBytes {
    if (this.#message !== message) this.#begin(message);
    this.#qos0 ??= encodePublish(message.topic, message.payload, 0);
    return this.#qos0;
  }

  qos1(message: Message): PublishBytes {
    if (this.#message !== message) this.#begin(message);
    this.#qos1 ??= encodePublish(message.topic, message.payload, 1);
    return this.#qos1;
  }

  #begin(message: Message): void {
    this.clear();
    this.#message = message;
  }
}
