/**
 * A core with its real shadow service and sync, a cloud that keeps AWS IoT's rules, and between them a link that breaks, loses
 * and reorders: all driven by one seed and by a clock of its own, so that a run can be had again.
 */
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import type { CloudLink } from '../../greengrass/core/shadow/sync/cloud-shadows.js';
import { ShadowSync, type SyncedThing } from '../../greengrass/core/shadow/sync/shadow-sync.js';
import type { Timers } from '../../greengrass/core/shadow/sync/timers.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import type { ShadowState } from '../../greengrass/model/shadow-document.js';
import { type KeptShadow, runShadowOperation } from '../../greengrass/model/shadow-operations.js';
import { filterMatches, parseShadowTopic } from '../../greengrass/model/topic.js';

/** Where flushing costs nothing; what a disk does is tested elsewhere. */
export const IN_MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Random numbers in [0, 1) from a seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface Due {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that passes only where the test lets it. */
export class VirtualTime implements Timers {
  #now = 0;
  #order = 0;
  #due: Due[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): () => void {
    const due = { at: this.#now + ms, order: this.#order++, run };
    this.#due.push(due);
    return () => {
      this.#due = this.#due.filter((other) => other !== due);
    };
  }

  get isEmpty(): boolean {
    return this.#due.length === 0;
  }

  advanceTo(ms: number): void {
    this.#now = Math.max(this.#now, ms);
  }

  /** Runs what is due next; false where nothing is, or nothing before `until`. */
  next(until = Number.POSITIVE_INFINITY): boolean {
    let first: Due | undefined;
    for (const due of this.#due) {
      if (!first || due.at < first.at || (due.at === first.at && due.order < first.order)) first = due;
    }
    if (!first || first.at > until) return false;
    this.#due.splice(this.#due.indexOf(first), 1);
    this.#now = Math.max(this.#now, first.at);
    first.run();
    return true;
  }
}

/** Lets promises and the group commit run until they have nothing more to do at this moment. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export class World {
  readonly time = new VirtualTime();
  readonly cloud = new Map<string, KeptShadow>();
  readonly random: () => number;
  /** Requests of the core that reached the cloud, by operation. */
  readonly requests: Array<{ operation: string; key: string }> = [];
  /** Versions of accepted updates, in order. */
  readonly versions = { local: [] as number[], cloud: [] as number[] };
  service!: ShadowService;
  sync!: ShadowSync;
  connected = false;
  /** The wall clock of the core, in ms; may jump. */
  wallClock = 1_700_000_000_000;
  #things: SyncedThing[];
  #handlers: Array<{ filter: string; handler: (topic: string, payload: Buffer) => void }> = [];
  #onConnected: Array<() => void> = [];
  /** Rejections of publications without PUBACK, for the moment when the connection breaks. */
  #unacked = new Set<() => void>();
  /** Counts connections; what belongs to an older one is lost. */
  #connection = 0;
  /** Requests on their way arrive in order. */
  #lastArrival = 0;

  constructor(
    readonly path: string,
    seed: number,
    things: SyncedThing[],
    private readonly options: { minIntervalMs?: number; requestsPerSecond?: number } = {},
  ) {
    this.random = randomFrom(seed);
    this.#things = things;
  }

  async boot(): Promise<void> {
    this.service = new ShadowService({
      path: this.path,
      logger: silentLogger(),
      now: () => this.wallClock,
      emit: ({ topic, payload }) => {
        if (!topic.endsWith('/update/accepted')) return;
        this.versions.local.push(
          (JSON.parse(Buffer.from(payload).toString()) as { version: number }).version,
        );
      },
    });
    await this.service.start();
    this.sync = new ShadowSync({
      local: this.service,
      link: this.#link(),
      logger: silentLogger(),
      timeoutMs: 5_000,
      timers: this.time,
      random: this.random,
      ...this.options,
    });
    await this.sync.start();
    this.sync.setThings(this.#things);
    await settle();
  }

  setThings(things: SyncedThing[]): void {
    this.#things = things;
    this.sync.setThings(things);
  }

  /** The process ends where it is: what is on disk stays, what was in memory or on the wire may be lost. */
  async crash(): Promise<void> {
    await this.sync.stop();
    await this.service.stop();
    this.disconnect();
    this.#handlers = [];
    this.#onConnected = [];
    await settle();
    await this.boot();
  }

  async close(): Promise<void> {
    await this.sync.stop();
    await this.service.stop();
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${this.path}${suffix}`, { force: true });
  }

  connect(): void {
    if (this.connected) return;
    this.connected = true;
    this.#connection += 1;
    for (const listener of this.#onConnected) listener();
  }

  disconnect(): void {
    this.connected = false;
    this.#connection += 1;
    for (const reject of [...this.#unacked]) reject();
  }

  /** Lets time pass by so many ms, with all that happens in it. */
  async pass(ms: number): Promise<void> {
    const until = this.time.now() + ms;
    await settle();
    while (this.time.next(until)) await settle();
    this.time.advanceTo(until);
  }

  /** Until nothing is left to happen. Throws where that never comes (an echo loop). */
  async rest(maxEvents = 2_000): Promise<void> {
    await settle();
    for (let events = 0; this.time.next(); events++) {
      if (events > maxEvents) throw new Error('the two sides never come to rest');
      await settle();
    }
  }

  local(key: string, operation: 'update' | 'delete', body: object = {}): Promise<Buffer> {
    return this.service.request(key, operation, Buffer.from(JSON.stringify(body)));
  }

  async localState(key: string): Promise<ShadowState | undefined> {
    const { state, code } = JSON.parse((await this.service.request(key, 'get')).toString()) as {
      state?: ShadowState & { delta?: object };
      code?: number;
    };
    if (code !== undefined || !state) return undefined;
    const { delta: _delta, ...parts } = state;
    return parts;
  }

  cloudState(key: string): ShadowState | undefined {
    const state = this.cloud.get(key)?.document?.state;
    return state && (JSON.parse(JSON.stringify(state)) as ShadowState);
  }

  /** An operation at the cloud; its publications go to the core where it is connected. */
  atCloud(key: string, operation: 'get' | 'update' | 'delete', payload: string | Buffer): void {
    const outcome = runShadowOperation(
      key,
      operation,
      Buffer.from(payload),
      this.cloud.get(key),
      1_700_000_000,
    );
    if (outcome.store) this.cloud.set(key, JSON.parse(JSON.stringify(outcome.store)) as KeptShadow);
    if (operation === 'update' && outcome.accepted)
      this.versions.cloud.push(outcome.store?.version as number);
    for (const publication of outcome.publications) this.#toCore(publication.topic, publication.payload);
  }

  /** Reordered: each message takes its own time. Lost where the connection breaks before it arrives. */
  #toCore(topic: string, payload: Buffer): void {
    if (!this.connected) return;
    const connection = this.#connection;
    this.time.after(5 + this.random() * 60, () => {
      if (connection !== this.#connection) return;
      for (const { filter, handler } of [...this.#handlers]) {
        if (filterMatches(filter, topic, 'included')) handler(topic, payload);
      }
    });
  }

  #toCloud(topic: string, payload: Buffer): Promise<void> {
    if (!this.connected) return Promise.reject(new Error('not connected to the cloud'));
    const request = parseShadowTopic(topic);
    if (!request || request.kind) throw new Error(`the core must not publish on ${topic}`);
    const { key, operation } = request;
    const connection = this.#connection;
    this.#lastArrival = Math.max(this.time.now() + 5 + this.random() * 60, this.#lastArrival);
    return new Promise((resolve, reject) => {
      const broke = () => {
        this.#unacked.delete(broke);
        reject(new Error('the connection broke'));
      };
      this.#unacked.add(broke);
      this.time.after(this.#lastArrival - this.time.now(), () => {
        // What was on the wire when it broke may still have come out at the other end.
        if (connection !== this.#connection && this.random() < 0.5) return;
        this.requests.push({ operation, key });
        this.atCloud(key, operation, payload);
        this.time.after(1, () => {
          if (connection !== this.#connection) return;
          this.#unacked.delete(broke);
          resolve();
        });
      });
    });
  }

  #link(): CloudLink {
    const isConnected = () => this.connected;
    return {
      get connected() {
        return isConnected();
      },
      onConnected: (listener) => {
        this.#onConnected.push(listener);
        if (this.connected) listener();
      },
      subscribe: (filter, handler) => this.#handlers.push({ filter, handler }),
      unsubscribe: (filter, handler) => {
        this.#handlers = this.#handlers.filter((h) => h.filter !== filter || h.handler !== handler);
      },
      publish: (topic, payload) => this.#toCloud(topic, payload),
    };
  }
}
