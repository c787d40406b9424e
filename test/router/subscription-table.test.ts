/** The compiled table answers what a plain scan of the subscriptions would. */
import fc from 'fast-check';
import { compileTable, type SubscriptionTable } from '../../greengrass/core/router/subscription-table.js';
import type { GroupSubscription } from '../../greengrass/model/group.js';
import { filterMatches, filterProblem } from '../../greengrass/model/topic.js';

const level = fc.constantFrom('a', 'b', 'c', '', '$aws', '$a', 'ä', '__proto__', 'constructor');
const topic = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));
const subject = fc
  .tuple(
    fc.array(fc.oneof({ weight: 3, arbitrary: level }, { weight: 2, arbitrary: fc.constant('+') }), {
      minLength: 1,
      maxLength: 4,
    }),
    fc.constantFrom('', '', '/#'),
  )
  .map(([levels, rest]) => levels.join('/') + rest);
const filter = fc
  .oneof({ weight: 9, arbitrary: subject }, { weight: 1, arbitrary: fc.constant('#') })
  .filter((text) => filterProblem(text) === undefined);
const source = fc.constantFrom('cloud', 'arn:lamp', 'arn:fan', '__proto__');
const subscription: fc.Arbitrary<GroupSubscription> = fc.record({
  Source: source,
  Subject: filter,
  Target: fc.constantFrom('cloud', 'arn:lamp', 'arn:fan', 'GGShadowService'),
});

/** The rule itself, without any cleverness. */
function scan(subscriptions: readonly GroupSubscription[], from: string, on: string): string[] {
  const targets = subscriptions
    .filter(({ Source, Subject }) => Source === from && filterMatches(Subject, on))
    .map(({ Target }) => Target);
  return [...new Set(targets)].sort();
}

function targetsOf(table: SubscriptionTable, from: string, on: string): string[] {
  return [...table.targets(from, on)].sort();
}

describe('the subscription table', () => {
  it('answers as a scan of all subscriptions does, each target once, also from its cache', () => {
    fc.assert(
      fc.property(
        fc.array(subscription, { maxLength: 25 }),
        fc.array(fc.tuple(source, topic), { minLength: 1, maxLength: 15 }),
        (subscriptions, messages) => {
          const table = compileTable(subscriptions);
          for (const [from, on] of [...messages, ...messages]) {
            expect(targetsOf(table, from, on)).toEqual(scan(subscriptions, from, on));
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['sensor/#', 'sensor', false],
    ['sensor/#', 'sensor/', true],
    ['sensor/#', 'sensor/a/b', true],
    ['#', 'a', true],
    ['#', '$aws/things/a/shadow/get', false],
    ['+/a', '$aws/a', false],
    ['$aws/#', '$aws/a', true],
    ['$aws/things/+/shadow/update', '$aws/things/lamp/shadow/update', true],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['a/+/c', 'a//c', true],
    ['+', '', true],
    ['a', 'A', false],
    ['a', 'a/', false],
    ['a', '/a', false],
  ])('with subject %j and topic %j says %j', (Subject, on, expected) => {
    const table = compileTable([{ Source: 'cloud', Subject, Target: 't' }]);
    expect(table.targets('cloud', on).length === 1).toBe(expected);
  });

  it('knows each source by itself', () => {
    const table = compileTable([
      { Source: 'arn:lamp', Subject: 'a', Target: 'cloud' },
      { Source: 'cloud', Subject: 'a', Target: 'arn:lamp' },
    ]);
    expect(table.targets('arn:lamp', 'a')).toEqual(['cloud']);
    expect(table.targets('arn:fan', 'a')).toEqual([]);
    expect(table.targets('cloud', 'a')).toEqual(['arn:lamp']);
  });

  it('names the subjects of a source once each', () => {
    const table = compileTable([
      { Source: 'cloud', Subject: 'a/#', Target: 'x' },
      { Source: 'cloud', Subject: 'a/#', Target: 'y' },
      { Source: 'cloud', Subject: 'b', Target: 'x' },
      { Source: 'x', Subject: 'c', Target: 'cloud' },
    ]);
    expect(table.subjectsFrom('cloud')).toEqual(['a/#', 'b']);
    expect(table.subjectsFrom('y')).toEqual([]);
    expect(table.size).toBe(4);
  });

  it('stays right beyond the size of its cache', () => {
    const table = compileTable([{ Source: 's', Subject: 'n/+', Target: 't' }]);
    for (let n = 0; n < 10_000; n++) table.targets('s', `n/${n}`);
    expect(table.targets('s', 'n/0')).toEqual(['t']);
    expect(table.targets('s', 'm/0')).toEqual([]);
  });
});
