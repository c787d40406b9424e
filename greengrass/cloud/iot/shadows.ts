/**
 * The cloud's shadows: one operation at a time for a thing, stored before it is answered, answered on the topics of AWS
 * IoT. Over HTTP and over MQTT the same operations run.
 */

import type { ShadowDocument } from '../../model/shadow-document.js';
import { runShadowOperation, type ShadowOperation } from '../../model/shadow-operations.js';
import { type Exclusive, LocalExclusive } from '../store/exclusive.js';
import type { Store } from '../store/store.js';

export interface ShadowAnswer {
  readonly accepted: boolean;
  readonly code: number;
  readonly body: Buffer;
}

/** `key` as in ShadowTopic: the thing's name, unless the shadow is a named one. */
export type ShadowListener = (key: string, document: ShadowDocument) => void;

export class CloudShadows {
  readonly #listeners = new Set<ShadowListener>();
  #publish: (topic: string, payload: Buffer) => void = () => {};

  constructor(
    private readonly store: Pick<Store, 'shadows'>,
    private readonly exclusive: Exclusive = new LocalExclusive(),
  ) {}

  /** Where accepted, rejected, delta and documents go; the broker is made later than the shadows. */
  publishTo(publish: (topic: string, payload: Buffer) => void): void {
    this.#publish = publish;
  }

  /** Called after each accepted update. */
  onUpdated(listener: ShadowListener): void {
    this.#listeners.add(listener);
  }

  get(key: string, payload: Uint8Array = Buffer.alloc(0)): Promise<ShadowAnswer> {
    return this.run(key, 'get', payload);
  }

  update(key: string, payload: Uint8Array): Promise<ShadowAnswer> {
    return this.run(key, 'update', payload);
  }

  delete(key: string, payload: Uint8Array = Buffer.alloc(0)): Promise<ShadowAnswer> {
    return this.run(key, 'delete', payload);
  }

  /** Runs behind the operations on the same shadow that came before. `key` as in ShadowTopic. */
  run(key: string, operation: ShadowOperation, payload: Uint8Array): Promise<ShadowAnswer> {
    return this.exclusive.run(`shadow ${key}`, () => this.#run(key, operation, payload));
  }

  async #run(key: string, operation: ShadowOperation, payload: Uint8Array): Promise<ShadowAnswer> {
    const kept = await this.store.shadows.find(key);
    const nowS = Math.floor(Date.now() / 1000);
    const outcome = runShadowOperation(key, operation, payload, kept, nowS);
    if (outcome.store) await this.store.shadows.put(key, outcome.store);
    for (const { topic, payload: body } of outcome.publications) this.#publish(topic, body);
    if (outcome.store?.document)
      for (const listener of this.#listeners) listener(key, outcome.store.document);
    const { accepted, code, body } = outcome;
    return { accepted, code, body };
  }
}
