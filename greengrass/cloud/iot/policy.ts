/**
 * AWS IoT policies: may a certificate do this? Allow by any statement, unless one denies; nothing allowed is denied.
 * Wildcards `*` and `?`, policy variables of the connection, conditions. Pure but for the time that a condition asks for.
 */
import { z } from '../../lib/check.js';
import { judge, type PolicyCondition, policyCondition, type Verdict } from './policy-conditions.js';
import { matches, type PolicyVariables, substitute } from './policy-variables.js';

/** In place of a condition of another form. */
const UNREADABLE = 'unreadable';

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
        // One that can't be read is kept: a Deny must not go unheard for it.
        Condition: z
          .union([policyCondition, z.unknown().transform(() => UNREADABLE as typeof UNREADABLE)])
          .optional(),
      }),
    ),
  ),
});
export type PolicyDocument = z.output<typeof policyDocument>;

export type { PolicyVariables } from './policy-variables.js';

export interface PolicyRequest {
  readonly action: string;
  readonly resource: string;
  readonly variables?: PolicyVariables;
}

/** `documents`: JSON texts as they are stored. A text that is no policy allows nothing. */
export function isAllowed(documents: readonly string[], request: PolicyRequest): boolean {
  const { variables = {} } = request;
  let allowed = false;
  for (const text of documents) {
    const document = parsePolicy(text);
    for (const statement of document?.Statement ?? []) {
      if (!statement.Action.some((action) => matches(action, request.action, true))) continue;
      const resources = statement.Resource.map((resource) => substitute(resource, variables));
      if (!resources.some((resource) => resource !== undefined && matches(resource, request.resource, false)))
        continue;
      const verdict = verdictOf(statement.Condition, variables);
      if (verdict === 'fails') continue;
      if (statement.Effect === 'Deny') return false;
      if (verdict === 'unknown') continue;
      allowed = true;
    }
  }
  return allowed;
}

function verdictOf(
  condition: PolicyCondition | typeof UNREADABLE | undefined,
  variables: PolicyVariables,
): Verdict {
  if (condition === undefined) return 'holds';
  return condition === UNREADABLE ? 'unknown' : judge(condition, variables);
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
