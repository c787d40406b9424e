/** The sync of shadows with the cloud (V1's GGShadowSyncManager): which shadows, and who is told what. */
import type { Logger } from '../../../lib/log.js';
import { thingNameOf } from '../../../model/arn.js';
import type { ShadowSyncMember, SyncDirection } from '../../../model/shadow-sync.js';
import { shadowKey } from '../../../model/topic.js';
import type { Component, Health } from '../../component.js';
import { type CloudLink, CloudShadows } from './cloud-shadows.js';
import type { CloudView } from './decide.js';
import { type LocalShadows, ShadowSyncer } from './shadow-syncer.js';
import { MONOTONIC, type Timers } from './timers.js';

/** A thing whose shadows are kept in step with the cloud. */
export interface SyncedThing {
  readonly thingName: string;
  readonly direction: SyncDirection;
  /** Named shadows to be looked for in the cloud. Those that either side mentions are synced without being listed. */
  readonly shadowNames: readonly string[];
}

/** The things of a group document. */
export function syncedThings(members: readonly ShadowSyncMember[]): SyncedThing[] {
  return members.flatMap(({ thingArn, direction = 'both', shadowNames = [] }) => {
    const thingName = thingNameOf(thingArn);
    return thingName === undefined ? [] : [{ thingName, direction, shadowNames }];
  });
}

/** What the sync needs of the shadow service. */
export interface SyncedShadows extends LocalShadows {
  onChanged(listener: (key: string) => void): void;
  keys(): string[];
  syncedKeys(): string[];
}

export interface ShadowSyncOptions {
  readonly local: SyncedShadows;
  readonly link: CloudLink;
  readonly logger: Logger;
  /** How long an answer of the cloud may take, in ms. */
  readonly timeoutMs: number;
  /** To the cloud, for all shadows together. */
  readonly requestsPerSecond?: number;
  /** Between two updates of one shadow in the cloud, in ms. */
  readonly minIntervalMs?: number;
  readonly timers?: Timers;
  readonly random?: () => number;
}

/** One shadow of the sync, for people. */
export interface SyncStatus {
  readonly direction: SyncDirection;
  readonly inStep: boolean;
  readonly lastError?: string;
}

export class ShadowSync implements Component {
  readonly name = 'GGShadowSyncManager';
  readonly #options: Required<Pick<ShadowSyncOptions, 'timers' | 'random' | 'minIntervalMs'>> &
    ShadowSyncOptions;
  readonly #cloud: CloudShadows;
  readonly #syncers = new Map<string, ShadowSyncer>();
  #things: ReadonlyMap<string, SyncedThing> = new Map();
  /** Before the first group nothing is forgotten: it only has not been read yet. */
  #isGroupKnown = false;
  #stopped = true;

  constructor(options: ShadowSyncOptions) {
    const { local, link, timers = MONOTONIC, requestsPerSecond = 50, timeoutMs } = options;
    this.#options = { minIntervalMs: 100, random: Math.random, ...options, timers };
    this.#cloud = new CloudShadows({
      link,
      timers,
      timeoutMs,
      requestsPerSecond,
      onChanged: (key, view) => this.#syncer(key)?.cloudChanged(view),
    });
    local.onChanged((key) => this.#syncer(key)?.wake());
    link.onConnected(() => {
      for (const syncer of this.#syncers.values()) syncer.connected();
    });
  }

  async start(): Promise<void> {
    if (!this.#stopped) return;
    this.#stopped = false;
    for (const thingName of this.#things.keys()) this.#cloud.watch(thingName);
    this.#makeSyncers();
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const key of [...this.#syncers.keys()]) this.#drop(key);
    for (const thingName of this.#things.keys()) this.#cloud.unwatch(thingName);
    this.#cloud.abandon();
  }

  health(): Health {
    const failing = [...this.#syncers].filter(([, syncer]) => syncer.lastError !== undefined);
    const first = failing[0];
    if (!first) return { healthy: true };
    return { healthy: false, reason: `${failing.length} shadow(s) wait, ${first[0]}: ${first[1].lastError}` };
  }

  /** A group took over. What is synced no longer is forgotten; to be synced again it starts as if for the first time. */
  setThings(things: readonly SyncedThing[]): void {
    const before = this.#things;
    this.#isGroupKnown = true;
    this.#things = new Map(things.map((thing) => [thing.thingName, thing]));
    if (this.#stopped) return;
    for (const thingName of before.keys()) {
      if (!this.#things.has(thingName)) this.#cloud.unwatch(thingName);
    }
    for (const [key, syncer] of this.#syncers) {
      if (this.#thingOf(key)?.direction !== syncer.direction) this.#drop(key);
    }
    for (const thingName of this.#things.keys()) {
      if (!before.has(thingName)) this.#cloud.watch(thingName);
    }
    this.#makeSyncers();
  }

  /** The cloud's shadow as it is now, synced or not. Throws where there is no link or no right to it. */
  async look(key: string): Promise<CloudView> {
    if (!this.#cloud.connected) throw new Error('the core is not connected to the cloud');
    const thingName = key.split('/')[0] as string;
    const isWatched = this.#things.has(thingName) && !this.#stopped;
    if (!isWatched) this.#cloud.watch(thingName);
    try {
      return await this.#cloud.get(key);
    } finally {
      if (!this.#things.has(thingName)) this.#cloud.unwatch(thingName);
    }
  }

  /** How the sync of each shadow stands, by key. */
  status(): Map<string, SyncStatus> {
    return new Map(
      [...this.#syncers].map(([key, { direction, inStep, lastError }]) => [
        key,
        { direction, inStep, ...(lastError === undefined ? {} : { lastError }) },
      ]),
    );
  }

  #makeSyncers(): void {
    const { local, logger } = this.#options;
    for (const key of this.#isGroupKnown ? local.syncedKeys() : []) {
      if (this.#thingOf(key)) this.#syncer(key);
      else {
        void local
          .syncStep(key, () => ({ record: null }))
          .catch((error: Error) =>
            logger.warn({ key, reason: error.message }, 'A sync record was not removed.'),
          );
      }
    }
    for (const key of local.keys()) this.#syncer(key);
    for (const { thingName, shadowNames } of this.#things.values()) {
      for (const name of [undefined, ...shadowNames]) this.#syncer(shadowKey(thingName, name));
    }
  }

  /** The syncer of a shadow, made where the shadow is one to be synced. */
  #syncer(key: string): ShadowSyncer | undefined {
    const known = this.#syncers.get(key);
    const thing = this.#thingOf(key);
    if (known || !thing || this.#stopped) return known;
    const { local, timers, logger, minIntervalMs, random } = this.#options;
    const { direction } = thing;
    const syncer = new ShadowSyncer({
      ...{ key, direction, local, cloud: this.#cloud },
      ...{ timers, logger, minIntervalMs, random },
    });
    this.#syncers.set(key, syncer);
    syncer.wake();
    return syncer;
  }

  #drop(key: string): void {
    this.#syncers.get(key)?.stop();
    this.#syncers.delete(key);
  }

  #thingOf(key: string): SyncedThing | undefined {
    return this.#things.get(key.split('/')[0] as string);
  }
}
