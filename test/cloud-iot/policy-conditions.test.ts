/** Variables and conditions of policies, as AWS's documentation of AWS IoT and IAM has them. */
import { isAllowed } from '../../greengrass/cloud/iot/policy.js';
import type { PolicyVariables } from '../../greengrass/cloud/iot/policy-variables.js';

const LAMP: PolicyVariables = {
  ...{ clientId: 'lamp-1', thingName: 'lamp-1', thingTypeName: 'lamp', sourceIp: '10.1.2.3' },
  thingAttributes: { site: 'berlin', floor: '7', wild: '*' },
};
const STRANGER: PolicyVariables = { clientId: 'x', sourceIp: '192.168.0.9' };

function may(
  Effect: 'Allow' | 'Deny',
  Condition: unknown,
  variables: PolicyVariables,
  Resource = '*',
): boolean {
  const statement = {
    Effect,
    Action: 'iot:Publish',
    Resource,
    ...(Condition === undefined ? {} : { Condition }),
  };
  const all = { Effect: 'Allow', Action: '*', Resource: '*' };
  const Statement = Effect === 'Allow' ? [statement] : [all, statement];
  return isAllowed([JSON.stringify({ Version: '2012-10-17', Statement })], {
    ...{ action: 'iot:Publish', resource: 'a/berlin/lamp', variables },
  });
}

const ATTACHED = 'iot:Connection.Thing.IsAttached';
const SITE = 'iot:Connection.Thing.Attributes[site]';
const TYPE = 'iot:Connection.Thing.ThingTypeName';

describe('a condition', () => {
  it.each<[object, boolean, boolean]>([
    // condition, holds for the lamp, holds for a client without a thing
    [{ Bool: { [ATTACHED]: 'true' } }, true, false],
    [{ Bool: { [ATTACHED]: ['true'] } }, true, false],
    [{ Bool: { [ATTACHED]: true } }, true, false],
    [{ Bool: { [ATTACHED]: 'false' } }, false, true],
    [{ StringEquals: { [SITE]: 'berlin' } }, true, false],
    [{ StringEquals: { [SITE]: 'Berlin' } }, false, false],
    [{ StringEqualsIgnoreCase: { [SITE]: 'Berlin' } }, true, false],
    [{ StringEquals: { [SITE]: ['rome', 'berlin'] } }, true, false],
    [{ StringEquals: { [SITE]: 'b*' } }, false, false],
    [{ StringLike: { [SITE]: 'b?rl*' } }, true, false],
    [{ StringNotEquals: { [SITE]: ['rome', 'berlin'] } }, false, true],
    [{ StringNotEquals: { [SITE]: 'rome' } }, true, true],
    [{ StringNotLike: { [SITE]: 'r*' } }, true, true],
    [{ StringEqualsIfExists: { [SITE]: 'berlin' } }, true, true],
    [{ 'ForAnyValue:StringEquals': { [TYPE]: ['lamp', 'door'] } }, true, false],
    [{ 'ForAnyValue:StringNotEquals': { [TYPE]: ['door'] } }, true, false],
    [{ 'ForAllValues:StringLike': { [TYPE]: ['l*'] } }, true, true],
    [{ Null: { [SITE]: 'true' } }, false, true],
    [{ Null: { [SITE]: 'false' } }, true, false],
    [{ NumericGreaterThan: { 'iot:Connection.Thing.Attributes[floor]': '6' } }, true, false],
    [{ NumericLessThanEquals: { 'iot:Connection.Thing.Attributes[floor]': 6 } }, false, false],
    [{ IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, true, false],
    [{ IpAddress: { 'aws:SourceIp': ['10.1.2.3', '2001:db8::/32'] } }, true, false],
    [{ NotIpAddress: { 'aws:SourceIp': '10.0.0.0/8' } }, false, true],
    [{ DateGreaterThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } }, true, true],
    [{ DateLessThan: { 'aws:CurrentTime': '2020-01-01T00:00:00Z' } }, false, false],
    [{ Bool: { 'aws:SecureTransport': 'true' } }, true, true],
    [{ StringLike: { 'iot:ClientId': '${iot:Connection.Thing.ThingName}' } }, true, false],
    // Every operator and every key has to hold.
    [{ Bool: { [ATTACHED]: 'true' }, StringEquals: { [SITE]: 'rome' } }, false, false],
    [{ StringEquals: { [SITE]: 'berlin', [TYPE]: 'lamp' } }, true, false],
    [{ StringEquals: { [SITE]: 'berlin', [TYPE]: 'door' } }, false, false],
    [{ stringequals: { 'IOT:connection.thing.thingtypename': 'lamp' } }, true, false],
    [{}, true, true],
  ])('%j', (condition, forLamp, forStranger) => {
    expect(may('Allow', condition, LAMP)).toBe(forLamp);
    expect(may('Allow', condition, STRANGER)).toBe(forStranger);
    expect(may('Deny', condition, LAMP)).toBe(!forLamp);
    expect(may('Deny', condition, STRANGER)).toBe(!forStranger);
  });

  it.each<[unknown]>([
    [{ StringSimilar: { [SITE]: 'berlin' } }],
    [{ StringEquals: { 'iot:Nothing': 'berlin' } }],
    [{ NumericEquals: { [SITE]: '1' } }],
    [{ IpAddress: { 'aws:SourceIp': 'no/8' } }],
    [{ IpAddress: { 'aws:SourceIp': '10.0.0.0/99' } }],
    [{ StringEquals: 'x' }],
    [7],
    ['x'],
    [{ StringEquals: { [SITE]: { a: 1 } } }],
  ])('that nobody can decide opens nothing, and closes: %j', (condition) => {
    expect(may('Allow', condition, LAMP)).toBe(false);
    expect(may('Deny', condition, LAMP)).toBe(false);
  });

  it('of a text that is no wildcard takes none from a variable', () => {
    const condition = { StringLike: { [SITE]: '${iot:Connection.Thing.Attributes[wild]}' } };
    expect(may('Allow', condition, LAMP)).toBe(false);
  });
});

describe('a variable', () => {
  it.each<[string, boolean]>([
    ['a/${iot:Connection.Thing.Attributes[site]}/${iot:Connection.Thing.ThingTypeName}', true],
    ['a/${iot:Connection.Thing.Attributes[wild]}/lamp', false],
    ['a/${iot:Connection.Thing.Attributes[none]}*', false],
    ['*${iot:Nothing}', false],
    ['a/${*}/lamp', false],
    ['a/berli${?}/lamp', false],
    ['a/*/la?p', true],
  ])('in a resource: %s', (resource, isAllowedHere) => {
    expect(may('Allow', undefined, LAMP, resource)).toBe(isAllowedHere);
  });

  it('that escapes a wildcard stands for the character', () => {
    const document = '{"Statement":{"Effect":"Allow","Action":"*","Resource":"x/${*}${?}${$}"}}';
    expect(isAllowed([document], { action: 'a', resource: 'x/*?$' })).toBe(true);
  });
});
