/** The hub: who gets a message, who is told when nobody does. */
import type { Endpoint } from '../../greengrass/core/router/endpoint.js';
import type { Message } from '../../greengrass/core/router/message.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { createLogger, type LogLevel } from '../../greengrass/lib/log.js';

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

const INFO = 30;

function makeRouter(level: LogLevel = 'debug') {
  const lines: Line[] = [];
  const logger = createLogger({ level, stream: { write: (text: string) => lines.push(JSON.parse(text)) } });
  return { router: new Router({ logger }), lines };
}

/** An endpoint that keeps what it gets, or refuses it. */
class Inbox implements Endpoint {
  readonly got: Array<[Message, string]> = [];
  full = false;

  deliver(message: Message, target: string): boolean {
    if (this.full) return false;
    this.got.push([message, target]);
    return true;
  }
}

function message(source: string, topic: string): Message {
  return { source, topic, payload: Buffer.from('x'), qos: 0 };
}

describe('the router', () => {
  it('hands a message to the endpoint of each target, unchanged', () => {
    const { router } = makeRouter();
    const [lamp, cloud] = [new Inbox(), new Inbox()];
    router.register('lamp', lamp);
    router.register('cloud', cloud);
    router.swap(
      compileTable([
        { Source: 'fn', Subject: 'a/#', Target: 'lamp' },
        { Source: 'fn', Subject: 'a/b', Target: 'lamp' },
        { Source: 'fn', Subject: 'a/+', Target: 'cloud' },
      ]),
    );
    const sent = message('fn', 'a/b');
    expect(router.route(sent)).toEqual({ matched: 2, refused: 0 });
    expect(lamp.got).toEqual([[sent, 'lamp']]);
    expect(cloud.got[0]?.[0]).toBe(sent);
  });

  it('delivers nothing without a subscription: not before the first table, not to the sender, not by the topic alone', () => {
    const { router } = makeRouter();
    const inbox = new Inbox();
    router.register('lamp', inbox);
    expect(router.route(message('fn', 'a'))).toEqual({ matched: 0, refused: 0 });
    router.swap(compileTable([{ Source: 'fn', Subject: 'a', Target: 'lamp' }]));
    expect(router.route(message('other', 'a')).matched).toBe(0);
    expect(router.route(message('lamp', 'a')).matched).toBe(0);
    expect(router.route(message('fn', 'b')).matched).toBe(0);
    expect(inbox.got).toEqual([]);
  });

  it('counts targets that refuse and targets that are not there, and goes on with the others', () => {
    const { router, lines } = makeRouter();
    const [full, open] = [new Inbox(), new Inbox()];
    full.full = true;
    router.register('full', full);
    router.register('open', open);
    router.swap(
      compileTable(['full', 'missing', 'open'].map((Target) => ({ Source: 's', Subject: 'a', Target }))),
    );
    expect(router.route(message('s', 'a'))).toEqual({ matched: 3, refused: 2 });
    expect(open.got).toHaveLength(1);
    expect(lines.map(({ level, target }) => [level, target])).toEqual([
      [20, 'full'],
      [20, 'missing'],
    ]);
    router.unregister('open');
    expect(router.route(message('s', 'a')).refused).toBe(3);
  });

  it('follows a new table from the next message on', () => {
    const { router } = makeRouter();
    const inbox = new Inbox();
    router.register('lamp', inbox);
    router.swap(compileTable([{ Source: 's', Subject: 'old', Target: 'lamp' }]));
    router.route(message('s', 'old'));
    const table = compileTable([{ Source: 's', Subject: 'new', Target: 'lamp' }]);
    router.swap(table);
    expect(router.table).toBe(table);
    expect([router.route(message('s', 'old')).matched, router.route(message('s', 'new')).matched]).toEqual([
      0, 1,
    ]);
  });
});

describe('a message without a route', () => {
  it('is told once at INFO for each source and topic, with both, and at DEBUG from then on', () => {
    const { router, lines } = makeRouter();
    for (const [source, topic] of [
      ['lamp', 'a'],
      ['lamp', 'a'],
      ['lamp', 'b'],
      ['fan', 'a'],
      ['lamp', 'a'],
    ] as const) {
      router.route(message(source, topic));
    }
    const text = 'Failed to get routes. Discarding message.';
    expect(lines.filter(({ level }) => level === INFO)).toEqual([
      expect.objectContaining({ source: 'lamp', topic: 'a', msg: text }),
      expect.objectContaining({ source: 'lamp', topic: 'b', msg: text }),
      expect.objectContaining({ source: 'fan', topic: 'a', msg: text }),
    ]);
    expect(lines.filter(({ level }) => level === 20)).toHaveLength(2);
    expect(router.unrouted()).toEqual({
      pairs: [
        { source: 'lamp', topic: 'a', count: 3 },
        { source: 'lamp', topic: 'b', count: 1 },
        { source: 'fan', topic: 'a', count: 1 },
      ],
      others: 0,
    });
  });

  it('is told again after a deployment', () => {
    const { router, lines } = makeRouter('info');
    router.route(message('lamp', 'a'));
    router.swap(compileTable([]));
    expect(router.unrouted()).toEqual({ pairs: [], others: 0 });
    router.route(message('lamp', 'a'));
    expect(lines).toHaveLength(2);
  });

  it('fills neither memory nor log, however many topics a device makes up', () => {
    const { router, lines } = makeRouter('info');
    for (let n = 0; n < 5000; n++) router.route(message('lamp', `t/${n}`));
    const { pairs, others } = router.unrouted();
    expect([pairs.length, others, lines.length]).toEqual([1000, 4000, 1000]);
    router.route(message('lamp', 't/0'));
    expect(router.unrouted().pairs[0]?.count).toBe(2);
  });

  it('never shows its payload', () => {
    const { router, lines } = makeRouter();
    router.route({ source: 's', topic: 'a', payload: Buffer.from('hush'), qos: 0 });
    expect(JSON.stringify(lines)).not.toMatch(/hush|payload/);
  });
});

describe('a message to all or none (queueFullPolicy AllOrError)', () => {
  /** Takes what it has room for, as queues do that share a bound. */
  class Queue extends Inbox {
    room = 2;

    hasRoom(_message: Message, count: number): boolean {
      return count <= this.room;
    }
  }

  it('goes to no target where one of the queues has not room for it', async () => {
    const { router } = makeRouter();
    const [queue, other] = [new Queue(), new Inbox()];
    for (const target of ['f1', 'f2', 'f3']) router.register(target, queue);
    router.register('other', other);
    const route = (...targets: string[]) => {
      router.swap(compileTable(targets.map((Target) => ({ Source: 'lamp', Subject: 't', Target }))));
      return router.routeToAllOrNone(message('lamp', 't'));
    };
    expect(await route('other', 'f1', 'f2')).toBe(true);
    expect([queue.got.length, other.got.length]).toEqual([2, 1]);
    expect(await route('other', 'f1', 'f2', 'f3')).toBe(false);
    expect([queue.got.length, other.got.length]).toEqual([2, 1]);
    // A device that is away, and a target that is not there, are no full queues.
    other.full = true;
    expect(await route('other', 'nobody')).toBe(true);
    expect(await router.routeToAllOrNone(message('lamp', 'no/route'))).toBe(true);
  });
});
