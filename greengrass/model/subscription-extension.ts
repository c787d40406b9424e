/**
 * What a subscription of ours can say beyond V1's API. Clients that know only V1's never see it: the cloud takes the
 * members wherever a subscription is given, and gives them back to who asks with EXTENSIONS_HEADER.
 */
import { z } from '../lib/check.js';

/** Header of a request; its value lists what the client understands, such as `subscriptions`. */
export const EXTENSIONS_HEADER = 'x-greengrass-extensions';
export const SUBSCRIPTION_EXTENSIONS = 'subscriptions';

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
} as const;

export interface SubscriptionExtension {
  readonly Priority?: number;
  readonly Ttl?: number;
  readonly Qos?: 0 | 1;
}

export const EXTENSION_MEMBERS = Object.keys(subscriptionExtension) as ReadonlyArray<
  keyof typeof subscriptionExtension
>;

/** True where the header's value says that the client understands extensions of subscriptions. */
export function asksForSubscriptionExtensions(header: string | undefined): boolean {
  return (header ?? '').split(',').some((word) => word.trim().toLowerCase() === SUBSCRIPTION_EXTENSIONS);
}

function whole(min: number, max: number) {
  const error = ({ input }: { readonly input?: unknown }) =>
    `must be a whole number from ${min} to ${max}, not ${shown(input)}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}
