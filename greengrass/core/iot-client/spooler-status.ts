/** What the spooler tells an operator. */
import { LANE_SIZE, priorityOf } from './lanes.js';
import type { Spool } from './spool.js';
import type { SpoolSettings } from './spool-settings.js';

/** Counters since the start of the process. */
export interface SpoolerCounters {
  /** Waiting now. */
  readonly messages: number;
  readonly bytes: number;
  /** Gave way because the spool was full: the oldest, or with keepOldest the new ones. */
  readonly dropped: number;
  /** Given up because the cloud cuts the connection when they are sent. */
  readonly refused: number;
  /** Waited longer than their subscription allows. */
  readonly expired: number;
  /** Not taken because they could not be stored. */
  readonly unstored: number;
  /** Of subscriptions with QoS 0: the cloud was away, or took them too slowly. */
  readonly unsent: number;
  /** Were in a file that was damaged, as far as that is known, or had no place when the core stopped. */
  readonly lost: number;
}

export interface SpoolerStatus extends SpoolerCounters {
  readonly settings: SpoolSettings;
  /** Sent, without PUBACK yet; among `messages`. */
  readonly underWay: number;
  /** When the oldest message that waits came, in ms since 1970. */
  readonly oldest?: number;
  /** The first of each priority, highest first: what goes out next. */
  readonly next: ReadonlyArray<{
    readonly priority: number;
    readonly topic: string;
    readonly cameAt: number;
  }>;
}

/** The first message of each priority. */
export function firstOfEach(spool: Spool): SpoolerStatus['next'] {
  return spool.lanes.flatMap((lane) => {
    const [first] = spool.after(lane, 1, 1, lane + LANE_SIZE);
    if (!first) return [];
    return [{ priority: priorityOf(first.id), topic: first.topic, cameAt: first.cameAt }];
  });
}
