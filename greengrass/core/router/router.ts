/**
 * The hub. Every message passes `route`, which asks the subscription table and hands the message to the endpoints of
 * its targets. Nothing is delivered without a subscription. Direct calls only: no JSON, no await, no events here.
 */
import type { Logger } from '../../lib/log.js';
import { Acceptance } from './acceptance.js';
import type { Delivery, Endpoint } from './endpoint.js';
import type { Message } from './message.js';
import { Settling } from './settling.js';
import { compileTable, type Route, type SubscriptionTable } from './subscription-table.js';
import { type Follower, type Hop, TableReader } from './trace.js';

/** Pairs of source and topic without a route that are counted one by one; the rest is counted together. */
const MAX_UNROUTED_PAIRS = 1000;

export interface RouteResult {
  /** How many targets the table named. */
  readonly matched: number;
  /** How many of them refused the message (queue full) or are not there. */
  readonly refused: number;
}

interface Registered {
  readonly endpoint: Endpoint;
  readonly settling: Settling | undefined;
  readonly keepsMessages: boolean;
}

const NO_SOURCES: ReadonlySet<string> = new Set();
const NO_ROUTE: RouteResult = Object.freeze({ matched: 0, refused: 0 });

/** A message that found no target. */
export interface Unrouted {
  readonly source: string;
  readonly topic: string;
  count: number;
}

export class Router {
  #table: SubscriptionTable = compileTable([]);
  readonly #endpoints = new Map<string, Registered>();
  readonly #unrouted = new Map<string, Unrouted>();
  #unroutedOthers = 0;
  readonly #logger: Logger;
  /** Endpoints that have something to settle. */
  readonly #settling = new Map<Endpoint, Settling>();
  readonly #acceptance = new Acceptance(() => this.#settle());
  readonly #followers = new Set<Follower>();
  /** Present while somebody follows. */
  #reader: TableReader | undefined;

  constructor({ logger }: { logger: Logger }) {
    this.#logger = logger;
  }

  /** `key` is how subscriptions name the endpoint: an ARN, `cloud`, or `GGShadowService`. */
  register(key: string, endpoint: Endpoint): void {
    const keepsMessages = endpoint.keepsNoMessage !== true;
    if (endpoint.settle === undefined) {
      this.#endpoints.set(key, { endpoint, settling: undefined, keepsMessages });
      return;
    }
    const settling = this.#settling.get(endpoint) ?? new Settling(endpoint);
    this.#settling.set(endpoint, settling);
    this.#endpoints.set(key, { endpoint, settling, keepsMessages });
  }

  unregister(key: string): void {
    this.#endpoints.delete(key);
  }

