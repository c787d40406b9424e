/** Which persistent sessions take a topic with QoS 1: all of them in memory, so that a publication asks no database. */
interface Level {
  readonly next: Map<string, Level>;
  /** Client ids whose filter ends here. */
  readonly clients: Set<string>;
}

const newLevel = (): Level => ({ next: new Map(), clients: new Set() });

export class SessionIndex {
  readonly #filters = new Map<string, Map<string, number>>();
  readonly #root = newLevel();

  get size(): number {
    return this.#filters.size;
  }

  has(clientId: string): boolean {
    return this.#filters.has(clientId);
  }

  filtersOf(clientId: string): ReadonlyMap<string, number> {
    return this.#filters.get(clientId) ?? new Map();
  }

  clientIds(): string[] {
    return [...this.#filters.keys()];
  }

  equals(clientId: string, filters: ReadonlyArray<readonly [filter: string, qos: number]>): boolean {
    const held = this.#filters.get(clientId);
    return held?.size === filters.length && filters.every(([filter, qos]) => held.get(filter) === qos);
  }

  /** Replaces what was known of the session. */
  set(clientId: string, filters: Iterable<readonly [filter: string, qos: number]>): void {
    this.delete(clientId);
    this.#filters.set(clientId, new Map());
    for (const [filter, qos] of filters) this.subscribe(clientId, filter, qos);
  }

  delete(clientId: string): void {
    this.unsubscribe(clientId, [...this.filtersOf(clientId).keys()]);
    this.#filters.delete(clientId);
  }

  subscribe(clientId: string, filter: string, qos: number): void {
    const held = this.#filters.get(clientId);
    if (!held) return;
    held.set(filter, qos);
    if (qos > 0) this.#add(clientId, filter);
    else this.#remove(this.#root, clientId, filter.split('/'), 0);
  }

  unsubscribe(clientId: string, filters: readonly string[]): void {
    const held = this.#filters.get(clientId);
    for (const filter of filters)
      if (held?.delete(filter)) this.#remove(this.#root, clientId, filter.split('/'), 0);
  }

  /** Client ids of the sessions that take the topic, each once. */
  match(topic: string): string[] {
    if (this.#root.next.size === 0) return [];
    const found = new Set<string>();
    collect(this.#root, topic.split('/'), 0, found);
    return [...found];
  }

  #add(clientId: string, filter: string): void {
    let level = this.#root;
    for (const name of filter.split('/')) {
      let next = level.next.get(name);
      if (!next) {
        next = newLevel();
        level.next.set(name, next);
      }
      level = next;
    }
    level.clients.add(clientId);
  }

  /** Levels that hold nothing any more are taken away. */
  #remove(level: Level, clientId: string, names: readonly string[], depth: number): void {
    const name = names[depth];
    if (name === undefined) {
      level.clients.delete(clientId);
      return;
    }
    const next = level.next.get(name);
    if (!next) return;
    this.#remove(next, clientId, names, depth + 1);
    if (next.clients.size === 0 && next.next.size === 0) level.next.delete(name);
  }
}

function collect(level: Level, names: readonly string[], depth: number, found: Set<string>): void {
  // A wildcard in the first level does not take topics that start with `$` [MQTT-4.7.2-1].
  const wildcards = depth > 0 || !names[0]?.startsWith('$');
  if (wildcards) addAll(level.next.get('#')?.clients, found);
  const name = names[depth];
  if (name === undefined) {
    addAll(level.clients, found);
    return;
  }
  const exact = level.next.get(name);
  if (exact) collect(exact, names, depth + 1, found);
  const any = wildcards ? level.next.get('+') : undefined;
  if (any) collect(any, names, depth + 1, found);
}

function addAll(from: Iterable<string> | undefined, to: Set<string>): void {
  for (const clientId of from ?? []) to.add(clientId);
}
