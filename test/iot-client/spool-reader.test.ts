/** Reading by priority: nothing left out, nothing twice, and memory that does not grow with the number of priorities. */
import { MemorySpool } from '../../greengrass/core/iot-client/memory-spool.js';
import type { Spool, SpooledMessage } from '../../greengrass/core/iot-client/spool.js';
import { SpoolReader } from '../../greengrass/core/iot-client/spool-reader.js';

const nothing = { onReady: () => undefined, onDropped: () => undefined, onTrouble: () => undefined };

/** Counts what was read. */
class CountingSpool extends MemorySpool {
  read = 0;

  override after(...range: Parameters<Spool['after']>): SpooledMessage[] {
    const found = super.after(...range);
    this.read += found.length;
    return found;
  }
}

const makeSpool = () => new CountingSpool({ maxBytes: 1e9, full: 'keepNewest' }, nothing);

it('gives each message once, where every priority is higher than all before, and holds little of them', () => {
  const spool = makeSpool();
  const reader = new SpoolReader();
  reader.open(spool);
  const taken: SpooledMessage[] = [];
  let sent = 0;
  for (let priority = -100; priority <= 100; priority++) {
    for (let n = 0; n < 20; n++) spool.push('t', Buffer.from(String(sent++)), undefined, priority);
    reader.ready();
    // One only: the rest of the lane stays behind as what comes next is more important.
    const message = reader.next();
    if (message) taken.push(message);
  }
  expect(taken.map(({ payload }) => Number(payload))).toEqual(Array.from({ length: 201 }, (_, n) => n * 20));
  for (let message = reader.next(); message; message = reader.next()) taken.push(message);
  expect(taken).toHaveLength(sent);
  expect(new Set(taken.map(({ id }) => id)).size).toBe(sent);
  const rest = taken.slice(201).map(({ id }) => id);
  expect(rest).toEqual([...rest].sort((a, b) => a - b));
  // What was forgotten is read once more, and not over and over.
  expect(spool.read).toBeLessThan(3 * sent);
});

it('goes back to the head, skips what it is told, and takes back what was not sent', () => {
  const spool = makeSpool();
  const [a, b, c] = ['a', 'b', 'c'].map((text) => spool.push('t', Buffer.from(text))) as SpooledMessage[];
  const reader = new SpoolReader();
  reader.open(spool);
  const text = () => String(reader.next()?.payload);
  expect([text(), text()]).toEqual(['a', 'b']);
  reader.putBack();
  expect([text(), text(), reader.next()]).toEqual(['b', 'c', undefined]);
  reader.rewind();
  if (a) spool.remove(a);
  expect(text()).toBe('b');
  reader.rewind();
  if (b && c) reader.skip(b.id - (b.id % 2 ** 45), b.id);
  expect([text(), reader.next()]).toEqual(['c', undefined]);
  reader.open(undefined);
  expect(reader.next()).toBeUndefined();
});
