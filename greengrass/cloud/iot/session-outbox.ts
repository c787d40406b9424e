/**
 * Brings the queue of one persistent session to its connected client. Every message is in the store before it is offered
 * here. While the client keeps up it is sent at once; where too many wait for their PUBACK, or the client does not read,
 * it stays in the store and comes from there in its turn. What was acknowledged is taken out of the store.
 */
import type { Logger } from '../../lib/log.js';
import type { QueuedMessage, SessionStore } from '../store/sessions.js';
import { timeOfKey } from './message-key.js';
import type { PublishFrame } from './publish-frame.js';
import type { QueueJournal } from './queue-journal.js';

/** Messages that may wait for their PUBACK, AWS IoT's quota. */
const WINDOW = 100;
/** With the retained messages, which are not held back by the window. */
const MAX_IN_FLIGHT = 10_000;
const PAGE = 100;
/** A message that came from the store is offered as well, at most so much later (by another replica). */
const OFFERED_WITHIN_MS = 60_000;
const MAX_MESSAGE_ID = 65_535;

/** The connection, as far as it is needed here. */
export interface OutboxPeer {
  readonly clientId: string;
  send(frame: PublishFrame): void;
  mayReceive(topic: string): boolean;
  /** True while the client does not read what was sent; `drained` is called once it did. */
  isCongested(drained: () => void): boolean;
  /** The queue can't be read: the client is to come again. */
  fail(): void;
}

export class SessionOutbox {
  readonly #peer: OutboxPeer;
  readonly #store: Pick<SessionStore, 'queued'>;
  readonly #journal: QueueJournal;
  readonly #logger: Logger;
  /** Key by packet identifier; undefined: a retained message, which no queue holds. */
  readonly #inFlight = new Map<number, string | undefined>();
  readonly #keys = new Set<string>();
  /** Acknowledged while a page was read that may still show them. */
  readonly #acknowledged = new Set<string>();
  /** Sent from the store lately; their offer, which may still come, is no news. */
  #taken = new Set<string>();
  #takenBefore = new Set<string>();
  /** The store may hold messages that were not sent yet. */
  #isBehind = true;
  #hasMissed = false;
  #isPumping = false;
  #isStarted = false;
  #isClosed = false;
  #lastId = 0;

  constructor(peer: OutboxPeer, store: Pick<SessionStore, 'queued'>, journal: QueueJournal, logger: Logger) {
    this.#peer = peer;
    this.#store = store;
    this.#journal = journal;
    this.#logger = logger;
  }

  /** The client has its CONNACK: from now on it may be sent to. */
  start(): void {
    this.#isStarted = true;
    this.#wake();
  }

  close(): void {
    this.#isClosed = true;
  }

  /** A message that was stored for this session. */
  offer(message: QueuedMessage): void {
    const { key } = message;
    if (this.#isClosed || this.#keys.has(key) || this.#taken.delete(key) || this.#takenBefore.delete(key))
      return;
    if (this.#isBehind || !this.#hasRoom()) {
      this.#isBehind = true;
      this.#hasMissed = true;
      this.#wake();
    } else {
      this.#send(message);
    }
  }

  acknowledge(messageId: number): void {
    const key = this.#inFlight.get(messageId);
    this.#inFlight.delete(messageId);
    if (key !== undefined) this.#finish(key);
    this.#wake();
  }

  /** A packet identifier for a message that is sent past the queue; undefined where too many wait for their PUBACK. */
  reserveId(): number | undefined {
    if (this.#inFlight.size >= MAX_IN_FLIGHT) return undefined;
    const id = this.#newId();
    this.#inFlight.set(id, undefined);
    return id;
  }

  /** Called now and then, no more often than a message may be late. */
  forgetOld(): void {
    this.#takenBefore = this.#taken;
    this.#taken = new Set();
  }

  #hasRoom(): boolean {
    return this.#inFlight.size < WINDOW && !this.#peer.isCongested(this.#wake);
  }

  readonly #wake = (): void => {
    if (this.#isBehind && this.#isStarted && !this.#isPumping && !this.#isClosed) void this.#pump();
  };

  async #pump(): Promise<void> {
    this.#isPumping = true;
    try {
      while (this.#isBehind && !this.#isClosed && this.#hasRoom()) await this.#sendPage();
    } catch (error) {
      this.#logger.error(
        { clientId: this.#peer.clientId, reason: (error as Error).message },
        'The queue of a session could not be read.',
      );
      this.#peer.fail();
    } finally {
      this.#isPumping = false;
      this.#acknowledged.clear();
    }
  }

  async #sendPage(): Promise<void> {
    const removed = [...this.#acknowledged];
    await this.#journal.settled();
    for (const key of removed) this.#acknowledged.delete(key);
    this.#hasMissed = false;
    const limit = this.#keys.size + PAGE;
    const page = await this.#store.queued(this.#peer.clientId, limit);
    for (const message of page) {
      if (this.#isClosed) return;
      if (this.#keys.has(message.key) || this.#acknowledged.has(message.key)) continue;
      if (!this.#hasRoom()) return;
      if (timeOfKey(message.key) > Date.now() - OFFERED_WITHIN_MS) this.#taken.add(message.key);
      this.#send(message);
    }
    this.#isBehind = page.length === limit || this.#hasMissed;
  }

  #send({ key, topic, payload, messageId: before }: QueuedMessage): void {
    if (!this.#peer.mayReceive(topic)) {
      this.#finish(key);
      return;
    }
    const messageId = before === undefined || this.#inFlight.has(before) ? this.#newId() : before;
    this.#inFlight.set(messageId, key);
    this.#keys.add(key);
    if (messageId !== before) this.#journal.sent(this.#peer.clientId, key, messageId);
    else this.#lastId = messageId;
    this.#peer.send({ topic, payload, messageId, isRepetition: before !== undefined });
  }

  #finish(key: string): void {
    this.#keys.delete(key);
    if (this.#isPumping) this.#acknowledged.add(key);
    this.#journal.remove(this.#peer.clientId, key);
  }

  #newId(): number {
    do this.#lastId = this.#lastId === MAX_MESSAGE_ID ? 1 : this.#lastId + 1;
    while (this.#inFlight.has(this.#lastId));
    return this.#lastId;
  }
}
