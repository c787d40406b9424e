/**
 * The hub. Every message passes `route`, which asks the subscription table and hands the message to the endpoints of
 * its targets. Nothing is delivered without a subscription. Direct calls only: no JSON, no await, no events here.
 */
import type { Logger } from '../../lib/log.js';
import type { Endpoint } from './endpoint.js';
import type { Message } from './message.js';
import { compileTable, type SubscriptionTable } from './subscription-table.js';

/** Pairs of source and topic without a route that are counted one by one; the rest is counted together. */
const MAX_UNROUTED_PAIRS = 1000;

export interface RouteResult {
  /** How many targets the table named. */
  readonly matched: number;
  /** How many of them refused the message (queue full) or are not there. */
  readonly refused: number;
}

const NO_ROUTE: RouteResult = Object.freeze({ matched: 0, refused: 0 });

/** A message that found no target. */
export interface Unrouted {
  readonly source: string;
  readonly topic: string;
  count: number;
}

export class Router {
  #table: SubscriptionTable = compileTable([]);
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #unrouted = new Map<string, Unrouted>();
  #unroutedOthers = 0;
  readonly #logger: Logger;

  constructor({ logger }: { logger: Logger }) {
    this.#logger = logger;
  }

  /** `key` is how subscriptions name the endpoint: an ARN, `cloud`, or `GGShadowService`. */
  register(key: string, endpoint: Endpoint): void {
    this.#endpoints.set(key, endpoint);
  }

  unregister(key: string): void {
    this.#endpoints.delete(key);
  }

  /** The new table answers from the next message on. */
  swap(table: SubscriptionTable): void {
    this.#table = table;
    this.#unrouted.clear();
    this.#unroutedOthers = 0;
  }

  get table(): SubscriptionTable {
    return this.#table;
  }

  route(message: Message): RouteResult {
    const targets = this.#table.targets(message.source, message.topic);
    if (targets.length === 0) {
      this.#discard(message);
      return NO_ROUTE;
    }
    let refused = 0;
    for (const target of targets) {
      const endpoint = this.#endpoints.get(target);
      if (endpoint === undefined || !endpoint.deliver(message, target)) {
        refused += 1;
        this.#logger.debug(
          { source: message.source, topic: message.topic, target },
          'Target refused message.',
        );
      }
    }
    return { matched: targets.length, refused };
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
