/**
 * The cloud's shadows: one operation at a time for a thing, stored before it is answered, answered on the topics of AWS
 * IoT. Over HTTP and over MQTT the same operations run.
 */

import type { ShadowDocument } from '../../model/shadow-document.js';
import { runShadowOperation, type ShadowOperation } from '../../model/shadow-operations.js';
import type { Store } from '../store/store.js';

export interface ShadowAnswer {
  readonly accepted: boolean;
  readonly code: number;
  readonly body: Buffer;
}

export type ShadowListener = (thingName: string, document: ShadowDocument) => void;

export class CloudShadows {
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #listeners = new Set<ShadowListener>();
  #publish: (topic: string, payload: Buffer) => void = () => {};

  constructor(private readonly store: Pick<Store, 'shadows'>) {}

  /** Where accepted, rejected, delta and documents go; the broker is made later than the shadows. */
  publishTo(publish: (topic: string, payload: Buffer) => void): void {
    this.#publish = publish;
  }

  /** Called after each accepted update. */
  onUpdated(listener: ShadowListener): void {
    this.#listeners.add(listener);
  }

  get(thingName: string, payload: Uint8Array = Buffer.alloc(0)): Promise<ShadowAnswer> {
    return this.run(thingName, 'get', payload);
  }

  update(thingName: string, payload: Uint8Array): Promise<ShadowAnswer> {
    return this.run(thingName, 'update', payload);
  }

  delete(thingName: string, payload: Uint8Array = Buffer.alloc(0)): Promise<ShadowAnswer> {
    return this.run(thingName, 'delete', payload);
  }

  /** Runs behind the operations on the same thing that came before. */
  run(thingName: string, operation: ShadowOperation, payload: Uint8Array): Promise<ShadowAnswer> {
    const before = this.#queues.get(thingName) ?? Promise.resolve();
    const result = before.catch(() => undefined).then(() => this.#run(thingName, operation, payload));
    this.#queues.set(thingName, result);
    const forget = () => {
      if (this.#queues.get(thingName) === result) this.#queues.delete(thingName);
    };
    result.then(forget, forget);
    return result;
  }

  async #run(thingName: string, operation: ShadowOperation, payload: Uint8Array): Promise<ShadowAnswer> {
    const kept = await this.store.shadows.find(thingName);
    const nowS = Math.floor(Date.now() / 1000);
    const outcome = runShadowOperation(thingName, operation, payload, kept, nowS);
    if (outcome.store) await this.store.shadows.put(thingName, outcome.store);
    for (const { topic, payload: body } of outcome.publications) this.#publish(topic, body);
    if (outcome.store?.document)
      for (const listener of this.#listeners) listener(thingName, outcome.store.document);
    const { accepted, code, body } = outcome;
    return { accepted, code, body };
  }
}
