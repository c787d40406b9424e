/**
 * MQTT topics and topic filters under V1's rules. Pure.
 *
 * V1's subscription table differs from MQTT in one place: `sensor/#` takes `sensor/` and `sensor/a/b`, but not
 * `sensor` itself (V1 connectors.md). What a device SUBSCRIBEs to on the local MQTT server follows MQTT.
 */

/** Longest topic, in bytes of UTF-8 (V1 quota). */
export const MAX_TOPIC_BYTES = 256;
/** Most forward slashes in a topic (V1 quota). */
export const MAX_TOPIC_SLASHES = 7;
/** Largest message that the core routes, in bytes (V1 quota). */
export const MAX_MESSAGE_BYTES = 128 * 1024;

/** Why `topic` can't be published to, or undefined where it can. */
export function topicProblem(topic: string): string | undefined {
  if (topic === '') return 'a topic must not be empty';
  if (/[+#]/.test(topic)) return 'publishing to a topic with wildcards is not allowed';
  return lengthProblem(topic);
}

/** Why `filter` is no topic filter, or undefined where it is one. MQTT's rules [MQTT-4.7.1-2], [MQTT-4.7.1-3]. */
export function filterProblem(filter: string): string | undefined {
  if (filter === '') return 'a topic filter must not be empty';
  const levels = filter.split('/');
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== levels.length - 1)) {
      return "'#' must stand alone in the last level";
    }
    if (level.includes('+') && level !== '+') return "'+' must stand alone in its level";
  }
  return lengthProblem(filter);
}

function lengthProblem(text: string): string | undefined {
  if (text.includes('\u0000')) return 'a null character is not allowed';
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_TOPIC_BYTES) return `${bytes} bytes are more than the limit of ${MAX_TOPIC_BYTES}`;
  if (isReserved(text)) return undefined;
  const slashes = text.split('/').length - 1;
  if (slashes > MAX_TOPIC_SLASHES)
    return `${slashes} slashes are more than the limit of ${MAX_TOPIC_SLASHES}`;
  return undefined;
}

/** Topics that start with `$` belong to the system (shadows). */
export function isReserved(topic: string): boolean {
  return topic.startsWith('$');
}

export type HashParent = 'excluded' | 'included';

/**
 * True where the topic filter takes the topic. A wildcard in the first level does not take topics that start with
 * `$` [MQTT-4.7.2-1]. `hashParent` says whether `a/#` takes `a`: V1's table excludes it, MQTT includes it.
 */
export function filterMatches(filter: string, topic: string, hashParent: HashParent = 'excluded'): boolean {
  if (filter === topic) return true;
  if (isReserved(topic) && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  const wanted = filter.split('/');
  const given = topic.split('/');
  for (let index = 0; index < wanted.length; index++) {
    const level = wanted[index];
    if (level === '#') return index < given.length || hashParent === 'included';
    if (index >= given.length) return false;
    if (level !== '+' && level !== given[index]) return false;
  }
  return wanted.length === given.length;
}

/**
 * A shadow topic, taken apart: `$aws/things/<thing>/shadow[/name/<shadow>]/<operation>[/<kind>]`. V1 knew one shadow for a
 * thing; named ones are AWS IoT's.
 */
export interface ShadowTopic {
  readonly thingName: string;
  /** Names the shadow among all: the thing's name, and for a named shadow a slash and its name. */
  readonly key: string;
  readonly operation: 'get' | 'update' | 'delete';
  /** accepted, rejected, delta or documents; absent on a request. */
  readonly kind?: 'accepted' | 'rejected' | 'delta' | 'documents';
}

const SHADOW_TOPIC =
  /^\$aws\/things\/([a-zA-Z0-9:_-]{1,128})\/shadow(?:\/name\/([a-zA-Z0-9:_-]{1,64}))?\/(get|update|delete)(?:\/(accepted|rejected|delta|documents))?$/;

export function parseShadowTopic(topic: string): ShadowTopic | undefined {
  const match = SHADOW_TOPIC.exec(topic);
  if (!match) return undefined;
  const [, thingName, shadowName, operation, kind] = match;
  return {
    thingName: thingName as string,
    key: shadowKey(thingName as string, shadowName),
    operation: operation as ShadowTopic['operation'],
    ...(kind === undefined ? {} : { kind: kind as NonNullable<ShadowTopic['kind']> }),
  };
}

export function shadowKey(thingName: string, shadowName?: string): string {
  return shadowName === undefined ? thingName : `${thingName}/${shadowName}`;
}

/** `$aws/things/<thing>/shadow/<operation>` and, with a kind, the topic of its answer. `key` as in ShadowTopic. */
export function shadowTopic(
  key: string,
  operation: ShadowTopic['operation'],
  kind?: ShadowTopic['kind'],
): string {
  const [thingName, shadowName] = key.split('/');
  const named = shadowName === undefined ? '' : `/name/${shadowName}`;
  const base = `$aws/things/${thingName}/shadow${named}/${operation}`;
  return kind === undefined ? base : `${base}/${kind}`;
}
