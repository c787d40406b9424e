/**
 * Topics that start with `$`: what clients may publish to and subscribe to by AWS IoT's rules. Anything else ends the
 * connection, or is refused in the SUBACK. Pure.
 */
import { MAX_TOPIC_SLASHES, parseShadowTopic } from '../../model/topic.js';
import { parseJobTopic } from './jobs/job-topics.js';

const THING = '[a-zA-Z0-9:_-]{1,128}';
const NAME = '[a-zA-Z0-9_-]{1,64}';

/** Requests to AWS IoT. Those that nothing answers here are taken all the same: a device must not lose its connection. */
const REQUESTS = [
  `things/${THING}/greengrass/health/json`,
  `things/${THING}/defender/metrics/(?:json|cbor)`,
  `things/${THING}/streams/${NAME}/(?:get|describe)/(?:json|cbor)`,
].map((pattern) => new RegExp(`^\\$aws/${pattern}$`));

/** Basic Ingest: a rule's name, then any topic. It reaches the rule and no subscriber. */
const BASIC_INGEST = /^\$aws\/rules\/[a-zA-Z0-9_]{1,128}(?:\/(.*))?$/;

/** Why nobody may publish to the topic, or undefined; only for topics that start with `$`. */
export function reservedPublishProblem(topic: string): string | undefined {
  const ingest = BASIC_INGEST.exec(topic);
  if (ingest) return slashProblem(ingest[1] ?? '');
  const shadow = parseShadowTopic(topic);
  if (shadow && shadow.kind === undefined) return undefined;
  if (parseJobTopic(topic) || REQUESTS.some((pattern) => pattern.test(topic))) return undefined;
  return 'topics that start with $ are reserved';
}

/** Why nobody may subscribe to the filter, or undefined; only for filters that start with `$`. */
export function reservedFilterProblem(filter: string): string | undefined {
  // `$SYS` tells of other clients; `$share` would be taken as an ordinary topic.
  if (!filter.startsWith('$aws/')) return 'topics that start with $ are reserved';
  // `$aws/<service>/<name>` is the reserved part; the rest is the user's.
  return slashProblem(filter.split('/').slice(3).join('/'));
}

/** True where the topic has no subscribers, whatever they subscribed to. */
export function isBasicIngest(topic: string): boolean {
  return topic.startsWith('$aws/rules/');
}

function slashProblem(rest: string): string | undefined {
  const slashes = rest.split('/').length - 1;
  return slashes > MAX_TOPIC_SLASHES
    ? `${slashes} slashes behind the reserved part are more than the limit of ${MAX_TOPIC_SLASHES}`
    : undefined;
}
