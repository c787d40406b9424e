/** What a router tells those who follow messages. Nothing of this exists while nobody follows. */
import type { GroupSubscription } from '../../model/group.js';
import { filterMatches } from '../../model/topic.js';
import type { Message } from './message.js';
import { type Nearest, nearestSubscription } from './nearest.js';
import type { SubscriptionTable } from './subscription-table.js';

/** One target of a traced message. */
export interface Hop {
  readonly target: string;
  readonly result: 'taken' | 'refused';
  /** Why it was refused, as far as the target knows. */
  readonly reason?: string;
  /** Microseconds that the target took to take it. */
  readonly us: number;
}

export interface Traced {
  /** Unix time in ms, with its fraction. */
  readonly time: number;
  readonly source: string;
  readonly topic: string;
  readonly qos: 0 | 1;
  readonly bytes: number;
  /** The subscriptions that matched. */
  readonly subscriptions: readonly GroupSubscription[];
  readonly hops: readonly Hop[];
  /** Where none matched: the nearest one. */
  readonly nearest?: Nearest;
}

/** Somebody who follows messages. Called for every message: cheap, and never throws. */
export interface Follower {
  wants(message: Message): boolean;
  traced(traced: Traced): void;
}

/** Sources and topics whose explanation is remembered: the search looks at the whole table. */
const MAX_EXPLAINED = 1000;

/** Says of a table what it says of a message, in full. One for each table that is traced. */
export class TableReader {
  readonly #matching = new Map<string, readonly GroupSubscription[]>();
  readonly #nearest = new Map<string, Nearest | undefined>();

  constructor(private readonly table: SubscriptionTable) {}

  matching(source: string, topic: string): readonly GroupSubscription[] {
    return remember(this.#matching, source, topic, () =>
      this.table.subscriptions.filter(
        ({ Source, Subject }) => Source === source && filterMatches(Subject, topic),
      ),
    );
  }

  nearest(source: string, topic: string): Nearest | undefined {
    return remember(this.#nearest, source, topic, () =>
      nearestSubscription(this.table.subscriptions, source, topic),
    );
  }
}

function remember<T>(memory: Map<string, T>, source: string, topic: string, find: () => T): T {
  const key = `${source}\n${topic}`;
  const known = memory.get(key);
  if (known !== undefined || memory.has(key)) return known as T;
  const found = find();
  if (memory.size >= MAX_EXPLAINED) memory.clear();
  memory.set(key, found);
  return found;
}
