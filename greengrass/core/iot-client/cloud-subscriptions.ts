/**
 * Subjects with source `cloud`, as subscriptions in the cloud: on the one connection with QoS 0, or, where the group
 * asks for AtLeastOncePersistent, with QoS 1 on a second connection that has a persistent session (V1 opens one more
 * for it, too). Only what changed is subscribed or unsubscribed.
 */
import { CLOUD } from '../../model/subscription.js';
import { isReserved } from '../../model/topic.js';
import type { SubscriptionTable } from '../router/subscription-table.js';
import type { CloudHandler } from './connection.js';
import type { SpoolSettings } from './spool-settings.js';

export interface SubscribingConnection {
  subscribe(filter: string, handler: CloudHandler): void;
  unsubscribe(filter: string, handler: CloudHandler): void;
  /** Resolves once the cloud has answered all subscriptions. Absent: they take effect at once. */
  settled?(): Promise<void>;
}

/** The second connection; it runs only while it is needed. */
export interface PersistentConnection extends SubscribingConnection {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export class CloudSubscriptions {
  #filters = new Set<string>();
  #quality: SpoolSettings['quality'] = 'AtMostOnce';
  #table: SubscriptionTable | undefined;
  #isRunning = false;

  constructor(
    private readonly connection: SubscribingConnection,
    private readonly persistent: PersistentConnection | undefined,
    private readonly receive: CloudHandler,
  ) {}

  setTable(table: SubscriptionTable): void {
    this.#table = table;
    const wanted = new Set(table.subjectsFrom(CLOUD).filter((filter) => !isReserved(filter)));
    const { target } = this;
    for (const filter of this.#filters) if (!wanted.has(filter)) target.unsubscribe(filter, this.receive);
    for (const filter of wanted) if (!this.#filters.has(filter)) target.subscribe(filter, this.receive);
    this.#filters = wanted;
    this.#run();
  }

  setQuality(quality: SpoolSettings['quality']): void {
    if (quality === this.#quality) return;
    const filters = [...this.#filters];
    for (const filter of filters) this.target.unsubscribe(filter, this.receive);
    this.#filters.clear();
    this.#quality = quality;
    if (this.#table) this.setTable(this.#table);
    else this.#run();
  }

  /** Resolves once the cloud knows the subscriptions: what is published there from then on comes. */
  async settled(): Promise<void> {
    if (this.#filters.size > 0) await this.target.settled?.();
  }

  /** Stops the second connection; its session goes on in the cloud. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.persistent?.stop();
  }

  private get target(): SubscribingConnection {
    return this.#quality === 'AtLeastOncePersistent' && this.persistent ? this.persistent : this.connection;
  }

  /** A rejected stop has nothing to say: the connection is gone in any case. */
  #run(): void {
    const isNeeded = this.target === this.persistent && this.#filters.size > 0;
    if (isNeeded === this.#isRunning) return;
    this.#isRunning = isNeeded;
    if (isNeeded) void this.persistent?.start();
    else void this.persistent?.stop().catch(() => undefined);
  }
}
