/** The queue of one function against the plainest model of it: a list. */
import fc from 'fast-check';
import { createInvocation, type Invocation } from '../../greengrass/core/lambda/invocation.js';
import { WorkBudget, WorkQueue } from '../../greengrass/core/lambda/work-queue.js';

describe('the work queue', () => {
  const item = (n: number) =>
    createInvocation({ type: 'Event', invoker: `${n}`, clientContext: '', payload: Buffer.alloc(0) });

  it('is first in, first out, with what came back in front, and counts what it holds', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 700 }) }) },
      { weight: 6, arbitrary: fc.record({ shift: fc.integer({ min: 1, max: 900 }) }) },
      { weight: 3, arbitrary: fc.record({ unshift: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 1, arbitrary: fc.constant('drain' as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const budget = new WorkBudget(3000);
        const queue = new WorkQueue(budget);
        let model: Invocation[] = [];
        for (const what of steps) {
          if (what === 'drain') {
            expect(queue.drain()).toEqual(model);
            model = [];
          } else if ('push' in what) {
            for (let n = 0; n < what.push; n++) {
              const next = item(n);
              const isTaken = queue.push(next);
              if (isTaken !== model.length < 3000) throw new Error('the budget is wrong');
              if (isTaken) model.push(next);
            }
          } else if ('unshift' in what) {
            for (let n = 0; n < what.unshift; n++) {
              const next = item(n);
              queue.unshift(next);
              model.unshift(next);
            }
          } else {
            for (let n = 0; n < what.shift; n++) {
              if (queue.shift() !== model.shift()) throw new Error('another item than expected');
            }
          }
          expect([queue.length, budget.used]).toEqual([model.length, model.length]);
        }
      }),
      { numRuns: 100 },
    );
  });
});
