/** The queue of messages for the cloud, in memory and in a file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  FileSpool,
  MemorySpool,
  type Spool,
  spoolSettings,
} from '../../greengrass/core/iot-client/spooler.js';

let root: string;
let count = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-spool-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const kinds: ReadonlyArray<[string, (maxBytes: number) => Spool]> = [
  ['memory', (maxBytes) => new MemorySpool(maxBytes)],
  ['file', (maxBytes) => new FileSpool(join(root, `${count++}.db`), maxBytes)],
];

function drain(spool: Spool): string[] {
  const texts: string[] = [];
  for (let message = spool.first(); message; message = spool.first()) {
    texts.push(`${message.topic}=${message.payload}`);
    spool.remove(message.id);
  }
  return texts;
}

describe.each(kinds)('a spool in %s', (_kind, make) => {
  it('gives messages back in the order in which they came', () => {
    const spool = make(10_000);
    for (const n of [1, 2, 3]) expect(spool.push(`t/${n}`, Buffer.from(String(n)))).toBe(0);
    expect([spool.length, spool.bytes]).toEqual([3, 12]);
    expect(spool.first()).toEqual(spool.first());
    expect(drain(spool)).toEqual(['t/1=1', 't/2=2', 't/3=3']);
    expect([spool.first(), spool.length, spool.bytes]).toEqual([undefined, 0, 0]);
    spool.close();
  });

  it('drops the oldest where it is full, and says how many', () => {
    const spool = make(100);
    for (let n = 0; n < 5; n++) spool.push('t', Buffer.alloc(19, String(n)));
    expect(spool.push('t', Buffer.alloc(49, 'x'))).toBe(3);
    expect(spool.bytes).toBe(90);
    expect(drain(spool).map((text) => text.at(-1))).toEqual(['3', '4', 'x']);
    spool.close();
  });

  it('keeps a single message that is larger than the bound, until the next one', () => {
    const spool = make(10);
    expect(spool.push('t', Buffer.alloc(50))).toBe(0);
    expect(spool.push('t', Buffer.from('b'))).toBe(1);
    expect(drain(spool)).toEqual(['t=b']);
    spool.close();
  });

  it('removes nothing where the message had to give way in the meantime', () => {
    const spool = make(20);
    spool.push('t', Buffer.alloc(9, 'a'));
    const inFlight = spool.first();
    spool.push('t', Buffer.alloc(19, 'b'));
    spool.remove(inFlight?.id ?? 0);
    expect([spool.length, spool.bytes]).toEqual([1, 20]);
    spool.close();
  });

  it('behaves like a plain list, whatever is done to it', () => {
    const action = fc.oneof(
      fc.record({ topic: fc.constantFrom('a', 'bb', 'ä/€'), size: fc.nat(60) }),
      fc.constant('send' as const),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const spool = make(120);
        const model: Array<{ topic: string; payload: Buffer }> = [];
        const bytes = () =>
          model.reduce((sum, { topic, payload }) => sum + Buffer.byteLength(topic) + payload.length, 0);
        for (const [index, each] of actions.entries()) {
          if (each === 'send') {
            const first = spool.first();
            expect(first?.topic).toBe(model[0]?.topic);
            if (first) spool.remove(first.id);
            model.shift();
          } else {
            const payload = Buffer.alloc(each.size, index);
            spool.push(each.topic, payload);
            model.push({ topic: each.topic, payload });
            while (bytes() > 120 && model.length > 1) model.shift();
          }
          expect([spool.length, spool.bytes]).toEqual([model.length, bytes()]);
        }
        expect(drain(spool)).toEqual(model.map(({ topic, payload }) => `${topic}=${payload}`));
        spool.close();
      }),
      { numRuns: _kind === 'memory' ? 300 : 15 },
    );
  });
});

describe('a spool in memory', () => {
  it('stays small while messages pass through', () => {
    const spool = new MemorySpool(1_000_000);
    for (let n = 0; n < 20_000; n++) {
      spool.push('t', Buffer.from(String(n)));
      if (n >= 10) {
        expect(String(spool.first()?.payload)).toBe(String(n - 10));
        spool.remove(spool.first()?.id ?? 0);
      }
    }
    expect(spool.length).toBe(10);
  });
});

describe('a spool in a file', () => {
  it('has its messages, their order and its size after it was opened again', () => {
    const path = join(root, 'again.db');
    const before = new FileSpool(path, 1000);
    before.push('ä', Buffer.from([0, 255]));
    before.push('b', Buffer.alloc(0));
    before.push('c', Buffer.from('3'));
    const { bytes } = before;
    before.remove(before.first()?.id ?? 0);
    before.close();
    const after = new FileSpool(path, 1000);
    expect([after.length, after.bytes]).toEqual([2, bytes - 4]);
    after.push('d', Buffer.from('4'));
    expect(drain(after)).toEqual(['b=', 'c=3', 'd=4']);
    after.close();
  });

  it('survives a process that never closed it', () => {
    const path = join(root, 'killed.db');
    new FileSpool(path, 1000).push('t', Buffer.from('kept'));
    const after = new FileSpool(path, 1000);
    expect(drain(after)).toEqual(['t=kept']);
    after.close();
  });
});

describe('the settings of GGCloudSpooler', () => {
  it('are memory and 2.5 MB where nothing is set', () => {
    expect(spoolSettings({})).toEqual({ storage: 'Memory', maxBytes: 2_621_440 });
    const variables = { GG_CONFIG_STORAGE_TYPE: 'FileSystem', GG_CONFIG_MAX_SIZE_BYTES: '262144' };
    expect(spoolSettings(variables)).toEqual({ storage: 'FileSystem', maxBytes: 262_144 });
  });

  it.each([
    [{ GG_CONFIG_STORAGE_TYPE: 'Tape' }, /must be Memory or FileSystem/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: '262143' }, /Spool size should be at least 262144 bytes/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: 'lots' }, /Spool size should be at least/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: '' }, /Spool size should be at least/],
    [{ GG_CONFIG_MAX_SIZE_BYTES: '1e99' }, /Spool size should be at least/],
  ])('are refused where they are %j', (variables, message) => {
    expect(() => spoolSettings(variables)).toThrow(message);
  });
});
