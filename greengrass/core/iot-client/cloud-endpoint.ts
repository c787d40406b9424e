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
import { AtMostOnce } from './at-most-once.js';
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
import { firstOfEach, type SpoolerCounters, type SpoolerStatus } from './spooler-status.js';

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

/** A spool that stays full says so again after so long, with the number of messages so far. */
const SAY_FULL_AGAIN_MS = 3_600_000;

export class CloudEndpoint implements Endpoint, Component {
  readonly name = 'GGCloudSpooler';
  readonly #options: CloudEndpointOptions;
  readonly #path: string;
  readonly #sender: SpoolSender;
  readonly #atMostOnce: AtMostOnce;
  readonly #subscriptions: CloudSubscriptions;
  #settings: SpoolSettings = DEFAULT_SPOOL;
  #spool: Spool | undefined;
  #dropped = 0;
  #unstored = 0;
  #lost = 0;
  #saidFullAt = Number.NEGATIVE_INFINITY;
  #isInTrouble = false;
  /** Why the last message was refused. */
  #refusal = '';
  /** Of this turn of the event loop. */
  #hasUnstored = false;

  constructor(options: CloudEndpointOptions) {
    this.#options = options;
    this.#path = join(options.writeDirectory, 'var', 'state', 'spooler.db');
    this.#sender = new SpoolSender(options);
    this.#atMostOnce = new AtMostOnce(options.connection);
    const receive: CloudHandler = (topic, payload) =>
      options.onMessage({ source: CLOUD, topic, payload, qos: 0 });
    this.#subscriptions = new CloudSubscriptions(options.connection, options.persistentConnection, receive);
    options.connection.onConnected(() => {
      this.#atMostOnce.connected();
      this.#sender.connected();
    });
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
      unsent: this.#atMostOnce.unsent,
      lost: this.#lost,
    };
  }

  get status(): SpoolerStatus {
    const next = this.#spool ? firstOfEach(this.#spool) : [];
    return {
      ...this.waiting,
      settings: this.#settings,
      underWay: this.#sender.underWay.size,
      ...(next.length === 0 ? {} : { oldest: Math.min(...next.map(({ cameAt }) => cameAt)) }),
      next,
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

  /** Resolves once the cloud knows the subscriptions of the group. */
  subscribed(): Promise<void> {
    return this.#subscriptions.settled();
  }

  deliver({ topic, payload }: Message, _target = CLOUD, delivery?: Delivery): boolean {
    if (delivery?.qos === 0) {
      if (this.#atMostOnce.send(topic, payload)) return true;
      return this.#refuse('the cloud is away or too slow, and nothing is kept for it (Qos 0)');
    }
    const expiresAt = delivery?.ttlMs === undefined ? undefined : Date.now() + delivery.ttlMs;
    const isTaken = this.#spool?.push(topic, payload, expiresAt, delivery?.priority) !== undefined;
    if (isTaken) return true;
    if (this.#spool && !this.#isInTrouble) {
      this.#countDropped(1);
      return this.#refuse('the spool is full');
    }
    this.#unstored += 1;
    this.#hasUnstored = true;
    return this.#refuse(this.#spool ? 'messages for the cloud can not be stored' : 'the spooler is stopped');
  }

  explain(): string {
    return this.#refusal;
  }

  /** What asks for QoS 0 waits nowhere: there is always room to drop it. */
  hasRoom(message: Message, count: number, delivery?: Delivery): boolean {
    if (delivery?.qos === 0) return true;
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

  #refuse(reason: string): false {
    this.#refusal = reason;
    return false;
  }

  #moveTo(old: Spool, settings: SpoolSettings): void {
    const next = this.#open(settings);
    this.#sender.moveTo(next, moveSpool(old, next, this.#sender.underWay, this.#noRoom));
    this.#spool = next;
    old.close();
    if (settings.storage === 'Memory') this.#removeFile();
  }

  /** What a FileSystem spool of an earlier run left behind goes before what came since the start. */
  #adoptFile(spool: Spool, settings: SpoolSettings): void {
    if (!existsSync(this.#path)) return;
    const file = this.#open({ ...settings, storage: 'FileSystem' });
    const next = this.#open(settings);
    moveSpool(file, next, new Set(), this.#noRoom);
    this.#sender.moveTo(next, moveSpool(spool, next, this.#sender.underWay, this.#noRoom));
    this.#spool = next;
    file.close();
    this.#removeFile();
  }

  #removeFile(): void {
    for (const suffix of ['', '-wal', '-shm', '-reserve']) rmSync(`${this.#path}${suffix}`, { force: true });
  }

  #open({ storage, ...limits }: SpoolSettings): Spool {
    const listener: SpoolListener = {
      onReady: () => this.#sender.ready(),
      onDropped: (count) => this.#countDropped(count),
      onTrouble: (error) => this.#trouble(error),
      onDamage: (damage) => {
        this.#lost += damage.lost ?? 0;
        this.#options.logger.error(
          { file: this.#path, ...damage },
          'The file of the messages for the cloud was damaged; it was put aside, what could be read of it goes on.',
        );
      },
      onLost: (lost) => {
        this.#lost += lost;
        this.#options.logger.error(
          { file: this.#path, lost },
          'Messages for the cloud were lost: they could not be stored before the core stopped.',
        );
      },
    };
    return storage === 'Memory'
      ? new MemorySpool(limits, listener)
      : new FileSpool(this.#path, limits, listener);
  }

  /** Moved to a smaller spool that keeps the oldest. */
  readonly #noRoom = (count: number): void => this.#countDropped(count);

  #countDropped(count: number): void {
    const now = performance.now();
    if (now - this.#saidFullAt >= SAY_FULL_AGAIN_MS) {
      this.#saidFullAt = now;
      const { maxBytes, full } = this.#settings;
      this.#options.logger.warn(
        { maxBytes, policy: full, dropped: this.#dropped + count },
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
