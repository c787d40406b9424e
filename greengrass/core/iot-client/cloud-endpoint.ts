/**
 * Target and source `cloud` (V1's GGCloudSpooler). Outwards: routed messages go into the spool and from there to AWS
 * IoT with QoS 1. Inwards: subjects with source `cloud` are subscribed to in the cloud, and what comes is routed with
 * source `cloud`.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../lib/log.js';
import { CLOUD } from '../../model/subscription.js';
import type { Component, Health } from '../component.js';
import type { Delivery, Endpoint } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import type { SubscriptionTable } from '../router/subscription-table.js';
import {
  CloudSubscriptions,
  type PersistentConnection,
  type SubscribingConnection,
} from './cloud-subscriptions.js';
import type { CloudHandler } from './connection.js';
import { FileSpool } from './file-spool.js';
import { MemorySpool } from './memory-spool.js';
import { rowBytes, type Spool, type SpoolListener } from './spool.js';
import { moveSpool } from './spool-move.js';
import { type SenderConnection, SpoolSender } from './spool-sender.js';
import { DEFAULT_SPOOL, type SpoolSettings } from './spool-settings.js';

/** What the endpoint needs of the connection. */
export interface CloudConnection extends SenderConnection, SubscribingConnection {
  onConnected(listener: () => void): void;
}

export interface CloudEndpointOptions {
  readonly connection: CloudConnection;
  /** For AtLeastOncePersistent; without it the subscriptions stay on `connection`. */
  readonly persistentConnection?: PersistentConnection;
  /** A message came from the cloud. */
  readonly onMessage: (message: Message) => void;
  readonly writeDirectory: string;
  readonly logger: Logger;
  /** Most messages under way to the cloud. */
  readonly window?: number;
  /** How long a connection must hold before a suspected message is sent; ms. */
  readonly quietMs?: number;
}

/** Counters since the start of the process. */
export interface SpoolerCounters {
  /** Waiting now. */
  readonly messages: number;
  readonly bytes: number;
  /** Gave way because the spool was full: the oldest, or with keepOldest the new ones. */
  readonly dropped: number;
  /** Given up because the cloud cuts the connection when they are sent. */
  readonly refused: number;
  /** Waited longer than their subscription allows. */
  readonly expired: number;
  /** Not taken because they could not be stored. */
  readonly unstored: number;
}

export class CloudEndpoint implements Endpoint, Component {
  readonly name = 'GGCloudSpooler';
  readonly #options: CloudEndpointOptions;
  readonly #path: string;
  readonly #sender: SpoolSender;
  readonly #subscriptions: CloudSubscriptions;
  #settings: SpoolSettings = DEFAULT_SPOOL;
  #spool: Spool | undefined;
  #dropped = 0;
  #unstored = 0;
  #isInTrouble = false;
  /** Of this turn of the event loop. */
  #hasUnstored = false;

