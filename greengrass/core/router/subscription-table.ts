/**
 * The subscription table: who gets a message of this source on this topic. Immutable; compiled once per deployment
 * and swapped in one assignment.
 *
 * Per source: exact subjects in a map, subjects with wildcards in a trie of levels. Answers are kept in a bounded
 * cache, since devices repeat their topics; a message that was seen before costs two map look-ups.
 */
import type { GroupSubscription } from '../../model/group.js';
import { isReserved } from '../../model/topic.js';

/** Answers kept per source; beyond it the cache starts anew. */
const CACHE_SIZE = 4096;
const NO_TARGETS: readonly string[] = Object.freeze([]);

interface Node {
  readonly children: Map<string, Node>;
  /** Targets of subjects that end here. */
  readonly targets: string[];
  /** Targets of subjects that go on with `#` here. */
  readonly rest: string[];
}

function createNode(): Node {
  return { children: new Map(), targets: [], rest: [] };
}

/** The subjects of one source. */
class SourceTable {
  readonly #exact = new Map<string, string[]>();
  readonly #root = createNode();
  readonly #cache = new Map<string, readonly string[]>();
  #hasWildcards = false;

  add(subject: string, target: string): void {
    if (!/[+#]/.test(subject)) {
      const targets = this.#exact.get(subject);
      if (targets) targets.push(target);
      else this.#exact.set(subject, [target]);
      return;
    }
    this.#hasWildcards = true;
    let node = this.#root;
    for (const level of subject.split('/')) {
      if (level === '#') {
        node.rest.push(target);
        return;
      }
      let child = node.children.get(level);
      if (!child) {
        child = createNode();
        node.children.set(level, child);
      }
      node = child;
    }
    node.targets.push(target);
  }

  targets(topic: string): readonly string[] {
    const known = this.#cache.get(topic);
    if (known) return known;
    const found = new Set(this.#exact.get(topic));
    if (this.#hasWildcards) collect(this.#root, topic.split('/'), 0, isReserved(topic), found);
    const targets = found.size === 0 ? NO_TARGETS : Object.freeze([...found]);
    if (this.#cache.size >= CACHE_SIZE) this.#cache.clear();
    this.#cache.set(topic, targets);
    return targets;
  }
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
  found: Set<string>,
): void {
  const wildcardsApply = !(reserved && index === 0);
  if (index < levels.length && wildcardsApply) for (const target of node.rest) found.add(target);
  if (index === levels.length) {
    for (const target of node.targets) found.add(target);
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
    for (const { Source, Subject, Target } of subscriptions) {
      let table = this.#sources.get(Source);
      if (!table) {
        table = new SourceTable();
        this.#sources.set(Source, table);
      }
      table.add(Subject, Target);
    }
  }

  /** Targets of a message, each once, however many subscriptions name it. */
  targets(source: string, topic: string): readonly string[] {
    return this.#sources.get(source)?.targets(topic) ?? NO_TARGETS;
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
