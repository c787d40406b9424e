/** What goes to the cloud when: priorities, messages that must not be late, and a connection that comes and goes. */
import fc from 'fast-check';
import { MemorySpool } from '../../greengrass/core/iot-client/memory-spool.js';
import { PublishError } from '../../greengrass/core/iot-client/publish-error.js';
import type { SpoolListener } from '../../greengrass/core/iot-client/spool.js';
import { type SenderConnection, SpoolSender } from '../../greengrass/core/iot-client/spool-sender.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';

const logger = silentLogger();

interface Under {
  readonly text: string;
  readonly acked: () => void;
  readonly failed: (error: Error) => void;
}

/** The cloud's end: what was published and waits for its PUBACK, and what was acknowledged. */
class Cloud implements SenderConnection {
  connected = true;
  readonly underWay: Under[] = [];
  readonly published: string[] = [];

  publish(topic: string, payload: Buffer): Promise<void> {
    this.published.push(String(payload));
    return new Promise((resolve, reject) => {
      this.underWay.push({ text: `${topic}=${payload}`, acked: resolve, failed: reject });
    });
  }

  lose(): void {
    this.connected = false;
    for (const { failed } of this.underWay.splice(0)) failed(new PublishError('lost', 'network'));
  }
}

function world(window: number, maxBytes = 1e6) {
  const cloud = new Cloud();
  const counts = { dropped: 0 };
  const sender = new SpoolSender({ connection: cloud, logger, window, quietMs: 1 });
  const listener: SpoolListener = {
    onReady: () => sender.ready(),
    onDropped: (count) => {
      counts.dropped += count;
    },
    onTrouble: () => undefined,
  };
  const spool = new MemorySpool({ maxBytes, full: 'keepNewest' }, listener);
  sender.start(spool);
  const push = (text: string, priority?: number, expiresAt?: number) =>
    spool.push('t', Buffer.from(text), expiresAt, priority);
  return { cloud, sender, spool, push, counts };
}

/** Promises that were settled have told everybody. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function ack(cloud: Cloud, count = 1): Promise<void> {
  for (const { acked } of cloud.underWay.splice(0, count)) acked();
  await turn();
}

it('a message with a higher priority goes before what waits, not before what is under way', async () => {
  const { cloud, push, spool } = world(2);
  for (const text of ['a', 'b', 'c', 'd']) push(text);
  push('low', -5);
  push('high', 5);
  push('higher', 6);
  expect(cloud.published).toEqual(['a', 'b']);
  await ack(cloud, 2);
  expect(cloud.published.slice(2)).toEqual(['higher', 'high']);
  push('late', 5);
  while (cloud.underWay.length > 0) await ack(cloud);
  expect(cloud.published.slice(4)).toEqual(['late', 'c', 'd', 'low']);
  expect(spool.length).toBe(0);
});

it('after a lost connection all without a PUBACK go again, higher priorities first, each in its order', async () => {
  const { cloud, push, sender } = world(3);
  for (const text of ['a', 'b', 'c']) push(text);
  cloud.lose();
  await turn();
  push('high', 1);
  cloud.connected = true;
  sender.connected();
  while (cloud.underWay.length > 0) await ack(cloud);
  expect(cloud.published).toEqual(['a', 'b', 'c', 'high', 'a', 'b', 'c']);
});

it('a message that is too late is not sent, neither at first nor again, and is counted', async () => {
  const { cloud, push, sender, spool } = world(2);
  cloud.connected = false;
  push('late', 0, Date.now() - 1);
  push('soon', 0, Date.now() + 60_000);
  cloud.connected = true;
  sender.connected();
  expect([cloud.published, sender.expired, spool.length]).toEqual([['soon'], 1, 1]);
  const clock = jumpTo(Date.now() + 61_000);
  try {
    cloud.lose();
    await turn();
    cloud.connected = true;
    sender.connected();
  } finally {
    clock.restore();
  }
  expect([cloud.published, sender.expired, spool.length]).toEqual([['soon'], 2, 0]);
});

function jumpTo(time: number) {
  const { now } = Date;
  Date.now = () => time;
  return { restore: () => Object.assign(Date, { now }) };
}

it('a refused message does not hold up others for ever where higher priorities keep coming', async () => {
  const { cloud, push, sender } = world(4);
  push('poison');
  let acked = 0;
  for (let round = 0; round < 40 && sender.refused === 0; round++) {
    push(`high ${round}`, 1);
    cloud.connected = true;
    sender.connected();
    await waitFor(() => cloud.underWay.length > 0);
    // The cloud takes everything but the poison, and cuts there.
    for (let at = cloud.underWay.shift(); at; at = cloud.underWay.shift()) {
      if (at.text === 't=poison') {
        cloud.connected = false;
        for (const each of [at, ...cloud.underWay.splice(0)]) each.failed(new PublishError('cut', 'closed'));
        break;
      }
      acked += 1;
      at.acked();
      await turn();
    }
    await turn();
  }
  expect(sender.refused).toBe(1);
  expect(acked).toBeGreaterThan(4);
  sender.stop();
});

it('behaves like a list sorted by priority, whatever comes, goes, or is lost', async () => {
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ push: fc.constantFrom(undefined, -1, 0, 1) }) },
    { weight: 3, arbitrary: fc.record({ ack: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 1, arbitrary: fc.constant('lose' as const) },
    { weight: 1, arbitrary: fc.constant('connect' as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const { cloud, push, sender, spool } = world(3);
      type Entry = { text: string; priority: number };
      const model: { waiting: Entry[]; underWay: Entry[]; published: string[]; window: number } = {
        ...{ waiting: [], underWay: [], published: [], window: 3 },
      };
      const modelSend = () => {
        while (cloud.connected && model.underWay.length < model.window && model.waiting.length > 0) {
          const entry = model.waiting.shift() as Entry;
          model.underWay.push(entry);
          model.published.push(entry.text);
        }
      };
      const insert = (entry: Entry) => {
        const at = model.waiting.findIndex(({ priority }) => priority < entry.priority);
        model.waiting.splice(at < 0 ? model.waiting.length : at, 0, entry);
      };
      for (const [index, each] of actions.entries()) {
        if (each === 'lose') {
          if (model.underWay.length > 0) model.window = 1;
          cloud.lose();
          await turn();
          const again = [...model.underWay.splice(0), ...model.waiting.splice(0)];
          again.sort((a, b) => b.priority - a.priority || Number(a.text) - Number(b.text));
          model.waiting = again;
        } else if (each === 'connect') {
          cloud.connected = true;
          sender.connected();
          modelSend();
        } else if ('push' in each) {
          insert({ text: String(index), priority: each.push ?? 0 });
          push(String(index), each.push);
          modelSend();
        } else {
          for (let n = 0; n < each.ack && model.underWay.length > 0; n++) {
            await ack(cloud);
            model.underWay.shift();
            model.window = Math.min(3, model.window + 1);
            modelSend();
          }
        }
        expect(cloud.published).toEqual(model.published);
        expect(spool.length).toBe(model.waiting.length + model.underWay.length);
      }
      sender.stop();
    }),
    { numRuns: 300 },
  );
});