  /** The new table answers from the next message on. */
  swap(table: SubscriptionTable): void {
    this.#table = table;
    if (this.#reader) this.#reader = new TableReader(table);
    this.#unrouted.clear();
    this.#unroutedOthers = 0;
  }

  get table(): SubscriptionTable {
    return this.#table;
  }

  route(message: Message): RouteResult {
    const routes = this.#table.routes(message.source, message.topic);
    if (this.#reader !== undefined) {
      const followers = [...this.#followers].filter((follower) => follower.wants(message));
      if (followers.length > 0) return this.#trace(message, routes, this.#reader, followers);
    }
    if (routes.length === 0) {
      this.#discard(message);
      return NO_ROUTE;
    }
    let refused = 0;
    for (const route of routes) if (!this.#deliver(message, route)) refused += 1;
    return { matched: routes.length, refused };
  }

  /**
   * queueFullPolicy AllOrError: to all targets, or, where the queue of one of them is full, to none: false. Answered at the
   * end of the turn: true means that what is kept on disk is there. False where that failed, though others may have it.
   */
  async routeToAllOrNone(message: Message): Promise<boolean> {
    const wanted = new Map<Endpoint, { count: number; delivery: Delivery | undefined }>();
    for (const { target, delivery } of this.#table.routes(message.source, message.topic)) {
      const endpoint = this.#endpoints.get(target)?.endpoint;
      if (endpoint) wanted.set(endpoint, { count: (wanted.get(endpoint)?.count ?? 0) + 1, delivery });
    }
    for (const [endpoint, { count, delivery }] of wanted)
      if (endpoint.hasRoom?.(message, count, delivery) === false) return false;
    this.route(message);
    return this.#acceptance.durable(message.source);
  }

  /**
   * Makes durable what endpoints took since the last call. Answers the sources for whose messages that failed: who promised
   * them something (PUBACK) must not keep the promise.
   */
  settle(): ReadonlySet<string> {
    return this.#acceptance.settle();
  }

  #settle(): ReadonlySet<string> {
    let failed: Set<string> | undefined;
    for (const settling of this.#settling.values()) {
      failed ??= new Set();
      settling.settle(failed);
    }
    return failed ?? NO_SOURCES;
  }

  /** Tells `follower` of the messages that it wants, until the answered function is called. */
  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    this.#reader ??= new TableReader(this.#table);
    return () => {
      this.#followers.delete(follower);
      if (this.#followers.size === 0) this.#reader = undefined;
    };
  }

  #deliver(message: Message, { target, delivery }: Route): boolean {
    const registered = this.#endpoints.get(target);
    if (registered !== undefined) {
      registered.settling?.note(message.source);
      // Looking at it makes the copy.
      if (registered.keepsMessages) void message.payload;
      if (registered.endpoint.deliver(message, target, delivery)) return true;
    }
    this.#logger.debug({ source: message.source, topic: message.topic, target }, 'Target refused message.');
    return false;
  }

  /** As `route`, with a look at the clock around each target. */
  #trace(
    message: Message,
    routes: readonly Route[],
    reader: TableReader,
    followers: readonly Follower[],
  ): RouteResult {
    const { source, topic, qos, payload } = message;
    const time = performance.timeOrigin + performance.now();
    const hops = routes.map((route): Hop => {
      const begin = performance.now();
      const isTaken = this.#deliver(message, route);
      const us = Math.round((performance.now() - begin) * 1000);
      const { target } = route;
      if (isTaken) return { target, result: 'taken', us };
      const endpoint = this.#endpoints.get(target)?.endpoint;
      const reason = endpoint ? endpoint.explain?.(message, target) : 'there is no such target in this core';
      return { target, result: 'refused', us, ...(reason === undefined ? {} : { reason }) };
    });
    if (hops.length === 0) this.#discard(message);
    const nearest = hops.length === 0 ? reader.nearest(source, topic) : undefined;
    const traced = {
      ...{ time, source, topic, qos, bytes: payload.length, hops },
      subscriptions: reader.matching(source, topic),
      ...(nearest === undefined ? {} : { nearest }),
    };
    for (const follower of followers) follower.traced(traced);
    return { matched: hops.length, refused: hops.filter(({ result }) => result === 'refused').length };
  }

  /** What found no target since the last swap, by source and topic, and how many beyond the counted pairs. */
  unrouted(): { pairs: Unrouted[]; others: number } {
    return { pairs: [...this.#unrouted.values()], others: this.#unroutedOthers };
  }

  /** V1's line at DEBUG for every message; at INFO once for each source and topic, so that an operator sees it. */
  #discard({ source, topic }: Message): void {
    const key = `${source}\n${topic}`;
    const known = this.#unrouted.get(key);
    if (known) {
      known.count += 1;
      this.#logger.debug({ source, topic }, 'Failed to get routes. Discarding message.');
      return;
    }
    if (this.#unrouted.size >= MAX_UNROUTED_PAIRS) {
      this.#unroutedOthers += 1;
      this.#logger.debug({ source, topic }, 'Failed to get routes. Discarding message.');
      return;
    }
    this.#unrouted.set(key, { source, topic, count: 1 });
    this.#logger.info({ source, topic }, 'Failed to get routes. Discarding message.');
  }
}
