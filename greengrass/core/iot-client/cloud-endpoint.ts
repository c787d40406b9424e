/**
 * Target and source `cloud`. Outwards: routed messages go through the spooler to AWS IoT, first in, first out, each
 * waiting for its PUBACK. Inwards: subjects with source `cloud` are subscribed to in the cloud, and what comes is
 * routed with source `cloud`.
 */
import { join } from 'node:path';
import { backoffMs } from '../../lib/backoff.js';
import type { Logger } from '../../lib/log.js';
import { CLOUD } from '../../model/subscription.js';
import { isReserved } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import type { Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import type { SubscriptionTable } from '../router/subscription-table.js';
import type { CloudHandler } from './connection.js';
import {
  DEFAULT_SPOOL,
  FileSpool,
  MemorySpool,
  type Spool,
  type SpooledMessage,
  type SpoolSettings,
} from './spooler.js';

/** What the endpoint needs of the connection. */
export interface CloudConnection {
  readonly connected: boolean;
  onConnected(listener: () => void): void;
  subscribe(filter: string, handler: CloudHandler): void;
  unsubscribe(filter: string, handler: CloudHandler): void;
  publish(topic: string, payload: Buffer, qos: 0 | 1): Promise<void>;
}

export interface CloudEndpointOptions {
  readonly connection: CloudConnection;
  /** A message came from the cloud. */
  readonly onMessage: (message: Message) => void;
  readonly writeDirectory: string;
  readonly logger: Logger;
}

export class CloudEndpoint implements Endpoint, Component {
  readonly name = 'GGCloudSpooler';
  readonly #options: CloudEndpointOptions;
  readonly #receive: CloudHandler;
  readonly #filters = new Set<string>();
  #settings: SpoolSettings = DEFAULT_SPOOL;
  #spool: Spool | undefined;
  #sending = false;
  #stopped = true;
  #attempt = 0;
  #retry: NodeJS.Timeout | undefined;
  #dropped = 0;

  constructor(options: CloudEndpointOptions) {
    this.#options = options;
    this.#receive = (topic, payload) => options.onMessage({ source: CLOUD, topic, payload, qos: 0 });
    options.connection.onConnected(() => this.#send());
  }

  async start(): Promise<void> {
    if (!this.#stopped) return;
    this.#stopped = false;
    this.#spool = this.#open(this.#settings);
    this.#send();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    this.#spool?.close();
    this.#spool = undefined;
  }

  health(): Health {
    return this.#spool ? { healthy: true } : { healthy: false, reason: 'the spool is not open' };
  }

  /** Messages that wait for the cloud, and how many had to give way since the start. */
  get waiting(): { messages: number; bytes: number; dropped: number } {
    return { messages: this.#spool?.length ?? 0, bytes: this.#spool?.bytes ?? 0, dropped: this.#dropped };
  }

  /** A deployment changed the spooler's settings. What waits moves along in order. */
  configure(settings: SpoolSettings): void {
    const same = settings.storage === this.#settings.storage && settings.maxBytes === this.#settings.maxBytes;
    if (same || this.#stopped) {
      this.#settings = settings;
      return;
    }
    const old = this.#spool;
    const next = this.#open(settings);
    // Only now: where the file can't be opened, all stays as it was.
    this.#settings = settings;
    this.#spool = next;
    if (!old) return;
    if (old instanceof FileSpool && next instanceof FileSpool) {
      old.close();
      return;
    }
    for (let message = old.first(); message; message = old.first()) {
      next.push(message.topic, message.payload);
      old.remove(message.id);
    }
    old.close();
    this.#send();
  }

  /** Subjects with source `cloud`; only what changed is subscribed or unsubscribed. */
  setTable(table: SubscriptionTable): void {
    const wanted = new Set(table.subjectsFrom(CLOUD).filter((filter) => !isReserved(filter)));
    const { connection } = this.#options;
    for (const filter of this.#filters) {
      if (wanted.has(filter)) continue;
      connection.unsubscribe(filter, this.#receive);
      this.#filters.delete(filter);
    }
    for (const filter of wanted) {
      if (this.#filters.has(filter)) continue;
      connection.subscribe(filter, this.#receive);
      this.#filters.add(filter);
    }
  }

  deliver({ topic, payload }: Message): boolean {
    if (!this.#spool) return false;
    try {
      const dropped = this.#spool.push(topic, payload);
      if (dropped > 0) {
        if (this.#dropped === 0) {
          this.#options.logger.warn(
            { maxBytes: this.#settings.maxBytes },
            'Spool is full; the oldest messages give way.',
          );
        }
        this.#dropped += dropped;
      }
    } catch (error) {
      this.#options.logger.error(
        { topic, reason: (error as Error).message },
        'Message could not be spooled.',
      );
      return false;
    }
    this.#send();
    return true;
  }

  #open({ storage, maxBytes }: SpoolSettings): Spool {
    if (storage === 'Memory') return new MemorySpool(maxBytes);
    return new FileSpool(join(this.#options.writeDirectory, 'var', 'state', 'spooler.db'), maxBytes);
  }

  /** Sends what waits, until nothing does or the cloud is away. One of it runs at a time. */
  #send(): void {
    if (this.#sending || this.#stopped) return;
    this.#sending = true;
    void this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    const { connection, logger } = this.#options;
    for (;;) {
      let topic: string | undefined;
      try {
        const spool = this.#spool;
        const message = connection.connected && !this.#stopped ? spool?.first() : undefined;
        if (!spool || !message) break;
        topic = message.topic;
        await connection.publish(topic, message.payload, 1);
        this.#attempt = 0;
        this.#sent(spool, message);
      } catch (error) {
        logger.error(
          { topic, errorString: (error as Error).message },
          'Cloud messaging error: Error occurred while trying to publish a message.',
        );
        this.#retryLater();
        break;
      }
    }
    // In the same turn as the look that found nothing to send, so that no message can slip in between.
    this.#sending = false;
  }

  #sent(spool: Spool, message: SpooledMessage): void {
    if (spool === this.#spool) {
      spool.remove(message.id);
      return;
    }
    // A deployment moved the queue meanwhile; there the message has another id, and is the first if it still is there.
    const first = this.#spool?.first();
    if (first?.topic === message.topic && first.payload.equals(message.payload))
      this.#spool?.remove(first.id);
  }

  #retryLater(): void {
    clearTimeout(this.#retry);
    if (this.#stopped) return;
    const delayMs = backoffMs(this.#attempt++, { baseMs: 200, maxMs: 30_000 });
    this.#retry = setTimeout(() => this.#send(), delayMs);
  }
}
