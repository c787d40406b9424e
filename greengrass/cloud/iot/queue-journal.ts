/**
 * Writes the queues of persistent sessions: whatever is asked for while a transaction runs goes into the next one, in
 * order. So a publication waits for a commit that it shares with all others of that moment.
 */
import type { Logger } from '../../lib/log.js';
import type { QueueChange, QueuedMessage, QueueLimits, SessionStore } from '../store/sessions.js';

const MAX_BATCH = 500;

interface Batch {
  readonly changes: QueueChange[];
  readonly stored: Promise<void>;
  readonly settle: (error?: Error) => void;
}

export class QueueJournal {
  readonly #store: Pick<SessionStore, 'change'>;
  readonly #limits: QueueLimits;
  readonly #logger: Logger;
  readonly #waiting: Batch[] = [];
  #last: Promise<void> = Promise.resolve();
  #running = false;
  #dropped = 0;

  constructor(store: Pick<SessionStore, 'change'>, limits: QueueLimits, logger: Logger) {
    this.#store = store;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** Messages that were dropped because their sessions' queues were full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Resolves when the message is stored for all these sessions. */
  add(clientIds: readonly string[], message: QueuedMessage): Promise<void> {
    return this.#push({ kind: 'add', clientIds, message });
  }

  /** Where it fails the message is delivered again, which QoS 1 allows. */
  remove(clientId: string, key: string): void {
    this.#push({ kind: 'remove', clientId, key }).catch(() => {});
  }

  sent(clientId: string, key: string, messageId: number): void {
    this.#push({ kind: 'sent', clientId, key, messageId }).catch(() => {});
  }

  /** Resolves when everything that was asked for so far has been tried. */
  settled(): Promise<void> {
    return this.#last;
  }

  #push(change: QueueChange): Promise<void> {
    let batch = this.#waiting.at(-1);
    if (!batch || batch.changes.length >= MAX_BATCH) {
      batch = newBatch();
      this.#waiting.push(batch);
      this.#last = batch.stored.catch(() => {});
    }
    batch.changes.push(change);
    if (!this.#running) void this.#run();
    return batch.stored;
  }

  async #run(): Promise<void> {
    this.#running = true;
    // What is asked for in the same turn shares the first transaction too.
    await Promise.resolve();
    for (let batch = this.#waiting.shift(); batch; batch = this.#waiting.shift()) {
      try {
        for (const { clientId, messages } of await this.#store.change(batch.changes, this.#limits)) {
          this.#dropped += messages;
          this.#logger.warn(
            { clientId, messages, dropped: this.#dropped },
            'The queue of a session was full; its oldest messages were dropped.',
          );
        }
        batch.settle();
      } catch (error) {
        this.#logger.error({ reason: (error as Error).message }, 'Queues of sessions could not be written.');
        batch.settle(error as Error);
      }
    }
    this.#running = false;
  }
}

function newBatch(): Batch {
  let settle: (error?: Error) => void = () => {};
  const stored = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  return { changes: [], stored, settle };
}
