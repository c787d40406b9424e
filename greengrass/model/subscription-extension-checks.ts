/** What the members of subscription-extension.ts may be. Apart from their names, which `gg` knows without a validator. */
import { z } from '../lib/check.js';
import type { SubscriptionExtension } from './subscription-extension.js';

export const subscriptionExtension = {
  /** Higher goes first where messages wait; 0 where absent. */
  Priority: whole(-100, 100).optional(),
  /** Seconds: how long a message may wait for its target. */
  Ttl: whole(1, 31_536_000).optional(),
  /** 0: at most once; 1: at least once, whatever QoS the sender used. Absent: V1's way. */
  Qos: z
    .union([z.literal(0), z.literal(1)], {
      error: ({ input }) => `must be 0 or 1, not ${shown(input)}`,
    })
    .optional(),
} as const satisfies Record<keyof SubscriptionExtension, z.ZodType>;

function whole(min: number, max: number) {
  const error = ({ input }: { readonly input?: unknown }) =>
    `must be a whole number from ${min} to ${max}, not ${shown(input)}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}
