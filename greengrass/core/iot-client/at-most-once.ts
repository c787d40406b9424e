/**
 * Messages of subscriptions that ask for QoS 0 (extension): handed to the connection now or dropped. None is kept, neither
 * on disk nor while the cloud is away, and what the connection has not got rid of yet is bounded.
 */
import { rowBytes } from './spool.js';
import type { SenderConnection } from './spool-sender.js';

const MAX_BYTES = 1024 * 1024;
/** Of very small ones. */
const MAX_COUNT = 500;

export class AtMostOnce {
  #bytes = 0;
  #count = 0;
  /** Of the connection: what an earlier one took with it is not counted any more. */
  #generation = 0;
  /** Messages that were not sent: the cloud was away, or took them too slowly. */
  unsent = 0;

  constructor(private readonly connection: SenderConnection) {}

  /** False: it was dropped, and counted. */
  send(topic: string, payload: Buffer): boolean {
    const size = rowBytes({ topic, payload });
    if (!this.connection.connected || this.#bytes + size > MAX_BYTES || this.#count >= MAX_COUNT) {
      this.unsent += 1;
      return false;
    }
    this.#bytes += size;
    this.#count += 1;
    const generation = this.#generation;
    const gone = () => {
      if (generation !== this.#generation) return;
      this.#bytes -= size;
      this.#count -= 1;
    };
    this.connection.publish(topic, payload, 0).then(gone, () => {
      gone();
      this.unsent += 1;
    });
    return true;
  }

  /** A new connection. */
  connected(): void {
    this.#generation += 1;
    this.#bytes = 0;
    this.#count = 0;
  }
}
