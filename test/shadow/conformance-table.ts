/**
 * The rules of the shadow service, one row for each: requests on a fresh shadow, and after the last of them the exact
 * topics and bodies in order. The same rows run against the local service, through the SDKs, and against the cloud's
 * shadow service. Timestamps are checked for their place only: every `timestamp` of an answer reads 0 here.
 */

export interface Request {
  readonly operation: 'get' | 'update' | 'delete';
  /** Text as it is sent; an object is sent as JSON; absent: an empty payload. */
  readonly payload?: string | object;
}

export interface Answer {
  /** accepted, rejected, delta or documents, with the operation: `update/accepted`. */
  readonly topic: string;
  readonly body: unknown;
}

export interface Row {
  readonly rule: string;
  readonly given: readonly Request[];
  readonly request: Request;
  /** `$KEY` in a text stands for thing or thing~name. */
  readonly answers: readonly Answer[];
  /** HTTP has no place for it: version or client token of a get or delete, or bytes that are not text. */
  readonly mqttOnly?: true;
}

const timestamp = 0;

/** Metadata of a state: a stamp for each leaf. */
function stamps(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stamps);
  if (typeof value !== 'object' || value === null) return { timestamp };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, stamps(item)]));
}

type Parts = { desired?: object; reported?: object };

function metadata(state: Parts): object {
  return Object.fromEntries(Object.entries(state).map(([part, value]) => [part, stamps(value)]));
}

function document(version: number, state: Parts): object {
  return { state, metadata: metadata(state), version };
}

const update = (state: object, more: object = {}): Request => ({
  operation: 'update',
  payload: { state, ...more },
});
const get: Request = { operation: 'get' };
const remove: Request = { operation: 'delete' };

/** What follows an accepted update. */
function accepted(
  sent: Parts,
  version: number,
  before: object | null,
  after: Parts,
  { delta, clientToken, meta }: { delta?: object; clientToken?: string; meta?: object } = {},
): Answer[] {
  const token = clientToken === undefined ? {} : { clientToken };
  return [
    {
      topic: 'update/accepted',
      body: { state: sent, metadata: meta ?? metadata(sent), version, timestamp, ...token },
    },
    ...(delta
      ? [
          {
            topic: 'update/delta',
            body: { version, timestamp, state: delta, metadata: stamps(delta), ...token },
          },
        ]
      : []),
    {
      topic: 'update/documents',
      body: { previous: before, current: document(version, after), timestamp, ...token },
    },
  ];
}

function rejected(operation: string, code: number, message: string | RegExp, clientToken?: string): Answer[] {
  const text = message instanceof RegExp ? expect.stringMatching(message) : message;
  const body = { code, message: text, timestamp, ...(clientToken === undefined ? {} : { clientToken }) };
  return [{ topic: `${operation}/rejected`, body }];
}

function got(
  version: number,
  state: Parts,
  { delta, ...more }: { delta?: object; clientToken?: string } = {},
): Answer[] {
  const whole = delta ? { ...state, delta } : state;
  return [
    { topic: 'get/accepted', body: { state: whole, metadata: metadata(state), version, timestamp, ...more } },
  ];
}

const row = (rule: string, given: Request[], request: Request, answers: Answer[]): Row => ({
  rule,
  given,
  request,
  answers,
});

const bad = (rule: string, payload: string | object, code: number, message: string | RegExp): Row =>
  row(
    rule,
    [update({ desired: { a: 1 } })],
    { operation: 'update', payload },
    rejected('update', code, message),
  );

const one = { desired: { a: 1 } };
const deep = (levels: number): object => (levels === 0 ? {} : { a: levels === 1 ? 1 : deep(levels - 1) });

