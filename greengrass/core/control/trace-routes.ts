/** `gg trace`: messages as they pass the router, and counters of those that found no target. */
import { check, z } from '../../lib/check.js';
import { filterMatches, filterProblem } from '../../model/topic.js';
import type { Message } from '../router/message.js';
import type { Router } from '../router/router.js';
import type { Follower, Traced } from '../router/trace.js';
import type { ControlRoute } from './control-route.js';

/** Traced messages that wait for a slow reader; beyond it they are counted only. */
const MAX_WAITING = 1000;

const wishes = z.object({
  /** Topic filter, MQTT's rules. */
  topic: z
    .string()
    .max(256)
    .default('#')
    .superRefine((filter, context) => {
      const problem = filterProblem(filter);
      if (problem) context.addIssue({ code: 'custom', message: problem });
    }),
  /** Part of the source's name. */
  source: z.string().max(512).default(''),
  /** `unrouted`: only messages that found no target or that a target refused. */
  only: z.enum(['unrouted', 'all']).default('all'),
});
type Wishes = z.output<typeof wishes>;

/** One line of the stream: a message, or how many were not shown because the reader was too slow. */
export type TraceLine = Traced | { readonly missed: number };

export function traceRoutes(router: Router): ControlRoute[] {
  return [
    {
      method: 'GET',
      path: '/trace',
      handle: ({ query, signal }) => ({
        stream: follow(router, check(wishes, Object.fromEntries(query), 'the query'), signal),
      }),
    },
    { method: 'GET', path: '/unrouted', handle: () => ({ body: router.unrouted() }) },
  ];
}

async function* follow(router: Router, asked: Wishes, signal: AbortSignal): AsyncGenerator<TraceLine> {
  const waiting: Traced[] = [];
  let missed = 0;
  let wake = () => {};
  const follower: Follower = {
    wants: (message) => {
      if (!fits(message, asked)) return false;
      if (waiting.length < MAX_WAITING) return true;
      missed += 1;
      return false;
    },
    traced: (traced) => {
      if (asked.only === 'unrouted' && isDelivered(traced)) return;
      waiting.push(traced);
      wake();
    },
  };
  const leave = router.follow(follower);
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    while (!signal.aborted) {
      const traced = waiting.shift();
      if (traced) yield traced;
      else if (missed > 0) {
        yield { missed };
        missed = 0;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    leave();
    signal.removeEventListener('abort', onAbort);
  }
}

function fits({ topic, source }: Message, asked: Wishes): boolean {
  if (asked.source !== '' && !source.includes(asked.source)) return false;
  // `#` shows everything, what begins with $ as well: here it is a wish, not a subscription.
  return asked.topic === '#' || filterMatches(asked.topic, topic, 'included');
}

function isDelivered({ hops }: Traced): boolean {
  return hops.length > 0 && hops.every(({ result }) => result === 'taken');
}
