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
  /** Of all queues together; beyond it the largest ones lose their oldest messages. */
  readonly totalBytes: number;
}

export const DEFAULT_SESSION_SETTINGS: SessionSettings = {
  expiryMs: 60 * 60 * 1000,
  queue: { messages: 10_000, bytes: 64 * 1024 * 1024 },
  totalBytes: 4 * 1024 * 1024 * 1024,
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
  #tellOthers: ((notice: SessionNotice) => Promise<void>) | undefined;
  /** Sessions that changed while the store was read. */
  #changed: Set<string> | undefined;
  #dropped = 0;
  #sweeps: NodeJS.Timeout | undefined;

  constructor(store: SessionStore, settings: SessionSettings, logger: Logger) {
    this.#store = store;
    this.#settings = settings;
    this.#logger = logger;
    this.#journal = new QueueJournal(store, settings.queue, logger);
  }

  /** Messages that were dropped because a queue was full. */
  get droppedMessages(): number {
    return this.#journal.dropped + this.#dropped;
  }

  /** `tellOthers` hears of every change of a session, and is waited for; absent: there are no other replicas. */
  async start(tellOthers?: (notice: SessionNotice) => Promise<void>): Promise<void> {
    this.#tellOthers = tellOthers;
    await this.#load();
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
    this.#changed?.add(clientId);
    if (filters) this.#index.set(clientId, filters);
    else this.#index.delete(clientId);
  }

  /** A client connects with cleanSession=false: its session, where there is one, else a new one and undefined. */
  async resume(clientId: string): Promise<ReadonlyMap<string, number> | undefined> {
    await this.#store.deleteUnseen(clientId, this.#expired());
    // The store is asked, not the index: word of a session that another replica made may be on its way.
    const stored = await this.#store.find(clientId);
    if (!stored && this.#index.size >= MAX_SESSIONS)
      throw new Error(`no further persistent session: ${MAX_SESSIONS} are kept already`);
    await this.#store.open(clientId, new Date().toISOString());
    this.#index.set(clientId, stored?.filters ?? []);
    if (!stored) await this.#notify(clientId);
    return stored && this.#index.filtersOf(clientId);
  }

  /** A client connects with cleanSession=true: what was kept for it goes. */
  async discard(clientId: string): Promise<void> {
    const isElsewhere = async () => this.#tellOthers && (await this.#store.find(clientId));
    if (!this.#index.has(clientId) && !(await isElsewhere())) return;
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
    this.#changed?.add(clientId);
    await this.#tellOthers?.({ clientId, filters: [...this.#index.filtersOf(clientId)] });
  }

  async #forget(clientId: string): Promise<void> {
    this.#index.delete(clientId);
    this.#changed?.add(clientId);
    await this.#tellOthers?.({ clientId });
  }

  #expired(): string {
    return new Date(Date.now() - this.#settings.expiryMs).toISOString();
  }

  /** Makes the index what the store says. */
  async #load(): Promise<void> {
    this.#changed = new Set();
    const sessions = await this.#store.list();
    const changed = this.#changed;
    this.#changed = undefined;
    const stored = new Set(sessions.map(({ clientId }) => clientId));
    for (const clientId of this.#index.clientIds())
      if (!stored.has(clientId) && !changed.has(clientId)) this.#index.delete(clientId);
    for (const { clientId, filters } of sessions)
      if (!changed.has(clientId) && !this.#index.equals(clientId, filters))
        this.#index.set(clientId, filters);
  }

  async #sweep(): Promise<void> {
    // Word of another replica may have been lost while its bus was out of reach.
    if (this.#tellOthers) await this.#load();
    for (const { clientId, messages } of await this.#store.shrink(this.#settings.totalBytes)) {
      this.#dropped += messages;
      this.#logger.warn(
        { clientId, messages },
        'The queues of all sessions are full; its oldest messages were dropped.',
      );
    }
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
