/** The index of sessions' topic filters against the plain rule, filter by filter. */
import fc from 'fast-check';
import { SessionIndex } from '../../greengrass/cloud/iot/session-index.js';
import { filterMatches, filterProblem } from '../../greengrass/model/topic.js';

const level = fc.constantFrom('a', 'b', '', '$aws');
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'));
const filter = fc
  .array(fc.oneof(level, fc.constantFrom('+', '#')), { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter((text) => filterProblem(text) === undefined);
const change = fc.record({
  clientId: fc.constantFrom('one', 'two', 'three'),
  filter,
  what: fc.constantFrom('subscribe', 'subscribe', 'downgrade', 'unsubscribe', 'delete'),
});

describe('the index of sessions', () => {
  it('finds those whose filters take the topic with QoS 1, after any changes', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 20 }), topic, (changes, sought) => {
        const index = new SessionIndex();
        const plain = new Map<string, Map<string, number>>();
        for (const { clientId, filter: text, what } of changes) {
          if (!plain.has(clientId)) {
            plain.set(clientId, new Map());
            index.set(clientId, []);
          }
          if (what === 'delete') {
            index.delete(clientId);
            plain.delete(clientId);
          } else if (what === 'unsubscribe') {
            index.unsubscribe(clientId, [text]);
            plain.get(clientId)?.delete(text);
          } else {
            const qos = what === 'subscribe' ? 1 : 0;
            index.subscribe(clientId, text, qos);
            plain.get(clientId)?.set(text, qos);
          }
        }
        const expected = [...plain]
          .filter(([, filters]) =>
            [...filters].some(([text, qos]) => qos > 0 && filterMatches(text, sought, 'included')),
          )
          .map(([clientId]) => clientId);
        expect(index.match(sought).sort()).toEqual(expected.sort());
      }),
    );
  });

  it('knows nothing of a session that was never opened', () => {
    const index = new SessionIndex();
    index.unsubscribe('nobody', ['a']);
    index.delete('nobody');
    expect([index.size, index.has('nobody'), index.match('a')]).toEqual([0, false, []]);
  });
});
