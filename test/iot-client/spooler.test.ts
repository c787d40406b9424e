/** The queue of messages for the cloud, in memory and in a file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { FileSpool } from '../../greengrass/core/iot-client/file-spool.js';
import { LANE_SIZE, priorityOf } from '../../greengrass/core/iot-client/lanes.js';
import { MemorySpool } from '../../greengrass/core/iot-client/memory-spool.js';
import type {
  FullPolicy,
  Spool,
  SpooledMessage,
  SpoolLimits,
  SpoolListener,
} from '../../greengrass/core/iot-client/spool.js';
import { ROW_OVERHEAD_BYTES } from '../../greengrass/core/iot-client/spool.js';
import { moveSpool } from '../../greengrass/core/iot-client/spool-move.js';
import { spoolSettings } from '../../greengrass/core/iot-client/spool-settings.js';
import { openDatabase } from '../../greengrass/lib/sqlite.js';
import { waitFor } from '../support/wait-for.js';

const ROW = ROW_OVERHEAD_BYTES;
let root: string;
let count = 0;
let dropped: number;
let ready: number;
const listener: SpoolListener = {
  onReady: () => {
    ready += 1;
  },
  onDropped: (n) => {
    dropped += n;
  },
  onTrouble: (error) => {
    throw error;
  },
};
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-spool-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));
beforeEach(() => {
  [dropped, ready] = [0, 0];
});

const limits = (maxBytes: number, full: FullPolicy = 'keepNewest'): SpoolLimits => ({ maxBytes, full });
type Make = (maxBytes: number, full?: FullPolicy) => Spool;
const kinds: ReadonlyArray<[string, Make]> = [
  ['memory', (maxBytes, full) => new MemorySpool(limits(maxBytes, full), listener)],
  [
    'a file',
    (maxBytes, full) => new FileSpool(join(root, `${count++}.db`), limits(maxBytes, full), listener),
  ],
];

const all = (spool: Spool, after = 0): SpooledMessage[] => spool.after(after, 1_000_000, 1e12);

function texts(spool: Spool): string[] {
  spool.flush();
  return all(spool).map(({ topic, payload }) => `${topic}=${payload}`);
}

describe.each(kinds)('a spool in %s', (_kind, make) => {
  it('gives messages back in the order in which they came, and counts whole rows', () => {
    const spool = make(10_000);
    for (const n of [1, 2, 3]) expect(spool.push(`t/${n}`, Buffer.from(String(n)))).toBeDefined();
    expect([spool.length, spool.bytes]).toEqual([3, 3 * (4 + ROW)]);
    expect(spool.flush()).toBe(true);
    expect(texts(spool)).toEqual(['t/1=1', 't/2=2', 't/3=3']);
    for (const message of all(spool)) spool.remove(message);
    expect([spool.length, spool.bytes, texts(spool)]).toEqual([0, 0, []]);
    spool.close();
  });

  it('reads in portions that are bounded in number and in bytes, and may begin behind a message', () => {
    const spool = make(1_000_000);
    for (let n = 0; n < 10; n++) spool.push('t', Buffer.alloc(100, String(n)));
    spool.flush();
    const first = spool.after(0, 3, 1e9);
    expect(first.map(({ payload }) => String(payload)[0])).toEqual(['0', '1', '2']);
    expect(spool.after(first[2]?.id ?? 0, 100, 1e9)).toHaveLength(7);
    expect(spool.after(0, 100, 250)).toHaveLength(2);
    expect(spool.after(0, 100, 1)).toHaveLength(1);
    spool.close();
  });

  it('takes removals in any order, twice, and of messages that are gone', () => {
    const spool = make(1_000_000);
    for (let n = 0; n < 5; n++) spool.push('t', Buffer.from(String(n)));
    spool.flush();
    const [a, b, c, d] = all(spool) as [SpooledMessage, SpooledMessage, SpooledMessage, SpooledMessage];
    for (const each of [c, a, a, c]) spool.remove(each);
    expect(texts(spool)).toEqual(['t=1', 't=3', 't=4']);
    for (const each of [b, d]) spool.remove(each);
    expect([texts(spool), spool.length, spool.bytes]).toEqual([['t=4'], 1, 2 + ROW]);
    spool.close();
  });

  it('drops the oldest where it is full, and says how many', () => {
    const spool = make(5 * (20 + ROW));
    for (let n = 0; n < 5; n++) spool.push('t', Buffer.alloc(19, String(n)));
    expect(dropped).toBe(0);
    expect(spool.push('t', Buffer.alloc(49, 'x'))).toBeDefined();
    spool.flush();
    expect(dropped).toBe(2);
    expect(texts(spool).map((text) => text.at(-1))).toEqual(['2', '3', '4', 'x']);
    spool.close();
  });

  it('refuses new ones where it is full and is to keep the oldest', () => {
    const spool = make(2 * (2 + ROW), 'keepOldest');
    expect(['1', '2', '3'].map((text) => spool.push('t', Buffer.from(text)) !== undefined)).toEqual([
      true,
      true,
      false,
    ]);
    spool.flush();
    const [first] = all(spool);
    if (first) spool.remove(first);
    expect(spool.push('t', Buffer.from('4'))).toBeDefined();
    expect([texts(spool), dropped]).toEqual([['t=2', 't=4'], 0]);
    spool.close();
  });

  it('keeps a single message that is larger than the bound, until the next one', () => {
    const spool = make(10);
    spool.push('t', Buffer.alloc(50));
    spool.flush();
    expect(dropped).toBe(0);
    spool.push('t', Buffer.from('b'));
    expect([texts(spool), dropped]).toEqual([['t=b'], 1]);
    spool.close();
  });

  it('orders by priority, and within it by coming; lower priorities give way first', () => {
    const spool = make(5 * (2 + ROW));
    for (const [text, priority] of [
      ['a', 0],
      ['b', 7],
      ['c', -7],
      ['d', undefined],
      ['e', 7],
    ] as const) {
      spool.push('t', Buffer.from(text), undefined, priority);
    }
    expect(texts(spool).join(' ')).toBe('t=b t=e t=a t=d t=c');
    expect(all(spool).map(({ id }) => priorityOf(id))).toEqual([7, 7, 0, 0, -7]);
    expect(spool.lanes.map((lane) => spool.after(lane, 9, 1e9, lane + LANE_SIZE).length)).toEqual([2, 2, 1]);
    spool.push('t', Buffer.from('f'), undefined, 100);
    spool.push('t', Buffer.from('g'), undefined, 7);
    expect([texts(spool).join(' '), dropped]).toEqual(['t=f t=b t=e t=g t=d', 2]);
    // It is the least important itself.
    spool.push('t', Buffer.from('h'), undefined, -100);
    expect([texts(spool).join(' '), dropped]).toEqual(['t=f t=b t=e t=g t=d', 3]);
    spool.close();
  });

  it('removes nothing where the message had to give way in the meantime', () => {
    const spool = make(20 + ROW);
    spool.push('t', Buffer.alloc(9, 'a'));
    spool.flush();
    const [underWay] = all(spool) as [SpooledMessage];
    spool.push('t', Buffer.alloc(19, 'b'));
    spool.flush();
    spool.remove(underWay);
    spool.flush();
    expect([spool.length, spool.bytes]).toEqual([1, 20 + ROW]);
    spool.close();
  });

  it('obeys new limits at once', () => {
    const spool = make(1_000_000);
    for (let n = 0; n < 5; n++) spool.push('t', Buffer.alloc(99, String(n)));
    spool.setLimits(limits(2 * (100 + ROW)));
    expect([spool.length, dropped]).toEqual([2, 3]);
    spool.close();
  });

  it('says that there is something to send', async () => {
    const spool = make(1000);
    spool.push('t', Buffer.from('1'));
    await waitFor(() => ready > 0);
    expect(texts(spool)).toEqual(['t=1']);
    spool.close();
  });

  it('behaves like a plain list, whatever is done to it', () => {
    const action = fc.oneof(
      fc.record({
        topic: fc.constantFrom('a', 'bb', 'ä/€'),
        size: fc.nat(60),
        priority: fc.constantFrom(undefined, 0, 1, -1, 100, -100),
      }),
      fc.constant('send' as const),
      fc.record({ remove: fc.nat(5) }),
    );
    const max = 8 * ROW;
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const spool = make(max);
        // In the order of sending: what gives way is the first of the last priority.
        const model: Array<{ topic: string; payload: Buffer; priority: number }> = [];
        const insert = (message: (typeof model)[number]) => {
          const at = model.findIndex(({ priority }) => priority < message.priority);
          model.splice(at < 0 ? model.length : at, 0, message);
        };
        const giveWay = () => {
          const lowest = model.at(-1)?.priority;
          model.splice(
            model.findIndex(({ priority }) => priority === lowest),
            1,
          );
        };
        const bytes = () =>
          model.reduce((sum, { topic, payload }) => sum + Buffer.byteLength(topic) + payload.length + ROW, 0);
        for (const [index, each] of actions.entries()) {
          if (each === 'send') spool.flush();
          else if ('remove' in each) {
            const message = all(spool)[each.remove];
            expect(message?.topic).toBe(model[each.remove]?.topic);
            if (message) spool.remove(message);
            model.splice(each.remove, 1);
          } else {
            const payload = Buffer.alloc(each.size, index);
            spool.push(each.topic, payload, undefined, each.priority);
            insert({ topic: each.topic, payload, priority: each.priority ?? 0 });
            while (bytes() > max && model.length > 1) giveWay();
            spool.flush();
          }
          expect([spool.length, spool.bytes]).toEqual([model.length, bytes()]);
        }
        expect(texts(spool)).toEqual(model.map(({ topic, payload }) => `${topic}=${payload}`));
        spool.close();
      }),
      { numRuns: _kind === 'memory' ? 300 : 15 },
    );
  });
});

describe('a spool in memory', () => {
  it('stays small while messages pass through', () => {
    const spool = new MemorySpool(limits(1_000_000), listener);
    for (let n = 0; n < 20_000; n++) {
      spool.push('t', Buffer.from(String(n)));
      if (n < 10) continue;
      const [oldest] = spool.after(0, 1, 1);
      expect(String(oldest?.payload)).toBe(String(n - 10));
      if (oldest) spool.remove(oldest);
    }
    expect(spool.length).toBe(10);
  });

  it('does not keep what a socket read at once alive for one small message of it', () => {
    const spool = new MemorySpool(limits(1_000_000), listener);
    const chunk = Buffer.alloc(1_000_000, 'x');
    const message = spool.push('t', chunk.subarray(100, 200));
    expect(message?.payload.buffer.byteLength).toBeLessThan(20_000);
    expect(message?.payload.equals(chunk.subarray(100, 200))).toBe(true);
  });
});

describe('a spool in a file', () => {
  it('has its messages, their order and its size after it was opened again', () => {
    const path = join(root, 'again.db');
    const before = new FileSpool(path, limits(1000), listener);
    before.push('ä', Buffer.from([0, 255]));
    before.push('b', Buffer.alloc(0));
    before.push('c', Buffer.from('3'));
    const { bytes } = before;
    before.flush();
    before.remove(all(before)[0] as SpooledMessage);
    before.close();
    const after = new FileSpool(path, limits(1000), listener);
    expect([after.length, after.bytes]).toEqual([2, bytes - 4 - ROW]);
    after.push('d', Buffer.from('4'));
    expect(texts(after)).toEqual(['b=', 'c=3', 'd=4']);
    after.close();
  });

  it('takes over what an earlier version left, in order, with the priority that V1 has', () => {
    const path = join(root, 'earlier.db');
    const first = openDatabase(path, {
      migrations: [
        'CREATE TABLE message (id INTEGER PRIMARY KEY, topic TEXT, payload BLOB, expires_at INTEGER)',
        '',
      ],
    });
    const insert = first.prepare('INSERT INTO message VALUES (?, ?, ?, NULL)');
    for (const id of [5, 6, 90]) insert.run(id, 't', Buffer.from(String(id)));
    first.close();
    const spool = new FileSpool(path, limits(1000), listener);
    spool.push('t', Buffer.from('91'));
    spool.push('t', Buffer.from('first'), undefined, 1);
    spool.push('t', Buffer.from('last'), undefined, -1);
    expect(texts(spool).join(' ')).toBe('t=first t=5 t=6 t=90 t=91 t=last');
    spool.close();
    const again = new FileSpool(path, limits(1000), listener);
    again.push('t', Buffer.from('second'), undefined, 1);
    expect(texts(again).join(' ')).toBe('t=first t=second t=5 t=6 t=90 t=91 t=last');
    again.close();
  });

  it('survives a process that never closed it', () => {
    const path = join(root, 'killed.db');
    const before = new FileSpool(path, limits(1000), listener);
    before.push('t', Buffer.from('kept'));
    before.flush();
    const after = new FileSpool(path, limits(1000), listener);
    expect(texts(after)).toEqual(['t=kept']);
    after.close();
    before.close();
  });

  it('stores what came in one turn of the event loop together, and offers nothing before', async () => {
    const path = join(root, 'turn.db');
    const spool = new FileSpool(path, limits(100_000), listener);
    for (let n = 0; n < 100; n++) spool.push('t', Buffer.from(String(n)));
    expect([all(spool), ready]).toEqual([[], 0]);
    await new Promise((resolve) => setImmediate(resolve));
    expect([all(spool).length, ready]).toEqual([100, 1]);
    spool.close();
  });
});

it('messages move from spool to spool in order, as far as there is room', () => {
  const [from, to] = [
    new FileSpool(join(root, 'from.db'), limits(1_000_000), listener),
    new MemorySpool(limits(700 * (6 + ROW)), listener),
  ];
  for (let n = 0; n < 1000; n++) from.push('t', Buffer.from(String(10_000 + n)));
  from.flush();
  const watched = all(from)
    .slice(998)
    .map(({ id }) => id);
  const moved = moveSpool(from, to, new Set(watched));
  expect(texts(to)).toEqual(Array.from({ length: 700 }, (_, n) => `t=${10_300 + n}`));
  expect([from.length, from.bytes, dropped]).toEqual([0, 0, 300]);
  expect(watched.map((id) => String(moved.get(id)?.payload))).toEqual(['10998', '10999']);
  from.close();
});

describe('the settings of GGCloudSpooler', () => {
  it('are memory and 2.5 MB where nothing is set', () => {
    expect(spoolSettings({})).toEqual({
      storage: 'Memory',
      maxBytes: 2_621_440,
      full: 'keepNewest',
      quality: 'AtMostOnce',
    });
    const variables = {
      GG_CONFIG_STORAGE_TYPE: 'FileSystem',
      GG_CONFIG_MAX_SIZE_BYTES: '262144',
      GG_CONFIG_QUEUE_FULL_POLICY: 'keepOldest',
      GG_CONFIG_SUBSCRIPTION_QUALITY: 'AtLeastOncePersistent',
    };
    expect(spoolSettings(variables)).toEqual({
      storage: 'FileSystem',
      maxBytes: 262_144,
      full: 'keepOldest',
      quality: 'AtLeastOncePersistent',
    });
  });

  it.each([
    [{ GG_CONFIG_STORAGE_TYPE: 'Tape' }, /GG_CONFIG_STORAGE_TYPE must be Memory or FileSystem/],
    [{ GG_CONFIG_SUBSCRIPTION_QUALITY: 'AtLeastOnce' }, /must be AtMostOnce or AtLeastOncePersistent/],
    [{ GG_CONFIG_QUEUE_FULL_POLICY: '' }, /must be keepNewest or keepOldest/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: '262143' }, /Spool size should be at least 262144 bytes/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: 'lots' }, /Spool size should be at least/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: '' }, /Spool size should be at least/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: '1e99' }, /Spool size should be at least/],
  ])('are refused where they are %j', (variables, message) => {
    expect(() => spoolSettings(variables)).toThrow(message);
  });
});
