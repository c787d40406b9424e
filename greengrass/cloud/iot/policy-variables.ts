/** Policy variables: what AWS IoT knows of a connection when it reads its policies, and where they stand in a text. */

/** One that is absent makes a statement's resource match nothing. */
export interface PolicyVariables {
  readonly clientId?: string;
  /** Thing name of the connection: that of the attached thing whose name is the client id. */
  readonly thingName?: string;
  /** Of that thing, as is what follows. */
  readonly thingTypeName?: string;
  readonly thingAttributes?: Readonly<Record<string, string>>;
  readonly sourceIp?: string;
}

type Reader = (variables: PolicyVariables) => string | undefined;

/** By their names in small letters: in conditions their case doesn't matter. */
const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['iot:clientid', ({ clientId }) => clientId],
  ['iot:connection.thing.thingname', ({ thingName }) => thingName],
  ['iot:connection.thing.thingtypename', ({ thingTypeName }) => thingTypeName],
  ['iot:connection.thing.isattached', ({ thingName }) => String(thingName !== undefined)],
  ['aws:sourceip', ({ sourceIp }) => sourceIp],
  ['aws:securetransport', () => 'true'],
  ['aws:currenttime', () => new Date().toISOString()],
  ['aws:epochtime', () => String(Math.floor(Date.now() / 1000))],
]);
const ATTRIBUTE = /^iot:connection\.thing\.attributes\[([^\]]+)\]$/i;

/** True where we know what the variable means, whether it has a value or not. */
export function isKnownVariable(name: string): boolean {
  return READERS.has(name.toLowerCase()) || ATTRIBUTE.test(name);
}

export function variableOf(name: string, variables: PolicyVariables): string | undefined {
  const attribute = ATTRIBUTE.exec(name)?.[1];
  if (attribute === undefined) return READERS.get(name.toLowerCase())?.(variables);
  const { thingAttributes = {} } = variables;
  return Object.hasOwn(thingAttributes, attribute) ? thingAttributes[attribute] : undefined;
}

/** A value put in for a variable is literal: wildcards in a client id must not widen a policy. */
const LITERAL_STAR = '\u0001';
const LITERAL_QUESTION = '\u0002';

/** The text with values for its variables; undefined where one has none. `${*}`, `${?}` and `${$}` stand for themselves. */
export function substitute(text: string, variables: PolicyVariables): string | undefined {
  let isUnknown = false;
  const substituted = text.replace(/\$\{([^}]*)\}/g, (_whole, name: string) => {
    const value = /^[*?$]$/.test(name) ? name : variableOf(name, variables);
    if (value === undefined) isUnknown = true;
    return (value ?? '').replaceAll('*', LITERAL_STAR).replaceAll('?', LITERAL_QUESTION);
  });
  return isUnknown ? undefined : substituted;
}

/** A substituted text as it reads, for who compares without wildcards. */
export function plain(substituted: string): string {
  return substituted.replaceAll(LITERAL_STAR, '*').replaceAll(LITERAL_QUESTION, '?');
}

/** Glob match without backtracking blow-up: the classic two-pointer walk. `pattern` is substituted already. */
export function matches(pattern: string, text: string, ignoreCase: boolean): boolean {
  const p = ignoreCase ? pattern.toLowerCase() : pattern;
  const t = ignoreCase ? text.toLowerCase() : text;
  let at = 0;
  let star = -1;
  let resume = 0;
  let index = 0;
  while (index < t.length) {
    const want = p[at];
    if (want === '*') {
      star = at++;
      resume = index;
    } else if (want === '?' || (want !== undefined && literal(want) === t[index])) {
      at += 1;
      index += 1;
    } else if (star >= 0) {
      at = star + 1;
      index = ++resume;
    } else {
      return false;
    }
  }
  while (p[at] === '*') at += 1;
  return at === p.length;
}

function literal(character: string): string {
  if (character === LITERAL_STAR) return '*';
  if (character === LITERAL_QUESTION) return '?';
  return character;
}