  constructor(options: CloudEndpointOptions) {
    this.#options = options;
    this.#path = join(options.writeDirectory, 'var', 'state', 'spooler.db');
    this.#sender = new SpoolSender(options);
    const receive: CloudHandler = (topic, payload) =>
      options.onMessage({ source: CLOUD, topic, payload, qos: 0 });
    this.#subscriptions = new CloudSubscriptions(options.connection, options.persistentConnection, receive);
    options.connection.onConnected(() => this.#sender.connected());
  }

  async start(): Promise<void> {
    if (this.#spool) return;
    this.#spool = this.#open(this.#settings);
    this.#sender.start(this.#spool);
  }

  async stop(): Promise<void> {
    this.#sender.stop();
    this.#spool?.close();
    this.#spool = undefined;
    await this.#subscriptions.stop();
  }

  health(): Health {
    if (!this.#spool) return { healthy: false, reason: 'the spool is not open' };
    return this.#isInTrouble
      ? { healthy: false, reason: 'messages for the cloud can not be stored' }
      : { healthy: true };
  }

  get waiting(): SpoolerCounters {
    return {
      messages: this.#spool?.length ?? 0,
      bytes: this.#spool?.bytes ?? 0,
      dropped: this.#dropped,
      refused: this.#sender.refused,
      expired: this.#sender.expired,
      unstored: this.#unstored,
    };
  }

  /** A deployment set the spooler. What waits moves along in order. Throws where the file can't be opened. */
  configure(settings: SpoolSettings): void {
    const old = this.#spool;
    if (old && settings.storage !== this.#settings.storage) this.#moveTo(old, settings);
    else {
      old?.setLimits(settings);
      if (old && settings.storage === 'Memory') this.#adoptFile(old, settings);
    }
    // Only now: where the file can't be opened, all stays as it was.
    this.#settings = settings;
    this.#subscriptions.setQuality(settings.quality);
    this.#sender.send();
  }

  setTable(table: SubscriptionTable): void {
    this.#subscriptions.setTable(table);
  }

  deliver({ topic, payload }: Message, _target = CLOUD, delivery?: Delivery): boolean {
    const expiresAt = delivery?.ttlMs === undefined ? undefined : Date.now() + delivery.ttlMs;
    const isTaken = this.#spool?.push(topic, payload, expiresAt) !== undefined;
    if (isTaken) return true;
    if (this.#spool && !this.#isInTrouble) this.#countDropped(1);
    else {
      this.#unstored += 1;
      this.#hasUnstored = true;
    }
    return false;
  }

  explain(): string {
    if (!this.#spool) return 'the spooler is stopped';
    return this.#isInTrouble ? 'messages for the cloud can not be stored' : 'the spool is full';
  }

  hasRoom(message: Message, count: number): boolean {
    return this.#spool?.hasRoom(count * rowBytes(message)) ?? false;
  }

  /**
   * With FileSystem: what was delivered in this turn is on the disk. A message that had to give way because the spool is
   * full counts as accepted: that is the group's policy.
   */
  settle(): boolean {
    const isComplete = !this.#hasUnstored;
    this.#hasUnstored = false;
    return (this.#spool?.flush() ?? true) && isComplete;
  }

  #moveTo(old: Spool, settings: SpoolSettings): void {
    const next = this.#open(settings);
    this.#sender.moveTo(next, moveSpool(old, next, this.#sender.underWay));
    this.#spool = next;
    old.close();
    if (settings.storage === 'Memory') this.#removeFile();
  }

  /** What a FileSystem spool of an earlier run left behind goes before what came since the start. */
  #adoptFile(spool: Spool, settings: SpoolSettings): void {
    if (!existsSync(this.#path)) return;
    const file = this.#open({ ...settings, storage: 'FileSystem' });
    const next = this.#open(settings);
    moveSpool(file, next, new Set());
    this.#sender.moveTo(next, moveSpool(spool, next, this.#sender.underWay));
    this.#spool = next;
    file.close();
    this.#removeFile();
  }

  #removeFile(): void {
    for (const suffix of ['', '-wal', '-shm', '-reserve']) rmSync(`${this.#path}${suffix}`, { force: true });
  }

  #open({ storage, ...limits }: SpoolSettings): Spool {
    const listener: SpoolListener = {
      onReady: () => this.#sender.send(),
      onDropped: (count) => this.#countDropped(count),
      onTrouble: (error) => this.#trouble(error),
    };
    return storage === 'Memory'
      ? new MemorySpool(limits, listener)
      : new FileSpool(this.#path, limits, listener);
  }

  #countDropped(count: number): void {
    if (this.#dropped === 0) {
      const { maxBytes, full } = this.#settings;
      this.#options.logger.warn(
        { maxBytes, policy: full },
        full === 'keepNewest'
          ? 'Spool is full; the oldest messages give way.'
          : 'Spool is full; new messages are refused.',
      );
    }
    this.#dropped += count;
  }

  #trouble(error: Error | undefined): void {
    this.#isInTrouble = error !== undefined;
    const { logger } = this.#options;
    if (error) {
      logger.error(
        { file: this.#path, reason: error.message },
        'Messages for the cloud can not be stored; they are kept in memory meanwhile. Is the disk full?',
      );
    } else
      logger.info({ file: this.#path, unstored: this.#unstored }, 'Messages for the cloud are stored again.');
  }
}
