/** Why a message found no target: the subscription that came nearest to it, and what kept it from matching. Pure. */
import { parseFunctionArn } from '../../model/arn.js';
import type { GroupSubscription } from '../../model/group.js';
import { filterMatches, isReserved } from '../../model/topic.js';

export interface Nearest {
  readonly subscription: GroupSubscription;
  /** What does not match. */
  readonly differs: 'source' | 'version' | 'topic';
  readonly reason: string;
}

/** Undefined where no subscription has anything to do with the message. */
export function nearestSubscription(
  subscriptions: readonly GroupSubscription[],
  source: string,
  topic: string,
): Nearest | undefined {
  let best: { readonly score: number; readonly nearest: Nearest } | undefined;
  for (const subscription of subscriptions) {
    const found = compare(subscription, source, topic);
    if (found && (!best || found.score > best.score)) best = found;
  }
  return best?.nearest;
}

/** A fitting topic and only another version of the same function is as near as can be; then the source's own subjects. */
function compare(subscription: GroupSubscription, source: string, topic: string) {
  const { Source, Subject } = subscription;
  const matches = filterMatches(Subject, topic);
  if (Source === source) {
    const { reason, levels } = topicDifference(Subject, topic);
    return { score: 10 + levels, nearest: { subscription, differs: 'topic' as const, reason } };
  }
  if (!matches) return undefined;
  if (isOtherVersion(Source, source)) {
    const reason = `the message is from ${source}, the subscription names ${Source}`;
    return { score: 1000, nearest: { subscription, differs: 'version' as const, reason } };
  }
  const reason = `the topic matches, but the source of the subscription is ${Source}`;
  return { score: 5, nearest: { subscription, differs: 'source' as const, reason } };
}

function isOtherVersion(a: string, b: string): boolean {
  const [first, second] = [parseFunctionArn(a), parseFunctionArn(b)];
  return first !== undefined && first.name === second?.name && first.accountId === second.accountId;
}

/** Where topic and subject part, and how many levels are alike before that. */
function topicDifference(subject: string, topic: string): { reason: string; levels: number } {
  if (isReserved(topic) && (subject.startsWith('+') || subject.startsWith('#'))) {
    return { reason: 'wildcards in the first level do not take topics that start with $', levels: 0 };
  }
  const wanted = subject.split('/');
  const given = topic.split('/');
  let at = 0;
  while (at < wanted.length && at < given.length && (wanted[at] === '+' || wanted[at] === given[at])) at += 1;
  if (at === given.length && wanted[at] === '#') {
    return { reason: `${subject} takes what is below ${topic}, not ${topic} itself`, levels: at };
  }
  if (at === wanted.length) return { reason: `the topic goes on after level ${at}`, levels: at };
  if (at === given.length) {
    return {
      reason: `the topic ends after level ${at}, the subject goes on with "${wanted[at]}"`,
      levels: at,
    };
  }
  return {
    reason: `level ${at + 1} is "${given[at]}", the subject wants "${wanted[at]}"`,
    levels: at,
  };
}
