/**
 * The local shadow service (V1's GGShadowService): shadows of the core and of devices, reached by functions through the
 * SDK and by everybody else through subscriptions. Works without the cloud. An operation is on disk before anybody is told.
 */
import type { Logger } from '../../lib/log.js';
import { rejected } from '../../model/shadow-answers.js';
import {
  clientTokenOf,
  type KeptShadow,
  runShadowOperation,
  type ShadowOperation,
  type ShadowOutcome,
  type ShadowPublication,
} from '../../model/shadow-operations.js';
import { SHADOW_SERVICE } from '../../model/subscription.js';
import { shadowTopic } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import type { Message } from '../router/message.js';
import { GroupCommit } from './group-commit.js';
import { ShadowStore } from './shadow-store.js';

/** Shadows that one core keeps: four times V1.11's devices of a group. A flood of names must not fill the disk. */
const MAX_SHADOWS = 10_000;
/** Body of a get or a delete that says nothing. */
const EMPTY = Buffer.alloc(0);

export interface ShadowServiceOptions {
  /** The database file. */
  readonly path: string;
  readonly logger: Logger;
  /** Accepted, rejected, delta and documents, with source GGShadowService. */
  readonly emit: (message: Message) => void;
  /** Epoch milliseconds; for the timestamps in answers and metadata only, nothing is decided by it. */
  readonly now?: () => number;
}

/** What a step of the sync does to one shadow and to its own record, in one transaction. */
export interface SyncStep {
  /** An operation on the local shadow, as a client would ask for it. */
  readonly operation?: { readonly operation: 'update' | 'delete'; readonly payload: Uint8Array };
  /** The record from now on; null removes it; absent leaves it. */
  readonly record?: string | null;
}

export class ShadowService implements Component {
  readonly name = SHADOW_SERVICE;
  readonly #options: ShadowServiceOptions;
  readonly #listeners = new Set<(key: string) => void>();
  #store: ShadowStore | undefined;
  #commits: GroupCommit | undefined;

  constructor(options: ShadowServiceOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    if (this.#store) return;
    const store = new ShadowStore(this.#options.path);
    this.#store = store;
    this.#commits = new GroupCommit(
      (work) => store.transaction(work),
      (error) => this.#options.logger.error({ reason: error.message }, 'An answer could not be given.'),
    );
  }

  async stop(): Promise<void> {
    this.#commits?.flush();
    this.#store?.close();
    this.#store = undefined;
    this.#commits = undefined;
  }

  health(): Health {
    return this.#store ? { healthy: true } : { healthy: false, reason: 'the shadow store is not open' };
  }

  /** Runs the operation, publishes what follows from it, resolves with the body of accepted or rejected. Never rejects. */
  request(key: string, operation: ShadowOperation, payload: Uint8Array = EMPTY): Promise<Buffer> {
    return new Promise((resolve) => {
      const refuse = (code: number, text: string) =>
        resolve(this.#reject(key, operation, payload, code, text));
      const store = this.#store;
      if (!store || !this.#commits) return refuse(500, 'The local shadow service is not running');
      let outcome: ShadowOutcome | undefined;
      const added = this.#commits.add({
        run: () => {
          const kept = store.find(key);
          outcome = undefined;
          if (!kept && operation === 'update' && store.count >= MAX_SHADOWS) return;
          outcome = runShadowOperation(key, operation, payload, kept, this.#nowS());
          if (outcome.store) store.put(key, outcome.store);
        },
        committed: () => {
          if (!outcome) return refuse(429, `More than ${MAX_SHADOWS} shadows`);
          resolve(outcome.body);
          this.#publish(outcome.publications);
          if (outcome.store) this.#tellListeners(key);
        },
        failed: (error) => refuse(500, this.#storeFault(key, operation, error)),
      });
      if (!added) refuse(429, 'Too many requests wait for the local shadow service');
    });
  }

  /**
   * A step of the sync, among the operations of everybody else. `decide` sees the shadow and the record as they are in the
   * transaction, may be called twice, and must have no effects. Rejects where nothing could be stored.
   */
  syncStep(
    key: string,
    decide: (kept: KeptShadow | undefined, record: string | undefined) => SyncStep,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const store = this.#store;
      if (!store || !this.#commits) return reject(new Error('the local shadow service is not running'));
      let publications: readonly ShadowPublication[] = [];
      const added = this.#commits.add({
        run: () => {
          publications = [];
          const kept = store.find(key);
          const { operation, record } = decide(kept, store.syncRecord(key));
          if (record !== undefined) store.putSyncRecord(key, record ?? undefined);
          if (!operation) return;
          if (!kept && store.count >= MAX_SHADOWS) throw new Error(`more than ${MAX_SHADOWS} shadows`);
          const outcome = runShadowOperation(key, operation.operation, operation.payload, kept, this.#nowS());
          if (!outcome.store) throw new Error(`the local shadow refused the sync's ${operation.operation}`);
          store.put(key, outcome.store);
          publications = outcome.publications;
        },
        committed: () => {
          resolve();
          this.#publish(publications);
        },
        failed: (error) => {
          this.#storeFault(key, 'sync', error);
          reject(error);
        },
      });
      if (!added) reject(new Error('too many requests wait for the local shadow service'));
    });
  }

  /** Called with the key after each change that did not come from the sync. */
  onChanged(listener: (key: string) => void): void {
    this.#listeners.add(listener);
  }

  /** Keys of the shadows that have a document (thing, or thing/name), in order. */
  keys(thingName?: string): string[] {
    return this.#store?.keys(thingName) ?? [];
  }

  /** Keys that the sync keeps records of. */
  syncedKeys(): string[] {
    return this.#store?.syncedKeys() ?? [];
  }

  #nowS(): number {
    return Math.floor((this.#options.now ?? Date.now)() / 1000);
  }

  /** A full or broken disk: the change was not accepted, and what is stored stays as it is. Answers the text. */
  #storeFault(key: string, operation: string, error: Error): string {
    this.#options.logger.error({ key, operation, reason: error.message }, 'Shadow operation failed.');
    const code = (error as NodeJS.ErrnoException).code ?? '';
    return code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR')
      ? 'The local shadow store could not be written: the disk of the core is full or faulty'
      : 'Internal service failure';
  }

  #reject(
    key: string,
    operation: ShadowOperation,
    request: Uint8Array,
    code: number,
    message: string,
  ): Buffer {
    const payload = rejected(code, message, this.#nowS(), clientTokenOf(request));
    this.#publish([{ topic: shadowTopic(key, operation, 'rejected'), payload }]);
    return payload;
  }

  #publish(publications: readonly ShadowPublication[]): void {
    for (const { topic, payload } of publications) {
      this.#options.emit({ source: SHADOW_SERVICE, topic, payload, qos: 0 });
    }
  }

  #tellListeners(key: string): void {
    for (const listener of this.#listeners) listener(key);
  }
}
