/**
 * The subscription table: who gets a message of this source on this topic. Immutable; compiled once per deployment
 * and swapped in one assignment.
 *
 * Per source: exact subjects in a map, subjects with wildcards in a trie of levels. Answers are kept in a bounded
 * cache, since devices repeat their topics; a message that was seen before costs two map look-ups.
 */
import type { GroupSubscription } from '../../model/group.js';
import { isReserved } from '../../model/topic.js';
import type { Delivery } from './endpoint.js';

/** Answers kept per source; beyond it the cache starts anew. */
const CACHE_SIZE = 4096;
const NO_ROUTES: readonly Route[] = Object.freeze([]);

/** One target of a message; `delivery` where a subscription asks for more than V1 has. */
export interface Route {
  readonly target: string;
  readonly delivery?: Delivery;
}

interface Node {
  readonly children: Map<string, Node>;
  /** Routes of subjects that end here. */
  readonly routes: Route[];
  /** Routes of subjects that go on with `#` here. */
  readonly rest: Route[];
}

function createNode(): Node {
  return { children: new Map(), routes: [], rest: [] };
}

function routeOf({ Target, Priority, Ttl, Qos }: GroupSubscription): Route {
  if (Priority === undefined && Ttl === undefined && Qos === undefined) return { target: Target };
  const delivery: Delivery = {
    ...(Qos === undefined ? {} : { qos: Qos }),
    ...(Priority === undefined ? {} : { priority: Priority }),
    ...(Ttl === undefined ? {} : { ttlMs: Ttl * 1000 }),
  };
  return { target: Target, delivery };
}

/** Several subscriptions lead to one target: it gets the best of what they ask for. */
function best(a: Route, b: Route): Route {
  if (a.delivery === undefined && b.delivery === undefined) return a;
  const [first, second] = [a.delivery ?? {}, b.delivery ?? {}];
  const qos = first.qos === 1 || second.qos === 1 ? 1 : first.qos === second.qos ? first.qos : undefined;
  const priority = Math.max(first.priority ?? 0, second.priority ?? 0);
  const ttlMs = Math.max(first.ttlMs ?? Number.POSITIVE_INFINITY, second.ttlMs ?? Number.POSITIVE_INFINITY);
  const delivery: Delivery = {
    ...(qos === undefined ? {} : { qos }),
    priority,
    ...(ttlMs === Number.POSITIVE_INFINITY ? {} : { ttlMs }),
  };
  return { target: a.target, delivery };
}

/** The subjects of one source. */
class SourceTable {
  readonly #exact = new Map<string, Route[]>();
  readonly #root = createNode();
  readonly #cache = new Map<string, readonly Route[]>();
  #hasWildcards = false;

  add(subject: string, route: Route): void {
    if (!subject.includes('+') && !subject.includes('#')) {
      const routes = this.#exact.get(subject);
      if (routes) routes.push(route);
      else this.#exact.set(subject, [route]);
      return;
    }
    this.#hasWildcards = true;
    let node = this.#root;
    for (const level of subject.split('/')) {
      if (level === '#') {
        node.rest.push(route);
        return;
      }
      let child = node.children.get(level);
      if (!child) {
        child = createNode();
        node.children.set(level, child);
      }
      node = child;
    }
    node.routes.push(route);
  }

  routes(topic: string): readonly Route[] {
    const known = this.#cache.get(topic);
    if (known) return known;
    const found = new Map<string, Route>();
    for (const route of this.#exact.get(topic) ?? NO_ROUTES) note(found, route);
    if (this.#hasWildcards) collect(this.#root, topic.split('/'), 0, isReserved(topic), found);
    const routes = found.size === 0 ? NO_ROUTES : Object.freeze([...found.values()]);
    if (this.#cache.size >= CACHE_SIZE) this.#cache.clear();
    this.#cache.set(topic, routes);
    return routes;
  }
}

function note(found: Map<string, Route>, route: Route): void {
  const known = found.get(route.target);
  found.set(route.target, known === undefined ? route : best(known, route));
}

/**
 * `#` takes what lies below its level, not the level itself (V1), and neither wildcard takes a first level that
 * starts with `$` [MQTT-4.7.2-1].
 */
function collect(
  node: Node,
  levels: readonly string[],
  index: number,
  reserved: boolean,
  found: Map<string, Route>,
): void {
  const wildcardsApply = !(reserved && index === 0);
  if (index < levels.length && wildcardsApply) for (const route of node.rest) note(found, route);
  if (index === levels.length) {
    for (const route of node.routes) note(found, route);
    return;
  }
  const child = node.children.get(levels[index] as string);
  if (child) collect(child, levels, index + 1, reserved, found);
  const any = node.children.get('+');
  if (any && wildcardsApply) collect(any, levels, index + 1, reserved, found);
}

export class SubscriptionTable {
  readonly #sources = new Map<string, SourceTable>();
  readonly #subscriptions: readonly GroupSubscription[];

  constructor(subscriptions: readonly GroupSubscription[]) {
    this.#subscriptions = subscriptions;
    for (const subscription of subscriptions) {
      const { Source, Subject } = subscription;
      let table = this.#sources.get(Source);
      if (!table) {
        table = new SourceTable();
        this.#sources.set(Source, table);
      }
      table.add(Subject, routeOf(subscription));
    }
  }

  /** Where a message goes: each target once, however many subscriptions name it. */
  routes(source: string, topic: string): readonly Route[] {
    return this.#sources.get(source)?.routes(topic) ?? NO_ROUTES;
  }

  targets(source: string, topic: string): string[] {
    return this.routes(source, topic).map(({ target }) => target);
  }

  get subscriptions(): readonly GroupSubscription[] {
    return this.#subscriptions;
  }

  /** Subjects with this source, each once: what the core subscribes to in the cloud is `subjectsFrom('cloud')`. */
  subjectsFrom(source: string): string[] {
    return [...new Set(this.#subscriptions.filter((s) => s.Source === source).map((s) => s.Subject))];
  }

  get size(): number {
    return this.#subscriptions.length;
  }
}

export function compileTable(subscriptions: readonly GroupSubscription[]): SubscriptionTable {
  return new SubscriptionTable(subscriptions);
}
