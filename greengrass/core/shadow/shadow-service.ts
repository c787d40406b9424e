/**
 * The local shadow service (V1's GGShadowService): shadows of the core and of devices, reached by functions through the
 * SDK and by everybody else through subscriptions. Works without the cloud.
 */
import type { Logger } from '../../lib/log.js';
import { rejected } from '../../model/shadow-answers.js';
import { runShadowOperation, type ShadowOperation } from '../../model/shadow-operations.js';
import { SHADOW_SERVICE } from '../../model/subscription.js';
import { shadowTopic } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import type { Message } from '../router/message.js';
import { ShadowStore } from './shadow-store.js';

/** Shadows that one core keeps: four times V1.11's devices of a group. A flood of names must not fill the disk. */
const MAX_SHADOWS = 10_000;

export interface ShadowServiceOptions {
  /** The database file. */
  readonly path: string;
  readonly logger: Logger;
  /** Accepted, rejected, delta and documents, with source GGShadowService. */
  readonly emit: (message: Message) => void;
}

export class ShadowService implements Component {
  readonly name = SHADOW_SERVICE;
  readonly #options: ShadowServiceOptions;
  #store: ShadowStore | undefined;

  constructor(options: ShadowServiceOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#store ??= new ShadowStore(this.#options.path);
  }

  async stop(): Promise<void> {
    this.#store?.close();
    this.#store = undefined;
  }

  health(): Health {
    return this.#store ? { healthy: true } : { healthy: false, reason: 'the shadow store is not open' };
  }

  /** Runs the operation, publishes what follows from it, answers the body of accepted or rejected. */
  request(thingName: string, operation: ShadowOperation, payload: Uint8Array): Buffer {
    const nowS = Math.floor(Date.now() / 1000);
    try {
      const store = this.#store;
      if (!store) throw new Error('the shadow store is not open');
      const kept = store.find(thingName);
      if (!kept && operation === 'update' && store.count() >= MAX_SHADOWS) {
        return this.#reject(thingName, operation, 429, `More than ${MAX_SHADOWS} shadows`, nowS);
      }
      const outcome = runShadowOperation(thingName, operation, payload, kept, nowS);
      if (outcome.store) store.put(thingName, outcome.store);
      for (const { topic, payload: body } of outcome.publications) this.#emit(topic, body);
      return outcome.body;
    } catch (error) {
      // A full or broken disk: the update was not accepted, and what is stored stays as it is.
      this.#options.logger.error(
        { thingName, operation, reason: (error as Error).message },
        'Shadow operation failed.',
      );
      return this.#reject(thingName, operation, 500, 'Internal service failure', nowS);
    }
  }

  #reject(
    thingName: string,
    operation: ShadowOperation,
    code: number,
    message: string,
    nowS: number,
  ): Buffer {
    const body = rejected(code, message, nowS);
    this.#emit(shadowTopic(thingName, operation, 'rejected'), body);
    return body;
  }

  #emit(topic: string, payload: Buffer): void {
    this.#options.emit({ source: SHADOW_SERVICE, topic, payload, qos: 0 });
  }
}
