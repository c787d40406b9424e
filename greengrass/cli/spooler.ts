/** `gg spooler`: what waits for the cloud in a running core on this machine, and what did not get there. */
import { check, z } from '../lib/check.js';
import { coreControl, DEFAULT_ROOT } from './core-control.js';

export interface SpoolerOptions {
  readonly root?: string;
  readonly json?: boolean;
}

const count = z.number().default(0);
const status = z.object({
  messages: z.number(),
  bytes: z.number(),
  underWay: count,
  oldest: z.number().optional(),
  next: z.array(z.object({ priority: z.number(), topic: z.string(), cameAt: z.number() })).default([]),
  settings: z.object({ storage: z.string(), maxBytes: z.number(), full: z.string(), quality: z.string() }),
  dropped: count,
  refused: count,
  expired: count,
  unstored: count,
  unsent: count,
  lost: count,
  connection: z.object({
    state: z.string(),
    host: z.string(),
    port: z.number(),
    since: z.number(),
    reason: z.string().optional(),
    retryAt: z.number().optional(),
  }),
});
type Status = z.output<typeof status>;

/** Why messages did not get to the cloud, in words. */
const LOSSES = {
  dropped: 'gave way: the spool was full',
  refused: 'given up: the cloud cuts the connection when they are sent',
  expired: 'waited longer than their subscription allows (Ttl)',
  unstored: 'not accepted: they could not be stored',
  unsent: 'not kept (Qos 0) while the cloud was away or too slow',
  lost: 'were in a damaged file, or could not be stored before a stop',
} as const;

/** Throws CoreControlError. */
export async function showSpooler(options: SpoolerOptions, write: (text: string) => void): Promise<void> {
  const answer = await coreControl(options.root ?? DEFAULT_ROOT).call('GET', '/spooler');
  const got = check(status, answer, 'answer of the core');
  write(options.json ? `${JSON.stringify(answer, null, 2)}\n` : describe(got, Date.now()));
}

function describe(got: Status, now: number): string {
  const { messages, bytes, underWay, oldest, next, settings, connection } = got;
  const { state, host, port, since, reason, retryAt } = connection;
  const share = Math.round((bytes / settings.maxBytes) * 100);
  const lines = [
    `connection  ${state} for ${span(now - since)}  ${host}:${port}`,
    ...(reason === undefined ? [] : [`            ${reason}${retryAt ? `; ${retry(retryAt - now)}` : ''}`]),
    `waiting     ${messages} messages, ${bytes} of ${settings.maxBytes} bytes (${share} %), ${underWay} under way`,
    ...(oldest === undefined
      ? []
      : [`oldest      ${new Date(oldest).toISOString()}, ${span(now - oldest)} ago`]),
    ...(next.length < 2
      ? []
      : next.map(({ priority, topic }) => `next        priority ${priority}: ${topic}`)),
    `storage     ${settings.storage}, ${settings.full}; from the cloud ${settings.quality}`,
  ];
  const losses = Object.entries(LOSSES) as Array<[keyof typeof LOSSES, string]>;
  const lost = losses.filter(([name]) => got[name] > 0);
  if (lost.length === 0) lines.push('lost        nothing since the core was started');
  for (const [name, words] of lost) lines.push(`lost        ${got[name]} ${words}`);
  return `${lines.join('\n')}\n`;
}

const retry = (ms: number) => (ms > 0 ? `next attempt in ${span(ms)}` : 'an attempt is under way');

/** Two units at most: `3 d 4 h`. */
function span(ms: number): string {
  let rest = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [unit, seconds] of [
    ['d', 86_400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ] as const) {
    const value = Math.floor(rest / seconds);
    rest -= value * seconds;
    if (value > 0 || (unit === 's' && parts.length === 0)) parts.push(`${value} ${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}
