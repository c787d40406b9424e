/**
 * AWS IoT policies: may a certificate do this? Allow by any statement, unless one denies; nothing allowed is denied.
 * Wildcards `*` and `?`, policy variables of the connection. Pure.
 */
import { z } from '../../lib/check.js';

const oneOrMany = z
  .union([z.string(), z.array(z.string()).max(500)])
  .transform((value) => (typeof value === 'string' ? [value] : value));

export const policyDocument = z.object({
  Version: z.string().optional(),
  Statement: z.union([z.array(z.unknown()), z.unknown().transform((value) => [value])]).pipe(
    z.array(
      z.object({
        Effect: z.enum(['Allow', 'Deny']),
        Action: oneOrMany,
        Resource: oneOrMany,
        Condition: z.unknown().optional(),
      }),
    ),
  ),
});
export type PolicyDocument = z.output<typeof policyDocument>;

/** What policy variables stand for; one that is absent makes the statement's resource match nothing. */
export interface PolicyVariables {
  readonly clientId?: string;
  /** Thing name of the connection: that of the attached thing whose name is the client id. */
  readonly thingName?: string;
}

export interface PolicyRequest {
  readonly action: string;
  readonly resource: string;
  readonly variables?: PolicyVariables;
}

/** `documents`: JSON texts as they are stored. A text that is no policy allows nothing. */
export function isAllowed(documents: readonly string[], request: PolicyRequest): boolean {
  let allowed = false;
  for (const text of documents) {
    const document = parsePolicy(text);
    for (const statement of document?.Statement ?? []) {
      // Conditions are not evaluated: an Allow that has one grants nothing, a Deny that has one always denies.
      if (statement.Condition !== undefined && statement.Effect === 'Allow') continue;
      if (!statement.Action.some((action) => matches(action, request.action, true))) continue;
      const resources = statement.Resource.map((resource) => substitute(resource, request.variables ?? {}));
      if (!resources.some((resource) => resource !== undefined && matches(resource, request.resource, false)))
        continue;
      if (statement.Effect === 'Deny') return false;
      allowed = true;
    }
  }
  return allowed;
}

const cache = new Map<string, PolicyDocument | undefined>();

function parsePolicy(text: string): PolicyDocument | undefined {
  if (cache.has(text)) return cache.get(text);
  let document: PolicyDocument | undefined;
  try {
    const result = policyDocument.safeParse(JSON.parse(text));
    document = result.success ? result.data : undefined;
  } catch {
    document = undefined;
  }
  if (cache.size >= 1000) cache.clear();
  cache.set(text, document);
  return document;
}

/** A value put in for a variable is literal: wildcards in a client id must not widen a policy. */
const LITERAL_STAR = '\u0001';
const LITERAL_QUESTION = '\u0002';

function substitute(resource: string, { clientId, thingName }: PolicyVariables): string | undefined {
  let unknown = false;
  const text = resource.replace(/\$\{([^}]*)\}/g, (_whole, name: string) => {
    const value =
      name === 'iot:ClientId' ? clientId : name === 'iot:Connection.Thing.ThingName' ? thingName : undefined;
    if (value === undefined) unknown = true;
    return (value ?? '').replaceAll('*', LITERAL_STAR).replaceAll('?', LITERAL_QUESTION);
  });
  return unknown ? undefined : text;
}

/** Glob match without backtracking blow-up: the classic two-pointer walk. */
function matches(pattern: string, text: string, ignoreCase: boolean): boolean {
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
