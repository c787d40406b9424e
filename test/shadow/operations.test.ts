/** The rules of shadow documents: merge, versions, limits, delta. */
import fc from 'fast-check';
import type { Json, JsonObject } from '../../greengrass/model/shadow-document.js';
import {
  type KeptShadow,
  runShadowOperation,
  type ShadowOperation,
} from '../../greengrass/model/shadow-operations.js';

const NOW = 1_700_000_000;

/** A shadow that operations are run on. */
class Shadow {
  kept: KeptShadow | undefined;

  run(operation: ShadowOperation, request: unknown = undefined, nowS = NOW) {
    const text =
      request === undefined
        ? Buffer.alloc(0)
        : Buffer.isBuffer(request)
          ? request
          : Buffer.from(JSON.stringify(request));
    const outcome = runShadowOperation('lamp', operation, text, this.kept, nowS);
    // As it comes back from the disk.
    if (outcome.store) this.kept = JSON.parse(JSON.stringify(outcome.store)) as KeptShadow;
    return {
      code: outcome.code,
      body: JSON.parse(outcome.body.toString()),
      stored: outcome.store !== undefined,
      published: outcome.publications.map(({ topic, payload }) => ({
        topic: topic.replace('$aws/things/lamp/shadow/', ''),
        body: JSON.parse(payload.toString()),
      })),
    };
  }

  update(state: object, nowS = NOW) {
    return this.run('update', { state }, nowS);
  }

  get state() {
    return JSON.parse(JSON.stringify(this.kept?.document?.state ?? null));
  }
}

let shadow: Shadow;
beforeEach(() => {
  shadow = new Shadow();
});

