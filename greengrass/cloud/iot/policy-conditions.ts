/**
 * Conditions of policies, by IAM's rules: every operator and every key must hold, one of a key's values is enough; operators
 * with Not hold where none of the values fits. What can't be decided (an operator or a key that is unknown here) is said to
 * be so: then an Allow grants nothing, and a Deny denies.
 */
import { BlockList, isIP } from 'node:net';
import { z } from '../../lib/check.js';
import {
  isKnownVariable,
  matches,
  type PolicyVariables,
  plain,
  substitute,
  variableOf,
} from './policy-variables.js';

const scalar = z.union([z.string(), z.boolean(), z.number()]).transform(String);
const values = z.union([scalar.transform((one) => [one]), z.array(scalar).max(500)]);
export const policyCondition = z.record(z.string(), z.record(z.string(), values));
export type PolicyCondition = z.output<typeof policyCondition>;

export type Verdict = 'holds' | 'fails' | 'unknown';

/** `wanted`: a value of the condition, its variables put in. Undefined: it is none that the operator can compare. */
type Test = (actual: string, wanted: string) => boolean | undefined;

const compareNumbers = (test: (a: number, b: number) => boolean): Test =>
  compare((text) => (text.trim() === '' ? Number.NaN : Number(text)), test);
const compareDates = (test: (a: number, b: number) => boolean): Test =>
  compare((text) => (/^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text)), test);

function compare(read: (text: string) => number, test: (a: number, b: number) => boolean): Test {
  return (actual, wanted) => {
    const [a, b] = [read(actual), read(plain(wanted))];
    return Number.isNaN(a) || Number.isNaN(b) ? undefined : test(a, b);
  };
}

const equalsFolded: Test = (actual, wanted) => actual.toLowerCase() === plain(wanted).toLowerCase();

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['string', (actual, wanted) => actual === plain(wanted)],
  ['stringignorecase', equalsFolded],
  ['stringlike', (actual, wanted) => matches(wanted, actual, false)],
  ['arn', (actual, wanted) => matches(wanted, actual, false)],
  ['bool', equalsFolded],
  ['ip', isInNetwork],
  ['numericequals', compareNumbers((a, b) => a === b)],
  ['numericlessthan', compareNumbers((a, b) => a < b)],
  ['numericlessthanequals', compareNumbers((a, b) => a <= b)],
  ['numericgreaterthan', compareNumbers((a, b) => a > b)],
  ['numericgreaterthanequals', compareNumbers((a, b) => a >= b)],
  ['dateequals', compareDates((a, b) => a === b)],
  ['datelessthan', compareDates((a, b) => a < b)],
  ['datelessthanequals', compareDates((a, b) => a <= b)],
  ['dategreaterthan', compareDates((a, b) => a > b)],
  ['dategreaterthanequals', compareDates((a, b) => a >= b)],
]);

/** IAM's names in small letters: the test of each, and whether it is turned round. */
const OPERATORS: ReadonlyMap<string, readonly [test: string, isNegated: boolean]> = new Map([
  ['stringequals', ['string', false]],
  ['stringnotequals', ['string', true]],
  ['stringequalsignorecase', ['stringignorecase', false]],
  ['stringnotequalsignorecase', ['stringignorecase', true]],
  ['stringlike', ['stringlike', false]],
  ['stringnotlike', ['stringlike', true]],
  ['arnequals', ['arn', false]],
  ['arnlike', ['arn', false]],
  ['arnnotequals', ['arn', true]],
  ['arnnotlike', ['arn', true]],
  ['bool', ['bool', false]],
  ['ipaddress', ['ip', false]],
  ['notipaddress', ['ip', true]],
  ['numericnotequals', ['numericequals', true]],
  ['datenotequals', ['dateequals', true]],
]);

export function judge(condition: PolicyCondition, variables: PolicyVariables): Verdict {
  let isUnknown = false;
  for (const [operator, keys] of Object.entries(condition)) {
    for (const [key, wanted] of Object.entries(keys)) {
      const verdict = judgeKey(operator, key, wanted, variables);
      if (verdict === 'fails') return 'fails';
      if (verdict === 'unknown') isUnknown = true;
    }
  }
  return isUnknown ? 'unknown' : 'holds';
}

function judgeKey(
  operator: string,
  key: string,
  wanted: readonly string[],
  variables: PolicyVariables,
): Verdict {
  // A key has one value here, so that any of them and all of them is the same but where there is none.
  const [, set, name = '', ifExists] =
    /^(?:(ForAllValues|ForAnyValue):)?([a-z]+?)(IfExists)?$/i.exec(operator) ?? [];
  if (!isKnownVariable(key)) return 'unknown';
  const actual = variableOf(key, variables);
  if (name.toLowerCase() === 'null') {
    return wanted.some((value) => value === String(actual === undefined)) ? 'holds' : 'fails';
  }
  const [testName, isNegated] = OPERATORS.get(name.toLowerCase()) ?? [name.toLowerCase(), false];
  const test = TESTS.get(testName);
  if (!test) return 'unknown';
  if (actual === undefined) {
    if (ifExists !== undefined || set?.toLowerCase() === 'forallvalues') return 'holds';
    return isNegated && set === undefined ? 'holds' : 'fails';
  }
  let isUnknown = false;
  for (const value of wanted) {
    const substituted = substitute(value, variables);
    const fits = substituted === undefined ? false : test(actual, substituted);
    if (fits) return isNegated ? 'fails' : 'holds';
    if (fits === undefined) isUnknown = true;
  }
  if (isUnknown) return 'unknown';
  return isNegated ? 'holds' : 'fails';
}

function isInNetwork(actual: string, wanted: string): boolean | undefined {
  const [address = '', bits] = plain(wanted).split('/');
  const version = isIP(address);
  const longest = version === 4 ? 32 : 128;
  const length = bits === undefined ? longest : Number(bits);
  if (version === 0 || isIP(actual) === 0 || !Number.isInteger(length) || length < 0 || length > longest)
    return undefined;
  if (isIP(actual) !== version) return false;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const network = new BlockList();
  network.addSubnet(address, length, family);
  return network.check(actual, family);
}
