import fc from 'fast-check';
import { isAllowed } from '../../greengrass/cloud/iot/policy.js';

const TOPIC = (name: string) => `arn:aws:iot:us-east-1:123456789012:topic/${name}`;

function policy(
  ...statements: Array<[effect: 'Allow' | 'Deny', action: string | string[], resource: string | string[]]>
) {
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: statements.map(([Effect, Action, Resource]) => ({ Effect, Action, Resource })),
  });
}

const may = (documents: string[], action: string, resource: string, clientId = 'lamp', thingName?: string) =>
  isAllowed(documents, { action, resource, variables: { clientId, ...(thingName ? { thingName } : {}) } });

describe('an AWS IoT policy', () => {
  it.each<[string, string[], boolean]>([
    ['no policy', [], false],
    ['an allow', [policy(['Allow', 'iot:Publish', TOPIC('a')])], true],
    ['an allow of another action', [policy(['Allow', 'iot:Subscribe', TOPIC('a')])], false],
    ['an allow of another topic', [policy(['Allow', 'iot:Publish', TOPIC('b')])], false],
    ['a wildcard', [policy(['Allow', 'iot:*', '*'])], true],
    ['a single-character wildcard', [policy(['Allow', 'iot:Publish', TOPIC('?')])], true],
    ['lists', [policy(['Allow', ['iot:Connect', 'iot:Publish'], [TOPIC('x'), TOPIC('a')]])], true],
    ['actions in another case', [policy(['Allow', 'IoT:publish', TOPIC('a')])], true],
    ['a deny beside an allow', [policy(['Allow', '*', '*'], ['Deny', 'iot:Publish', TOPIC('a')])], false],
    [
      'a deny in another policy',
      [policy(['Allow', '*', '*']), policy(['Deny', 'iot:Publish', TOPIC('*')])],
      false,
    ],
    ['text that is no JSON', ['{'], false],
    ['JSON that is no policy', ['{"Statement": 7}', 'null', '[]'], false],
    [
      'an allow with a condition',
      ['{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":7}}'],
      false,
    ],
    [
      'an allow with a condition that is empty',
      ['{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{}}}'],
      true,
    ],
    ['one statement that is no list', ['{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'], true],
  ])('with %s: %#', (_what, documents, expected) => {
    expect(may(documents, 'iot:Publish', TOPIC('a'))).toBe(expected);
  });

  it('puts in client id and thing name', () => {
    const own = [
      policy(['Allow', 'iot:Publish', TOPIC('${iot:ClientId}/${iot:Connection.Thing.ThingName}')]),
    ];
    expect(may(own, 'iot:Publish', TOPIC('lamp/lamp'), 'lamp', 'lamp')).toBe(true);
    expect(may(own, 'iot:Publish', TOPIC('lamp/other'), 'lamp', 'lamp')).toBe(false);
  });

  it('allows nothing where a variable has no value', () => {
    expect(
      may([policy(['Allow', '*', TOPIC('${iot:Connection.Thing.ThingName}*')])], 'iot:Publish', TOPIC('a')),
    ).toBe(false);
  });

  it('is not widened by a client id with wildcards in it', () => {
    const own = [policy(['Allow', 'iot:Publish', TOPIC('${iot:ClientId}')])];
    expect(may(own, 'iot:Publish', TOPIC('victim'), '*')).toBe(false);
    expect(may(own, 'iot:Publish', TOPIC('*'), '*')).toBe(true);
  });

  it('matches globs as a regular expression would', () => {
    const part = fc.constantFrom('a', 'b', '/', '*', '?');
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 8 }),
        fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 10 }),
        (p, t) => {
          const pattern = TOPIC(p.join(''));
          const source = pattern.replace(/[.\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
          const expected = new RegExp(`^${source}$`, 's').test(TOPIC(t.join('')));
          expect(may([policy(['Allow', 'x', pattern])], 'x', TOPIC(t.join('')))).toBe(expected);
        },
      ),
    );
  });

  it('takes time in line with its length, whatever the pattern', () => {
    const nasty = policy(['Allow', 'x', `${'*a'.repeat(200)}b`]);
    const started = process.cpuUsage().user;
    may([nasty], 'x', 'a'.repeat(5000));
    expect(process.cpuUsage().user - started).toBeLessThan(5_000_000);
  });
});
