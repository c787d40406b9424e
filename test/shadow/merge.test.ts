/** The conflict rule as a function: laws that hold for all states, and cases by name. */
import fc from 'fast-check';
import {
  agreed,
  follow,
  isSameSide,
  mergeSides,
  patchBetween,
  type Side,
} from '../../greengrass/core/shadow/sync/merge.js';
import type { JsonObject } from '../../greengrass/model/shadow-document.js';
import { type KeptShadow, runShadowOperation } from '../../greengrass/model/shadow-operations.js';

const leaf = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant([1, null]), fc.constant('x'));
const key = fc.constantFrom('a', 'b', '__proto__', 'constructor');
const object: fc.Arbitrary<JsonObject> = fc.letrec<{ node: JsonObject }>((tie) => ({
  node: fc
    .array(
      fc.tuple(key, fc.oneof({ maxDepth: 3, depthSize: 'small', withCrossShrink: true }, leaf, tie('node'))),
      {
        minLength: 1,
        maxLength: 3,
      },
    )
    .map((entries) => JSON.parse(`{${entries.map(([k, v]) => `"${k}":${JSON.stringify(v)}`).join(',')}}`)),
})).node;
const side: fc.Arbitrary<Side> = fc.option(
  fc.record({ desired: object, reported: object }, { requiredKeys: [] }),
  { nil: undefined },
);
const text = (value: Side) => JSON.stringify(value ?? null);
const same = (a: Side, b: Side) => {
  if (!isSameSide(a, b)) throw new Error(`${text(a)} is not ${text(b)}`);
};

describe('the conflict rule', () => {
  it('a change of one side only holds, whatever it is', () => {
    fc.assert(
      fc.property(side, side, (base, changed) => {
        same(mergeSides(base, changed, base), changed);
        same(mergeSides(base, base, changed), changed);
        same(mergeSides(base, changed, changed), changed);
      }),
      { numRuns: 2000 },
    );
  });

  it('merged once is merged: looking again changes nothing', () => {
    fc.assert(
      fc.property(side, side, side, (base, local, cloud) => {
        const merged = mergeSides(base, local, cloud);
        same(mergeSides(merged, merged, merged), merged);
        same(mergeSides(base, merged, cloud), merged);
        // The same with the base while the cloud does not know yet.
        same(mergeSides(agreed(base, merged, cloud), merged, cloud), merged);
      }),
      { numRuns: 2000 },
    );
  });

  it('what is sent makes of the one exactly the other', () => {
    fc.assert(
      fc.property(side, side, (from, to) => {
        if (from === undefined || to === undefined) return;
        const patch = patchBetween(from, to);
        if (patch === undefined) return same(from, to);
        const update = (state: object, kept?: KeptShadow) =>
          runShadowOperation('t', 'update', Buffer.from(JSON.stringify({ state })), kept, 1).store;
        const kept = update(patch, update(from));
        same(kept?.document?.state, to);
      }),
      { numRuns: 2000 },
    );
  });

  it.each<[string, Side, Side, Side, Side]>([
    [
      'desired is the cloud’s',
      { desired: { a: 1 } },
      { desired: { a: 2 } },
      { desired: { a: 3 } },
      { desired: { a: 3 } },
    ],
    [
      'reported is the core’s',
      { reported: { a: 1 } },
      { reported: { a: 2 } },
      { reported: { a: 3 } },
      { reported: { a: 2 } },
    ],
    [
      'an object that one side deleted keeps what the other added to it',
      { reported: { o: { x: 1 } } },
      undefined,
      { reported: { o: { x: 1, y: 2 } } },
      { reported: { o: { y: 2 } } },
    ],
    [
      'a value in place of an object wins with its side',
      { reported: { o: { x: 1 } } },
      { reported: { o: 5 } },
      { reported: { o: { x: 2 } } },
      { reported: { o: 5 } },
    ],
    [
      'an object that wins against a value brings back nothing that did not change',
      { desired: { o: { x: 1, y: 1 } } },
      { desired: { o: 5 } },
      { desired: { o: { x: 2, y: 1 } } },
      { desired: { o: { x: 2 } } },
    ],
    [
      'without a base both sides add up',
      undefined,
      { reported: { a: 1 } },
      { desired: { b: 1 } },
      { reported: { a: 1 }, desired: { b: 1 } },
    ],
    ['an empty shadow that was deleted is gone', {}, undefined, {}, undefined],
    ['an empty shadow that was made is there', undefined, undefined, {}, {}],
    [
      'arrays are leaves',
      { reported: { a: [1] } },
      { reported: { a: [1, 2] } },
      { reported: { a: [0, 1] } },
      { reported: { a: [1, 2] } },
    ],
  ])('%s', (_rule, base, local, cloud, merged) => {
    expect(JSON.parse(text(mergeSides(base, local, cloud)))).toEqual(merged ?? null);
  });
});

describe('one direction', () => {
  it('does the changes of the source to the target, and nothing else', () => {
    fc.assert(
      fc.property(side, side, (base, source) => {
        same(follow(base, source, base), source);
        same(follow(base, base, source), source);
      }),
      { numRuns: 1000 },
    );
    const after = follow(
      { desired: { a: 1, b: 1 } },
      { desired: { a: 2 } },
      { desired: { a: 9, b: 1, c: 9 } },
    );
    expect(JSON.parse(text(after))).toEqual({ desired: { a: 2, c: 9 } });
  });
});
