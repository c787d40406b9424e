/**
 * The cloud's shadows: one operation at a time for a thing, stored before it is answered, answered on the topics of AWS
 * IoT. Over HTTP and over MQTT the same operations run.
 */

import type { ShadowDocument } from '../../model/shadow-document.js';
import {
  runShadowOperation,
  type ShadowOperation,
  type ShadowOutcome,
} from '../../model/shadow-operations.js';
import { LocalExclusive } from '../store/exclusive.js';
import type { Store, StoredShadow } from '../store/store.js';

export interface ShadowAnswer {
  readonly accepted: boolean;
  readonly code: number;
  readonly body: Buffer;
}

/** Each collision means that another replica got on; so many in a row mean that something is broken. */
const MOST_TRIES = 100;
/** Shadows, of 8 KB at most each, whose last state is remembered. */
const MOST_KNOWN = 256;

/** `key` as in ShadowTopic: the thing's name, unless the shadow is a named one. */
export type ShadowListener = (key: string, document: ShadowDocument) => void;

export class CloudShadows {
  readonly #listeners = new Set<ShadowListener>();
  readonly #queue = new LocalExclusive();
  /** As this process stored them last; the oldest first. */
  readonly #known = new Map<string, StoredShadow>();
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
    return this.#queue.run(key, () => this.#run(key, operation, payload));
  }

  async #run(key: string, operation: ShadowOperation, payload: Uint8Array): Promise<ShadowAnswer> {
    const outcome = await this.#store(key, operation, payload);
    for (const { topic, payload: body } of outcome.publications) this.#publish(topic, body);
    if (outcome.store?.document)
      for (const listener of this.#listeners) listener(key, outcome.store.document);
    const { accepted, code, body } = outcome;
    return { accepted, code, body };
  }

  /** Between replicas no lock is held: what another one changed meanwhile is read, and the operation is done on that. */
  async #store(key: string, operation: ShadowOperation, payload: Uint8Array): Promise<ShadowOutcome> {
    // What this replica wrote last is most often still there: a write finds out. A refusal must be of what is kept now.
    const known = this.#known.get(key);
    if (known && operation !== 'get') {
      const outcome = await this.#try(key, operation, payload, known);
      if (outcome?.store) return outcome;
    }
    for (let tries = 1; tries <= MOST_TRIES; tries++) {
      const outcome = await this.#try(key, operation, payload, await this.store.shadows.find(key));
      if (outcome) return outcome;
    }
    throw new Error(`the shadow ${key} was changed by others ${MOST_TRIES} times during one ${operation}`);
  }

  /** Undefined where the shadow was not, or is no longer, as `kept` says. */
  async #try(
    key: string,
    operation: ShadowOperation,
    payload: Uint8Array,
    kept: StoredShadow | undefined,
  ): Promise<ShadowOutcome | undefined> {
    const nowS = Math.floor(Date.now() / 1000);
    const outcome = runShadowOperation(key, operation, payload, kept, nowS);
    if (!outcome.store) return outcome;
    this.#known.delete(key);
    if (!(await this.store.shadows.replace(key, kept, outcome.store))) return undefined;
    this.#known.set(key, outcome.store);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    return outcome;
  }
}
