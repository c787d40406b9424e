/** Subscriptions: who may be source and target, and which subjects are legal (V1 §subscriptions). Pure. */
import { isConnectorArn, isSystemFunctionArn, isThingArn, parseFunctionArn } from './arn.js';
import { filterProblem } from './topic.js';

export const CLOUD = 'cloud';
export const SHADOW_SERVICE = 'GGShadowService';

/** `cloud`, `GGShadowService`, or the ARN of a device, function (with version or alias) or connector. */
export type PartyKind = 'cloud' | 'shadow' | 'device' | 'function' | 'connector';

/** What kind of party the text names; undefined where it names none. */
export function partyKind(party: string): PartyKind | undefined {
  if (party === CLOUD) return 'cloud';
  if (party === SHADOW_SERVICE) return 'shadow';
  if (isThingArn(party)) return 'device';
  if (isConnectorArn(party)) return 'connector';
  const functionArn = parseFunctionArn(party);
  if (functionArn && (isSystemFunctionArn(party) || functionArn.qualifier !== undefined)) return 'function';
  return undefined;
}

/** Why source and target can't be joined, or undefined: what goes up to the cloud would come down again without end. */
export function loopProblem(source: string, target: string): string | undefined {
  return source === CLOUD && target === CLOUD
    ? 'source and target are both the cloud: each message would come back for ever'
    : undefined;
}

/** Why the subject is not allowed in a subscription, or undefined. V1 takes one `+` at the most, and a `#` at the end. */
export function subjectProblem(subject: string): string | undefined {
  const problem = filterProblem(subject);
  if (problem) return problem;
  if (subject.split('/').filter((level) => level === '+').length > 1)
    return "more than one '+' is not supported";
  return undefined;
}
