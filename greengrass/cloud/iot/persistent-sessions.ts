/**
 * Persistent sessions (cleanSession=false), as AWS IoT keeps them: subscriptions and QoS-1 messages, until the client was
 * away for the expiry time. They are in the store, so that they outlive this process; the index of their topic filters is
 * in memory, the same one in every replica.
 */
import type { Logger } from '../../lib/log.js';
import type { QueuedMessage, QueueLimits, SessionStore } from '../store/sessions.js';
import { MessageKeys } from './message-key.js';
import { QueueJournal } from './queue-journal.js';
import { SessionIndex } from './session-index.js';
import { type OutboxPeer, SessionOutbox } from './session-outbox.js';

const MAX_SESSIONS = 100_000;
const MAX_SWEEP_INTERVAL_MS = 60_000;
const SWEEP_PAGE = 100;

export interface SessionSettings {
  /** A session ends when its client was away for so long. */
  readonly expiryMs: number;
  readonly queue: QueueLimits;
}

export const DEFAULT_SESSION_SETTINGS: SessionSettings = {
  expiryMs: 60 * 60 * 1000,
  queue: { messages: 10_000, bytes: 64 * 1024 * 1024 },
};

/** A session as it is now: what other replicas are told. Without filters: it is no more. */
export interface SessionNotice {
  readonly clientId: string;
  readonly filters?: Array<[filter: string, qos: number]> | undefined;
}

export class PersistentSessions {
  readonly #store: SessionStore;
  readonly #settings: SessionSettings;
  readonly #logger: Logger;
  readonly #index = new SessionIndex();
  readonly #journal: QueueJournal;
  readonly #keys = new MessageKeys();
  /** Of the clients that are connected here. */
  readonly #outboxes = new Map<string, SessionOutbox>();
  readonly #noting = new Set<Promise<void>>();
  #tell: (notice: SessionNotice) => Promise<void> = async () => {};
  #sweeps: NodeJS.Timeout | undefined;

  constructor(store: SessionStore, settings: SessionSettings, logger: Logger) {
    this.#store = store;
    this.#settings = settings;
    this.#logger = logger;
    this.#journal = new QueueJournal(store, settings.queue, logger);
  }

  /** Messages that were dropped because a queue was full. */
  get droppedMessages(): number {
    return this.#journal.dropped;
  }

