/** `gg trace`: follows messages through the router of a running core on this machine. */
import { check, z } from '../lib/check.js';
import { parseFunctionArn, thingNameOf } from '../model/arn.js';
import { type CoreControl, coreControl, DEFAULT_ROOT } from './core-control.js';

export interface TraceOptions {
  /** Topic filter; everything where absent. */
  readonly filter?: string;
  /** Part of the source's name. */
  readonly source?: string;
  readonly unrouted?: boolean;
  /** End after so many messages. */
  readonly count?: number;
  readonly counters?: boolean;
  readonly json?: boolean;
  readonly root?: string;
}

const subscription = z.object({
  Id: z.string().optional(),
  Source: z.string(),
  Subject: z.string(),
  Target: z.string(),
});
const traced = z.object({
  time: z.number(),
  source: z.string(),
  topic: z.string(),
  qos: z.number(),
  bytes: z.number(),
  subscriptions: z.array(subscription),
  hops: z.array(
    z.object({
      target: z.string(),
      result: z.enum(['taken', 'refused']),
      reason: z.string().optional(),
      us: z.number(),
    }),
  ),
  nearest: z.object({ subscription, differs: z.string(), reason: z.string() }).optional(),
});
const line = z.union([traced, z.object({ missed: z.number() })]);
const counters = z.object({
  pairs: z.array(z.object({ source: z.string(), topic: z.string(), count: z.number() })),
  others: z.number(),
});
type Traced = z.output<typeof traced>;

/** Resolves when `count` messages were shown, or the signal came. Throws CoreControlError. */
export async function trace(
  options: TraceOptions,
  write: (text: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const core = coreControl(options.root ?? DEFAULT_ROOT);
  if (options.counters) return showCounters(core, options, write);
  const query = new URLSearchParams({
    ...(options.filter === undefined ? {} : { topic: options.filter }),
    ...(options.source === undefined ? {} : { source: options.source }),
    ...(options.unrouted ? { only: 'unrouted' } : {}),
  });
  let shown = 0;
  for await (const item of core.follow(`/trace?${query}`, signal)) {
    const got = check(line, item, 'answer of the core');
    if (options.json) write(`${JSON.stringify(item)}\n`);
    else write('missed' in got ? `… ${got.missed} more were not shown: too many to follow\n` : describe(got));
    if (!('missed' in got)) shown += 1;
    if (options.count !== undefined && shown >= options.count) return;
  }
}

async function showCounters(core: CoreControl, { json }: TraceOptions, write: (text: string) => void) {
  const got = check(counters, await core.call('GET', '/unrouted'), 'answer of the core');
  if (json) {
    write(`${JSON.stringify(got)}\n`);
    return;
  }
  if (got.pairs.length === 0) write('since the last deployment every message found a target\n');
  for (const { count, source, topic } of [...got.pairs].sort((a, b) => b.count - a.count)) {
    write(`${String(count).padStart(8)}  ${topic}  from ${shortName(source)}\n`);
  }
  if (got.others > 0) write(`${String(got.others).padStart(8)}  with other sources and topics\n`);
}

function describe({ time, topic, source, qos, bytes, subscriptions, hops, nearest }: Traced): string {
  const clock = new Date(time).toISOString().slice(11, 23);
  const lines = [`${clock}  ${topic}  from ${shortName(source)}  (QoS ${qos}, ${bytes} bytes)`];
  for (const { target, result, reason, us } of hops) {
    const by = subscriptions.filter(({ Target }) => Target === target);
    const names = by.map(({ Id, Subject }) => (Id === undefined ? Subject : `${Id} ${Subject}`)).join(', ');
    const outcome = result === 'taken' ? `taken in ${us} µs` : `REFUSED: ${reason ?? 'full, or not running'}`;
    lines.push(`    → ${shortName(target)}  ${outcome}  [${names}]`);
  }
  if (hops.length === 0) lines.push('    no subscription matches');
  if (nearest) {
    const { subscription: near, differs, reason } = nearest;
    const id = near.Id === undefined ? '' : `${near.Id}: `;
    lines.push(
      `    nearest: ${id}${shortName(near.Source)} ${near.Subject} → ${shortName(near.Target)}`,
      `    differs in the ${differs}: ${reason}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** ARNs without what is the same everywhere. */
function shortName(party: string): string {
  const thing = thingNameOf(party);
  if (thing !== undefined) return `device ${thing}`;
  const named = parseFunctionArn(party);
  return named ? `function ${named.name}${named.qualifier ? `:${named.qualifier}` : ''}` : party;
}
