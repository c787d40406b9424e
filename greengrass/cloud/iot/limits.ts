/** AWS IoT's limits of a connection, and what a CONNECT must look like to be taken. Pure. */
import type { Subscription } from 'aedes';
import { topicProblem } from '../../model/topic.js';

export const MAX_CLIENT_ID_BYTES = 128;
export const MAX_SUBSCRIPTIONS = 50;
export const MAX_FILTERS_PER_SUBSCRIBE = 8;
/** Seconds. A client that asks for none gets the longest. */
export const MIN_KEEP_ALIVE_S = 30;
export const MAX_KEEP_ALIVE_S = 1200;

/** The keep-alive time that counts for a client that asked for `seconds`. */
export function keepAliveFor(seconds: number | undefined): number {
  if (!seconds) return MAX_KEEP_ALIVE_S;
  return Math.min(Math.max(seconds, MIN_KEEP_ALIVE_S), MAX_KEEP_ALIVE_S);
}

/** As a value of `${iot:ClientId}` these would widen a filter, or break a line of the log. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const UNFIT_CLIENT_ID = /[+#\u0000-\u001f\u007f]/;

/** Why nobody may connect under this client id, or undefined. */
export function clientIdProblem(clientId: string): string | undefined {
  if (UNFIT_CLIENT_ID.test(clientId)) return 'a client id must be free of wildcards and control characters';
  const bytes = Buffer.byteLength(clientId);
  if (bytes > MAX_CLIENT_ID_BYTES)
    return `a client id of ${bytes} bytes is more than the limit of ${MAX_CLIENT_ID_BYTES}`;
  return undefined;
}

export interface Will {
  readonly topic: string;
  readonly qos?: number;
}

/** Why a CONNECT with this will is refused, or undefined. Whether the policy allows it is asked when it is published. */
export function willProblem(will: Will | undefined): string | undefined {
  if (!will) return undefined;
  if (will.qos === 2) return 'a will with QoS 2 is not supported';
  return topicProblem(will.topic);
}

/** Why a SUBSCRIBE of these filters ends the connection, or undefined. */
export function subscribeProblem(
  subscriptions: readonly Pick<Subscription, 'topic'>[],
  held: Pick<ReadonlyMap<string, unknown>, 'has' | 'size'>,
): string | undefined {
  if (subscriptions.length > MAX_FILTERS_PER_SUBSCRIBE)
    return `a SUBSCRIBE with ${subscriptions.length} topic filters is more than the limit of ${MAX_FILTERS_PER_SUBSCRIBE}`;
  const added = new Set(subscriptions.map(({ topic }) => topic).filter((topic) => !held.has(topic)));
  if (held.size + added.size > MAX_SUBSCRIPTIONS)
    return `more than ${MAX_SUBSCRIPTIONS} subscriptions to a connection`;
  return undefined;
}