  /** `tell` hears of every change of a session, and is waited for. */
  async start(tell: (notice: SessionNotice) => Promise<void>): Promise<void> {
    this.#tell = tell;
    for (const { clientId, filters } of await this.#store.list()) this.#index.set(clientId, filters);
    const interval = Math.min(MAX_SWEEP_INTERVAL_MS, this.#settings.expiryMs / 4);
    this.#sweeps = setInterval(() => {
      this.#sweep().catch((error: Error) =>
        this.#logger.error({ reason: error.message }, 'Sessions that expired could not be deleted.'),
      );
    }, interval);
    this.#sweeps.unref();
  }

  /** Resolves when what was asked for is written. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeps);
    for (const outbox of this.#outboxes.values()) outbox.close();
    this.#outboxes.clear();
    await Promise.all([this.#journal.settled(), ...this.#noting]);
  }

  /** Another replica changed a session. */
  take({ clientId, filters }: SessionNotice): void {
    if (filters) this.#index.set(clientId, filters);
    else this.#index.delete(clientId);
  }

  /** A client connects with cleanSession=false: its session, where there is one, else a new one and undefined. */
  async resume(clientId: string): Promise<ReadonlyMap<string, number> | undefined> {
    const known = this.#index.has(clientId);
    if (!known && this.#index.size >= MAX_SESSIONS)
      throw new Error(`no further persistent session: ${MAX_SESSIONS} are kept already`);
    const isOver = known && (await this.#store.deleteUnseen(clientId, this.#expired()));
    const present = known && !isOver;
    await this.#store.open(clientId, new Date().toISOString());
    if (!present) {
      this.#index.set(clientId, []);
      await this.#notify(clientId);
    }
    return present ? this.#index.filtersOf(clientId) : undefined;
  }

  /** A client connects with cleanSession=true: what was kept for it goes. */
  async discard(clientId: string): Promise<void> {
    if (!this.#index.has(clientId)) return;
    await this.#store.delete(clientId);
    await this.#forget(clientId);
  }

  /** From now on what is stored for the session is offered to the outbox too. */
  attach(peer: OutboxPeer): SessionOutbox {
    const outbox = new SessionOutbox(peer, this.#store, this.#journal, this.#logger);
    this.#outboxes.get(peer.clientId)?.close();
    this.#outboxes.set(peer.clientId, outbox);
    return outbox;
  }

  /** The client is gone; the time of its absence starts. */
  detach(clientId: string, outbox: SessionOutbox): void {
    outbox.close();
    if (this.#outboxes.get(clientId) !== outbox) return;
    this.#outboxes.delete(clientId);
    const noted = this.#store
      .touch([clientId], new Date().toISOString())
      .catch((error: Error) =>
        this.#logger.warn({ clientId, reason: error.message }, 'The end of a connection was not noted.'),
      )
      .finally(() => this.#noting.delete(noted));
    this.#noting.add(noted);
  }

  async subscribe(clientId: string, filter: string, qos: number): Promise<void> {
    if (!this.#index.has(clientId) || this.#index.filtersOf(clientId).get(filter) === qos) return;
    await this.#store.subscribe(clientId, filter, qos);
    this.#index.subscribe(clientId, filter, qos);
    await this.#notify(clientId);
  }

  async unsubscribe(clientId: string, filters: readonly string[]): Promise<void> {
    if (!filters.some((filter) => this.#index.filtersOf(clientId).has(filter))) return;
    await this.#store.unsubscribe(clientId, filters);
    this.#index.unsubscribe(clientId, filters);
    await this.#notify(clientId);
  }

  /**
   * Stores a QoS-1 publication for every session that takes it. Resolves when it is safe; where there is no such session
   * the store is not asked.
   */
  async enqueue(topic: string, payload: Uint8Array): Promise<Enqueued> {
    const clientIds = this.#index.match(topic);
    const message = { key: this.#keys.next(), topic, payload };
    if (clientIds.length > 0) await this.#journal.add(clientIds, message);
    this.#offer(clientIds, message);
    return { key: message.key, clientIds };
  }

  /**
   * Another replica took the publication, and stored it for the sessions that it knew of. One that subscribed here
   * while the publication was on its way gets it too.
   */
  async deliver({ key, clientIds }: Enqueued, topic: string, payload: Uint8Array): Promise<void> {
    const message = { key, topic, payload };
    this.#offer(clientIds, message);
    const missed = this.#index
      .match(topic)
      .filter((clientId) => this.#outboxes.has(clientId) && !clientIds.includes(clientId));
    if (missed.length === 0) return;
    await this.#journal.add(missed, message);
    this.#offer(missed, message);
  }

  #offer(clientIds: readonly string[], message: QueuedMessage): void {
    for (const clientId of clientIds) this.#outboxes.get(clientId)?.offer(message);
  }

  async #notify(clientId: string): Promise<void> {
    await this.#tell({ clientId, filters: [...this.#index.filtersOf(clientId)] });
  }

  async #forget(clientId: string): Promise<void> {
    this.#index.delete(clientId);
    await this.#tell({ clientId });
  }

  #expired(): string {
    return new Date(Date.now() - this.#settings.expiryMs).toISOString();
  }

  async #sweep(): Promise<void> {
    for (const outbox of this.#outboxes.values()) outbox.forgetOld();
    const connected = [...this.#outboxes.keys()];
    if (connected.length > 0) await this.#store.touch(connected, new Date().toISOString());
    for (;;) {
      const before = this.#expired();
      const unseen = await this.#store.unseen(before, SWEEP_PAGE);
      for (const clientId of unseen) {
        if (!(await this.#store.deleteUnseen(clientId, before))) continue;
        this.#logger.info({ clientId }, 'A persistent session has expired.');
        await this.#forget(clientId);
      }
      if (unseen.length < SWEEP_PAGE) return;
    }
  }
}

export interface Enqueued {
  readonly key: string;
  readonly clientIds: readonly string[];
}
