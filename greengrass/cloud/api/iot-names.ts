/** Names and ARNs of AWS IoT's registry, as its API checks them. */
import { CheckError } from '../../lib/check.js';
import { certificateIdOfArn } from '../../model/arn.js';
import { refusal } from './errors.js';
import type { Call } from './operation.js';

/** The thing's name in the path. */
export function thingNameOf(call: Call): string {
  return named(call.param('thingName'), 'thingName', /^[a-zA-Z0-9:_-]{1,128}$/);
}

/** The name of a thing, a thing type or a thing group. */
export function registryName(name: string, member: string): string {
  return named(name, member, /^[a-zA-Z0-9:_-]{1,128}$/);
}

export function policyNameOf(call: Call): string {
  return checkPolicyName(call.param('policyName'));
}

export function checkPolicyName(name: string): string {
  return named(name, 'policyName', /^[\w+=,.@-]{1,128}$/);
}

export function certificateIdParam(call: Call): string {
  return named(call.param('certificateId'), 'certificateId', /^[0-9a-f]{64}$/);
}

/** The certificate that a principal or target names. */
export function certificateIdOfPrincipal(principal: string | undefined, member: string): string {
  if (!principal) throw wrong(member, 'is missing');
  const id = certificateIdOfArn(principal);
  if (id !== undefined) return id;
  throw refusal(
    'InvalidRequestException',
    `Invalid ${member}: "${principal}". It must be the ARN of a certificate.`,
  );
}

function named(value: string, member: string, pattern: RegExp): string {
  if (pattern.test(value)) return value;
  throw wrong(member, `"${value}" must satisfy the regular expression ${pattern.source}`);
}

function wrong(path: string, rule: string): CheckError {
  return new CheckError('1 validation error detected', [{ path, rule }]);
}

/** AWS IoT writes times as seconds since the epoch. */
export function epochSeconds(iso: string): number {
  return Date.parse(iso) / 1000;
}

/** `{ [key]: token }` where the list goes on. */
export function nextPage<K extends string>(key: K, next: string | undefined): { [P in K]?: string } {
  return next === undefined ? {} : ({ [key]: next } as { [P in K]?: string });
}
