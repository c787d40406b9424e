/**
 * QoS 1 messages of a session that outlives its connection, and the core: kept until the device acknowledges them, sent
 * again with the same packet id and DUP after each reconnect [MQTT-4.4.0-1]: first what had been sent, in the order in which
 * it was [MQTT-4.6.0-1], then the others, higher priority first, then as they came.
 */
import type { Delivery } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import { type AtLeastOnce, nextPacketId } from './at-least-once.js';
import type { Output } from './output.js';
import { encodePublish, type PublishBytes } from './server-packets.js';
import type { SessionStore, StoredMessage } from './session-store.js';

/** Most messages and bytes kept for one device; what comes beyond is refused. */
export const MAX_KEPT_MESSAGES = 10_000;
const MAX_KEPT_BYTES = 64 * 1024 * 1024;
/** Messages on their way at once. */
const WINDOW = 1000;
/** A full mailbox is searched for what has expired no more often. */
const SWEEP_INTERVAL_MS = 1000;

export class DurableMailbox implements AtLeastOnce {
  readonly #kept = new Map<number, StoredMessage>();
  readonly #inFlight = new Set<number>();
  /** Not sent on this connection yet, in the order they will be. */
  #waiting: StoredMessage[] = [];
  #keptBytes = 0;
  #lastId = 0;
  #lastPlace = 0;
  #output: Output | undefined;
  #expired = 0;
  #nextSweep = 0;

  constructor(
    private readonly clientId: string,
    private readonly store: SessionStore,
    private readonly onUnreadable: (error: Error) => void,
    messages: readonly StoredMessage[] = [],
  ) {
    for (const message of messages) {
      this.#kept.set(message.packetId, message);
      this.#keptBytes += message.bytes;
      this.#lastId = message.packetId;
      this.#lastPlace = Math.max(this.#lastPlace, message.sent);
    }
  }

  get kept(): number {
    return this.#kept.size;
  }

  /** How many were dropped because their time to live was over. */
  get expired(): number {
    return this.#expired;
  }

  push(message: Message, encoded: () => PublishBytes, delivery: Delivery | undefined): boolean {
    if (!this.#hasRoom(message.payload.length)) return false;
    const packetId = nextPacketId(this.#lastId, this.#kept);
    this.#lastId = packetId;
    const ttlMs = delivery?.ttlMs;
    const entry = this.store.add(this.clientId, message, {
      packetId,
      priority: delivery?.priority ?? 0,
      ...(ttlMs === undefined ? {} : { expiresAt: Date.now() + ttlMs }),
    });
    this.#kept.set(packetId, entry);
    this.#keptBytes += entry.bytes;
    if (this.#output && this.#waiting.length === 0 && this.#mayWrite(this.#output)) {
      this.#send(this.#output, entry, encoded());
    } else if (this.#output) this.#insert(entry);
    return true;
  }

  acked(packetId: number): void {
    if (!this.#inFlight.delete(packetId)) return;
    const message = this.#kept.get(packetId);
    if (message) this.#forget(message);
    this.#pump();
  }

  attach(output: Output): void {
    this.#output = output;
    this.#inFlight.clear();
    this.#waiting = [...this.#kept.values()].sort(byTurn);
    this.#pump();
  }

  detach(): void {
    this.#output = undefined;
    this.#inFlight.clear();
    this.#waiting = [];
  }

  drained(): void {
    this.#pump();
  }

  #pump(): void {
    const output = this.#output;
    if (output === undefined || this.#waiting.length === 0) return;
    const now = Date.now();
    let taken = 0;
    for (const entry of this.#waiting) {
      if (!this.#mayWrite(output)) break;
      taken += 1;
      if (this.#isOver(entry, now)) {
        this.#expire(entry);
        continue;
      }
      const content = this.#read(entry);
      if (content === undefined) this.#forget(entry);
      else this.#send(output, entry, encodePublish(content.topic, content.payload, 1, entry.sent > 0));
    }
    if (taken > 0) this.#waiting = this.#waiting.slice(taken);
  }

  /** Undefined where it is not there: it was never stored, its sender knows that; or the file is damaged in this place. */
  #read(entry: StoredMessage): { topic: string; payload: Buffer } | undefined {
    try {
      return this.store.read(entry);
    } catch (error) {
      this.onUnreadable(error as Error);
      return undefined;
    }
  }

  #mayWrite(output: Output): boolean {
    return this.#inFlight.size < WINDOW && !output.isFull;
  }

  #send(output: Output, entry: StoredMessage, packet: PublishBytes): void {
    this.#inFlight.add(entry.packetId);
    if (entry.sent === 0) this.store.markSent(entry, ++this.#lastPlace);
    output.writePublish(packet, entry.packetId);
  }

  #insert(entry: StoredMessage): void {
    let at = this.#waiting.length;
    while (at > 0 && byTurn(this.#waiting[at - 1] as StoredMessage, entry) > 0) at -= 1;
    this.#waiting.splice(at, 0, entry);
  }

  #hasRoom(bytes: number): boolean {
    const fits = () => this.#kept.size < MAX_KEPT_MESSAGES && this.#keptBytes + bytes <= MAX_KEPT_BYTES;
    if (fits()) return true;
    const now = Date.now();
    if (now < this.#nextSweep) return false;
    this.#nextSweep = now + SWEEP_INTERVAL_MS;
    for (const entry of this.#kept.values()) {
      if (this.#isOver(entry, now) && !this.#inFlight.has(entry.packetId)) this.#expire(entry);
    }
    this.#waiting = this.#waiting.filter(({ packetId }) => this.#kept.has(packetId));
    return fits();
  }

  #isOver({ expiresAt }: StoredMessage, now: number): boolean {
    return expiresAt !== undefined && expiresAt <= now;
  }

  #expire(entry: StoredMessage): void {
    this.#expired += 1;
    this.#forget(entry);
  }

  #forget(entry: StoredMessage): void {
    this.#kept.delete(entry.packetId);
    this.#keptBytes -= entry.bytes;
    this.store.remove(entry);
  }
}

function byTurn(a: StoredMessage, b: StoredMessage): number {
  if (a.sent > 0 && b.sent > 0) return a.sent - b.sent || a.seq - b.seq;
  if (a.sent !== b.sent) return a.sent > 0 ? -1 : 1;
  return b.priority - a.priority || a.seq - b.seq;
}