describe('an update', () => {
  it.each<[string, object, object, object]>([
    ['adds a key', { a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    ['replaces a value', { a: 1 }, { a: 'x' }, { a: 'x' }],
    ['merges objects', { a: { x: 1, y: 1 } }, { a: { y: 2, z: 3 } }, { a: { x: 1, y: 2, z: 3 } }],
    ['replaces arrays whole', { a: [1, 2, 3] }, { a: [4] }, { a: [4] }],
    ['deletes with null', { a: 1, b: 2 }, { a: null }, { b: 2 }],
    ['deletes deep inside', { a: { x: 1, y: { z: 1 } } }, { a: { y: { z: null } } }, { a: { x: 1 } }],
    ['deletes what is not there', { a: 1 }, { b: null }, { a: 1 }],
    ['puts an object in place of a value', { a: 1 }, { a: { x: 1 } }, { a: { x: 1 } }],
    ['puts a value in place of an object', { a: { x: 1 } }, { a: 1 }, { a: 1 }],
    ['leaves out empty objects', { a: 1 }, { b: {} }, { a: 1 }],
    ['keeps false, zero and the empty text', { a: 1 }, { a: 0, b: false, c: '' }, { a: 0, b: false, c: '' }],
    ['keeps null inside an array', {}, { a: [null, 1] }, { a: [null, 1] }],
    [
      'takes keys that objects are born with',
      {},
      { constructor: 1, toString: { x: 1 } },
      { constructor: 1, toString: { x: 1 } },
    ],
  ])('%s', (_what, before, change, after) => {
    for (const part of ['desired', 'reported']) {
      const own = new Shadow();
      own.update({ [part]: before });
      expect(own.update({ [part]: change }).code).toBe(200);
      expect(own.state).toEqual({ [part]: after });
    }
  });

  it('treats __proto__ as a key like any other', () => {
    shadow.run('update', Buffer.from('{"state":{"desired":{"__proto__":{"admin":true},"a":1}}}'));
    shadow.run('update', Buffer.from('{"state":{"reported":{"a":1}}}'));
    const { body } = shadow.run('get');
    expect(JSON.stringify(body.state.delta)).toBe('{"__proto__":{"admin":true}}');
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
    shadow.run('update', Buffer.from('{"state":{"desired":{"__proto__":null}}}'));
    expect(JSON.stringify(shadow.state)).toBe('{"desired":{"a":1},"reported":{"a":1}}');
  });

  it('deletes a whole part with null, and leaves the other', () => {
    shadow.update({ desired: { a: 1 }, reported: { b: 1 } });
    shadow.update({ desired: null });
    expect(shadow.state).toEqual({ reported: { b: 1 } });
  });

  it('counts versions, also across a deletion', () => {
    expect([1, 2, 3].map((n) => shadow.update({ desired: { n } }).body.version)).toEqual([1, 2, 3]);
    expect(shadow.run('delete').body).toEqual({ version: 3, timestamp: NOW });
    expect(shadow.update({ desired: { n: 4 } }).body.version).toBe(4);
  });

  it('is refused with 409 where it names another version', () => {
    shadow.update({ desired: { a: 1 } });
    const conflict = shadow.run('update', { state: { desired: { a: 2 } }, version: 7, clientToken: 't' });
    expect(conflict).toMatchObject({
      code: 409,
      stored: false,
      body: { code: 409, message: 'Version conflict', clientToken: 't' },
    });
    expect(conflict.published.map(({ topic }) => topic)).toEqual(['update/rejected']);
    expect(shadow.run('update', { state: { desired: { a: 2 } }, version: 1 }).code).toBe(200);
  });

  it('stamps what it changes, and nothing else', () => {
    shadow.update({ desired: { a: 1, list: [1, { x: 2 }], deep: { x: 1, y: 1 } } }, 100);
    const { body } = shadow.update({ desired: { a: 2, deep: { y: 2 } } }, 200);
    expect(body.metadata).toEqual({ desired: { a: { timestamp: 200 }, deep: { y: { timestamp: 200 } } } });
    expect(shadow.run('get').body.metadata).toEqual({
      desired: {
        a: { timestamp: 200 },
        list: [{ timestamp: 100 }, { x: { timestamp: 100 } }],
        deep: { x: { timestamp: 100 }, y: { timestamp: 200 } },
      },
    });
  });

  it('tells accepted, delta and documents, in this order, with the client token', () => {
    shadow.update({ reported: { a: 1, same: true } });
    const { published } = shadow.run('update', {
      state: { desired: { a: 2, same: true } },
      clientToken: 'tok',
    });
    expect(published).toEqual([
      {
        topic: 'update/accepted',
        body: {
          state: { desired: { a: 2, same: true } },
          metadata: { desired: { a: { timestamp: NOW }, same: { timestamp: NOW } } },
          version: 2,
          timestamp: NOW,
          clientToken: 'tok',
        },
      },
      {
        topic: 'update/delta',
        body: {
          version: 2,
          timestamp: NOW,
          state: { a: 2 },
          metadata: { a: { timestamp: NOW } },
          clientToken: 'tok',
        },
      },
      {
        topic: 'update/documents',
        body: expect.objectContaining({
          previous: expect.objectContaining({ state: { reported: { a: 1, same: true } }, version: 1 }),
          current: expect.objectContaining({ version: 2 }),
          timestamp: NOW,
          clientToken: 'tok',
        }),
      },
    ]);
  });

  it('tells no delta where all that is desired is reported', () => {
    shadow.update({ desired: { a: { x: [1, { y: 2 }] } } });
    const { published } = shadow.update({ reported: { a: { x: [1, { y: 2 }] }, more: 1 } });
    expect(published.map(({ topic }) => topic)).toEqual(['update/accepted', 'update/documents']);
  });
});

describe('a request is refused, and nothing is stored:', () => {
  const nested = (depth: number): object => (depth === 0 ? { x: 1 } : { a: nested(depth - 1) });
  it.each<[string, unknown, number, RegExp]>([
    ['no JSON', Buffer.from('{'), 400, /Invalid JSON/],
    ['nothing', Buffer.alloc(0), 400, /Invalid JSON/],
    ['no object', Buffer.from('[1]'), 400, /must be a JSON object/],
    ['no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 422, /UTF-8/],
    ['no state', { desired: { a: 1 } }, 400, /Missing required node: state/],
    ['a state that is no object', { state: [] }, 400, /State node must be an object/],
    ['a part that is none', { state: { wanted: {} } }, 400, /invalid node: 'wanted'/],
    ['a part that is no object', { state: { desired: 'on' } }, 400, /Desired node must be an object/],
    ['a version that is no number', { state: {}, version: '1' }, 400, /Invalid version/],
    ['a broken version', { state: {}, version: 1.5 }, 400, /Invalid version/],
    ['a token that is no text', { state: {}, clientToken: 1 }, 400, /clientToken/],
    ['a token that is too long', { state: {}, clientToken: 'é'.repeat(33) }, 400, /clientToken/],
    ['too many levels', { state: { desired: nested(5) } }, 400, /too many levels of nesting; maximum is 5/],
    [
      'too much for a shadow',
      { state: { desired: { a: 'x'.repeat(8 * 1024) } } },
      413,
      /exceeds the maximum size/,
    ],
    ['too much at all', Buffer.alloc(128 * 1024 + 1, 0x20), 413, /exceeds the maximum size/],
    [
      'brackets without end',
      Buffer.from(`{"state":{"desired":{"a":${'['.repeat(60_000)}${']'.repeat(60_000)}}}}`),
      400,
      /nesting/,
    ],
    [
      'braces without end',
      Buffer.from(`{"state":{"desired":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}}`),
      400,
      /nesting/,
    ],
    ['an endless list', Buffer.from(`{"state":{"desired":{"a":[${'1,'.repeat(65_000)}1]}}}`), 413, /exceeds/],
  ])('%s', (_what, request, code, message) => {
    const outcome = shadow.run('update', request);
    expect(outcome).toMatchObject({
      code,
      stored: false,
      body: { code, message: expect.stringMatching(message) },
    });
    expect(outcome.published).toEqual([{ topic: 'update/rejected', body: outcome.body }]);
  });

  it('an update that would make the two parts too large together', () => {
    expect(shadow.update({ desired: { a: 'x'.repeat(4096) } }).code).toBe(200);
    expect(shadow.update({ reported: { a: 'x'.repeat(4096) } }).code).toBe(413);
    expect(shadow.state).toEqual({ desired: { a: 'x'.repeat(4096) } });
  });

  it('five levels, and 64 bytes of token, are allowed', () => {
    const request = { state: { desired: nested(4) }, clientToken: 'é'.repeat(32) };
    expect(shadow.run('update', request)).toMatchObject({ code: 200, body: { clientToken: 'é'.repeat(32) } });
  });

  it('get and delete where there is no shadow, or none any more', () => {
    for (const operation of ['get', 'delete'] as const) {
      const { code, body } = shadow.run(operation, { clientToken: 't' });
      expect([code, body]).toEqual([
        404,
        { code: 404, message: "No shadow exists with name: 'lamp'", timestamp: NOW, clientToken: 't' },
      ]);
    }
    shadow.update({ desired: { a: 1 } });
    shadow.run('delete');
    expect([shadow.run('get').code, shadow.run('delete').code]).toEqual([404, 404]);
  });

  it('a delete of another version', () => {
    shadow.update({ desired: { a: 1 } });
    expect(shadow.run('delete', { version: 5 }).code).toBe(409);
    expect(shadow.run('delete', { version: 1 }).code).toBe(200);
  });
});

/** Values of a device's state: shallow enough for the limit of depth. */
const leaf: fc.Arbitrary<Json> = fc.oneof(
  fc.integer(),
  fc.boolean(),
  fc.string({ maxLength: 5 }),
  fc.array(fc.integer(), { maxLength: 3 }),
);
const key = fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor', 'ä');
const objectOf = (value: fc.Arbitrary<Json>): fc.Arbitrary<JsonObject> =>
  fc
    .array(fc.tuple(key, value), { minLength: 1, maxLength: 4 })
    .map((pairs) => Object.fromEntries(pairs) as JsonObject);
const state = objectOf(fc.oneof(leaf, objectOf(fc.oneof(leaf, objectOf(leaf)))));
/** With deletions. */
const change = objectOf(
  fc.oneof(leaf, fc.constant(null), objectOf(fc.oneof(leaf, fc.constant(null), objectOf(leaf)))),
);

describe('whatever the states are', () => {
  it('the delta, once reported, leaves nothing of what is desired to be done', () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 3 }),
        state,
        fc.option(state),
        (changes, desired, reported) => {
          const own = new Shadow();
          if (reported) own.update({ reported });
          for (const each of changes) own.update({ desired: each });
          own.update({ desired });
          const { delta } = own.run('get').body.state as { delta?: JsonObject };
          if (delta === undefined) {
            expect(contains(own.state.reported ?? {}, own.state.desired)).toBe(true);
            return;
          }
          const { published } = own.run('update', { state: { reported: delta } });
          expect(published.map(({ topic }) => topic)).not.toContain('update/delta');
          expect(own.run('get').body.state.delta).toBeUndefined();
          expect(contains(own.state.reported, own.state.desired)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('metadata has the shape of the state', () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const own = new Shadow();
        for (const each of changes) own.update({ desired: each });
        const { document } = own.kept ?? {};
        expect(shapeOf(document?.metadata.desired ?? {}, true)).toEqual(
          shapeOf(document?.state.desired ?? {}, false),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('no bytes break an operation', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<ShadowOperation>('get', 'update', 'delete'),
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
          fc.json().map((text) => Buffer.from(`{"state":{"desired":${text}}}`)),
          fc.json().map((text) => Buffer.from(`{"state":${text},"version":${text},"clientToken":${text}}`)),
        ),
        (operation, bytes) => {
          shadow.update({ desired: { a: 1 } });
          expect([200, 400, 404, 409, 413, 422]).toContain(shadow.run(operation, bytes).code);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** True where everything of `part` is in `whole`. */
function contains(whole: Json, part: Json): boolean {
  if (typeof part !== 'object' || part === null || Array.isArray(part)) {
    return JSON.stringify(whole) === JSON.stringify(part);
  }
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) return false;
  return Object.entries(part).every(
    ([name, value]) => Object.hasOwn(whole, name) && contains(whole[name] as Json, value),
  );
}

/** The paths of the leaves. */
function shapeOf(value: Json, stamps: boolean, path = ''): string[] {
  const isLeaf = typeof value !== 'object' || value === null;
  if (isLeaf) return [path];
  const entries = Object.entries(value);
  if (stamps && !Array.isArray(value) && entries.length === 1 && typeof value.timestamp === 'number')
    return [path];
  if (Array.isArray(value) && value.length === 0) return [`${path}[]`];
  return entries.flatMap(([name, inner]) => shapeOf(inner, stamps, `${path}/${name}`)).sort();
}
