/** A large table: quick to compile, and no dearer per message than a small one. */
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import type { GroupSubscription } from '../../greengrass/model/group.js';

function subscriptions(count: number): GroupSubscription[] {
  return Array.from({ length: count }, (_, n) => ({
    Source: `arn:aws:iot:us-east-1:123456789012:thing/device-${n % 200}`,
    Subject: n % 3 === 0 ? `plant/${n % 50}/+/machine-${n}/#` : `plant/${n % 50}/machine-${n}/state`,
    Target: n % 2 ? 'cloud' : `arn:aws:iot:us-east-1:123456789012:thing/device-${(n + 7) % 200}`,
  }));
}

/** The least of some tries, in ms of processor time: what else the machine does only adds. */
function least(tries: number, work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let n = 0; n < tries; n++) {
    const before = process.cpuUsage();
    work();
    best = Math.min(best, process.cpuUsage(before).user / 1000);
  }
  return best;
}

it('10,000 subscriptions compile in less than 50 ms', () => {
  const many = subscriptions(10_000);
  expect(least(10, () => compileTable(many))).toBeLessThan(50);
});

it('10,000 subscriptions cost no more per message than 100', () => {
  const cost = (count: number) => {
    const list = subscriptions(count);
    const table = compileTable(list);
    const messages = list.slice(0, 100).map(({ Source, Subject }) => [Source, Subject] as const);
    return least(20, () => {
      for (let n = 0; n < 1000; n++) for (const [source, topic] of messages) table.routes(source, topic);
    });
  };
  const [few, many] = [cost(100), cost(10_000)];
  // Room for a busy machine; a scan of the table would be a hundred times as much.
  expect(many).toBeLessThan(few * 5);
});
