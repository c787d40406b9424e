/**
 * What a subscription of ours can say beyond V1's API. Clients that know only V1's never see it: the cloud takes the
 * members wherever a subscription is given, and gives them back to who asks with EXTENSIONS_HEADER.
 */
/** Header of a request; its value lists what the client understands, such as `subscriptions`. */
export const EXTENSIONS_HEADER = 'x-greengrass-extensions';
export const SUBSCRIPTION_EXTENSIONS = 'subscriptions';

export interface SubscriptionExtension {
  readonly Priority?: number;
  readonly Ttl?: number;
  readonly Qos?: 0 | 1;
}

export const EXTENSION_MEMBERS = ['Priority', 'Ttl', 'Qos'] as const satisfies ReadonlyArray<
  keyof SubscriptionExtension
>;

/** True where the header's value says that the client understands extensions of subscriptions. */
export function asksForSubscriptionExtensions(header: string | undefined): boolean {
  return (header ?? '').split(',').some((word) => word.trim().toLowerCase() === SUBSCRIPTION_EXTENSIONS);
}
