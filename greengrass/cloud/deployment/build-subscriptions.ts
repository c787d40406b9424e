/** The subscriptions of a group, functions named by the version that is deployed. */
import type { GroupSubscription } from '../../model/group.js';
import type { SubscriptionEntry } from './definition-reader.js';

/** `resolved`: the ARN that is deployed, by the one that the definitions name. */
export function toSubscriptions(
  entries: readonly SubscriptionEntry[],
  resolved: ReadonlyMap<string, string>,
): GroupSubscription[] {
  const party = (name: string) => resolved.get(name) ?? name;
  return entries.map(({ Id, Source, Subject, Target, ...extension }) => ({
    Id,
    Source: party(Source),
    Subject,
    Target: party(Target),
    ...extension,
  }));
}
