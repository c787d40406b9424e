/**
 * What an endpoint has taken over in this turn of the event loop and from whom: where it can't be made durable, only those
 * who sent it are to miss their acknowledgement. Nobody else suffers from a full disk.
 */
import type { Endpoint } from './endpoint.js';

export class Settling {
  readonly #sources = new Set<string>();
  #last = '';

  constructor(readonly endpoint: Endpoint) {}

  /** On the hot path: mostly the source of the message before. */
  note(source: string): void {
    if (source === this.#last) return;
    this.#last = source;
    this.#sources.add(source);
  }

  /** Adds to `failed` whose messages are not durable. */
  settle(failed: Set<string>): void {
    if (this.endpoint.settle?.() === false) for (const source of this.#sources) failed.add(source);
    if (this.#sources.size > 0) this.#sources.clear();
    this.#last = '';
  }
}