export const TABLE: readonly Row[] = [
  // Creation, merge, deletion of keys
  row(
    'the first update makes version 1',
    [],
    update({ reported: { a: 1 } }),
    accepted({ reported: { a: 1 } }, 1, null, { reported: { a: 1 } }),
  ),
  row(
    'desired without reported is a delta',
    [],
    update(one),
    accepted(one, 1, null, one, { delta: { a: 1 } }),
  ),
  row(
    'an update merges and the version counts up',
    [update({ reported: { a: 1 } })],
    update({ reported: { b: { c: 2 } } }),
    accepted({ reported: { b: { c: 2 } } }, 2, document(1, { reported: { a: 1 } }), {
      reported: { a: 1, b: { c: 2 } },
    }),
  ),
  row(
    'null deletes a key',
    [update({ reported: { a: 1, b: 2 } })],
    update({ reported: { a: null } }),
    accepted(
      { reported: { a: null } as object },
      2,
      document(1, { reported: { a: 1, b: 2 } }),
      { reported: { b: 2 } },
      {
        meta: { reported: {} },
      },
    ),
  ),
  row(
    'null deletes a whole part',
    [update({ desired: { a: 1 }, reported: { a: 1 } })],
    update({ desired: null }),
    accepted(
      { desired: null } as unknown as Parts,
      2,
      document(1, { desired: { a: 1 }, reported: { a: 1 } }),
      { reported: { a: 1 } },
      {
        meta: {},
      },
    ),
  ),
  row(
    'an array replaces an array',
    [update({ reported: { a: [1, 2, 3] } })],
    update({ reported: { a: [4, { b: 5 }] } }),
    accepted(
      { reported: { a: [4, { b: 5 }] } },
      2,
      document(1, { reported: { a: [1, 2, 3] } }),
      {
        reported: { a: [4, { b: 5 }] },
      },
      { meta: { reported: { a: [{ timestamp }, { b: { timestamp } }] } } },
    ),
  ),
  row(
    'a value replaces an object',
    [update({ reported: { a: { b: 1 } } })],
    update({ reported: { a: 'x' } }),
    accepted({ reported: { a: 'x' } }, 2, document(1, { reported: { a: { b: 1 } } }), {
      reported: { a: 'x' },
    }),
  ),
  row(
    'an empty state is an update',
    [update({ reported: { a: 1 } })],
    update({}),
    accepted({}, 2, document(1, { reported: { a: 1 } }), { reported: { a: 1 } }),
  ),
  row(
    'the client token comes back on every topic',
    [],
    update(one, { clientToken: 'tok' }),
    accepted(one, 1, null, one, { delta: { a: 1 }, clientToken: 'tok' }),
  ),
  row(
    'unknown members beside state are let pass',
    [],
    update({ reported: { a: 1 } }, { note: 'x' }),
    accepted({ reported: { a: 1 } }, 1, null, { reported: { a: 1 } }),
  ),
  row(
    'keys that objects are born with are data',
    [],
    { operation: 'update', payload: '{"state":{"reported":{"constructor":1,"toString":2}}}' },
    accepted({ reported: { constructor: 1, toString: 2 } }, 1, null, {
      reported: { constructor: 1, toString: 2 },
    }),
  ),
  // Delta
  row(
    'the delta holds only what differs, deep inside too',
    [update({ reported: { a: 1, o: { x: 1, y: 1 } } })],
    update({ desired: { a: 1, o: { x: 2, y: 1 } } }),
    accepted(
      { desired: { a: 1, o: { x: 2, y: 1 } } },
      2,
      document(1, { reported: { a: 1, o: { x: 1, y: 1 } } }),
      { desired: { a: 1, o: { x: 2, y: 1 } }, reported: { a: 1, o: { x: 1, y: 1 } } },
      { delta: { o: { x: 2 } } },
    ),
  ),
  row(
    'what is reported and not desired is no delta',
    [update({ desired: { a: 1 }, reported: { a: 2 } })],
    update({ reported: { a: 1, b: 1 } }),
    accepted({ reported: { a: 1, b: 1 } }, 2, document(1, { desired: { a: 1 }, reported: { a: 2 } }), {
      desired: { a: 1 },
      reported: { a: 1, b: 1 },
    }),
  ),
  row(
    'the delta stays until it is reported',
    [update({ desired: { a: 1 }, reported: { a: 2 } })],
    update({ reported: { b: 1 } }),
    accepted(
      { reported: { b: 1 } },
      2,
      document(1, { desired: { a: 1 }, reported: { a: 2 } }),
      { desired: { a: 1 }, reported: { a: 2, b: 1 } },
      { delta: { a: 1 } },
    ),
  ),
  // Versions
  row(
    'an update may name the version it is for',
    [update(one)],
    update({ reported: { a: 1 } }, { version: 1 }),
    accepted({ reported: { a: 1 } }, 2, document(1, one), { ...one, reported: { a: 1 } }),
  ),
  row(
    'another version is a conflict',
    [update(one)],
    update({ desired: { a: 2 } }, { version: 7, clientToken: 't' }),
    rejected('update', 409, 'Version conflict', 't'),
  ),
  row(
    'a refused update changes nothing',
    [update(one), update({ desired: { a: 2 } }, { version: 7 })],
    get,
    got(1, one, { delta: { a: 1 } }),
  ),
  row(
    'the version goes on counting after a deletion',
    [update(one), update(one), remove],
    update({ reported: { b: 1 } }),
    accepted({ reported: { b: 1 } }, 3, null, { reported: { b: 1 } }),
  ),
  // Get
  row(
    'get answers state, delta, metadata, version',
    [update({ desired: { a: 1, b: 1 }, reported: { a: 1 } })],
    get,
    got(1, { desired: { a: 1, b: 1 }, reported: { a: 1 } }, { delta: { b: 1 } }),
  ),
  {
    ...row(
      'get gives the client token back',
      [update({ reported: { a: 1 } })],
      { operation: 'get', payload: { clientToken: 't' } },
      got(1, { reported: { a: 1 } }, { clientToken: 't' }),
    ),
    mqttOnly: true,
  },
  row(
    'get of what never was is refused',
    [],
    get,
    rejected('get', 404, "No shadow exists with name: '$KEY'"),
  ),
  row(
    'get of what was deleted is refused',
    [update(one), remove],
    get,
    rejected('get', 404, "No shadow exists with name: '$KEY'"),
  ),
  row(
    'a shadow may be empty and be there',
    [update({ reported: { a: 1 } }), update({ reported: { a: null } })],
    get,
    got(2, {}),
  ),
  // Delete
  row('delete answers the version', [update(one), update(one)], remove, [
    { topic: 'delete/accepted', body: { version: 2, timestamp } },
  ]),
  {
    ...row(
      'delete gives the client token back',
      [update(one)],
      { operation: 'delete', payload: { clientToken: 't' } },
      [{ topic: 'delete/accepted', body: { version: 1, timestamp, clientToken: 't' } }],
    ),
    mqttOnly: true,
  },
  {
    ...row(
      'delete of another version is a conflict',
      [update(one)],
      { operation: 'delete', payload: { version: 4 } },
      rejected('delete', 409, 'Version conflict'),
    ),
    mqttOnly: true,
  },
  row(
    'delete of what is not there is refused',
    [],
    remove,
    rejected('delete', 404, "No shadow exists with name: '$KEY'"),
  ),
  // Refusals of form
  bad('text that is no JSON is refused', '{"state":', 400, /^Invalid JSON/),
  bad('JSON that is no object is refused', '[1]', 400, /object/),
  bad('an empty payload is no update', '', 400, /^Invalid JSON/),
  bad('state must be there', { stat: {} }, 400, 'Missing required node: state'),
  bad('state must be an object', { state: 5 }, 400, 'State node must be an object'),
  bad('desired must be an object', { state: { desired: 'x' } }, 400, 'Desired node must be an object'),
  bad('reported must be an object', { state: { reported: [1] } }, 400, 'Reported node must be an object'),
  bad(
    'state holds desired and reported only',
    { state: { wished: {} } },
    400,
    /^State contains an invalid node/,
  ),
  bad('version must be a whole number', { state: one, version: 1.5 }, 400, 'Invalid version'),
  bad('a client token must be a text', { state: one, clientToken: 5 }, 400, /^Invalid clientToken/),
  bad(
    'a client token has 64 bytes at the most',
    { state: one, clientToken: 'x'.repeat(65) },
    400,
    /^Invalid clientToken/,
  ),
  // Limits
  row(
    'five levels are deep enough',
    [],
    update({ reported: deep(5) }),
    accepted({ reported: deep(5) }, 1, null, { reported: deep(5) }),
  ),
  bad(
    'more levels are refused',
    { state: { reported: deep(6) } },
    400,
    /^JSON contains too many levels of nesting/,
  ),
  bad(
    'more than 8 KB of state are refused',
    { state: { reported: { a: 'x'.repeat(8200) } } },
    413,
    'The payload exceeds the maximum size allowed',
  ),
  row(
    'the limit holds for the whole state, not for one update',
    [update({ reported: { a: 'x'.repeat(4200) } })],
    update({ desired: { a: 'x'.repeat(4200) } }),
    rejected('update', 413, 'The payload exceeds the maximum size allowed'),
  ),
];

/** Every `timestamp` as 0; throws where one is no time of these years. */
export function withoutTimes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (key !== 'timestamp' || typeof item !== 'number') return [key, withoutTimes(item)];
      if (!Number.isInteger(item) || item < 1.6e9 || item > 4e9)
        throw new Error(`not epoch seconds: ${item}`);
      return [key, 0];
    }),
  );
}

export function payloadOf({ payload }: Request): string {
  return payload === undefined ? '' : typeof payload === 'string' ? payload : JSON.stringify(payload);
}

/** The row's answers for the shadow of this name. */
export function answersFor({ answers }: Row, thingName: string, shadowName?: string): Answer[] {
  const name = shadowName === undefined ? thingName : `${thingName}~${shadowName}`;
  return answers.map(({ topic, body }) => ({
    topic,
    body:
      typeof (body as { message?: unknown }).message === 'string'
        ? { ...(body as object), message: (body as { message: string }).message.replace('$KEY', name) }
        : body,
  }));
}
