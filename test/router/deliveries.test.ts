/** Wishes of subscriptions beyond V1, what endpoints make durable, and what followers see. */
import type { Delivery, Endpoint } from '../../greengrass/core/router/endpoint.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import type { Traced } from '../../greengrass/core/router/trace.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import type { GroupSubscription } from '../../greengrass/model/group.js';

const base = { Source: 's', Subject: 'a', Target: 't' };
const message = (topic = 'a') => ({ source: 's', topic, payload: Buffer.from('x'), qos: 0 }) as const;

class Inbox implements Endpoint {
  readonly wishes: Array<Delivery | undefined> = [];
  takes = true;

  deliver(_message: unknown, _target: string, delivery?: Delivery): boolean {
    this.wishes.push(delivery);
    return this.takes;
  }

  explain(): string {
    return 'asleep';
  }
}

function routed(...subscriptions: GroupSubscription[]): Array<Delivery | undefined> {
  const router = new Router({ logger: silentLogger() });
  const inbox = new Inbox();
  router.register('t', inbox);
  router.swap(compileTable(subscriptions));
  router.route(message());
  return inbox.wishes;
}

describe('what subscriptions ask for beyond V1', () => {
  it('comes with the message, and only where it was asked for', () => {
    expect(routed(base)).toEqual([undefined]);
    expect(routed({ ...base, Qos: 1, Priority: 3, Ttl: 60 })).toEqual([
      { qos: 1, priority: 3, ttlMs: 60_000 },
    ]);
  });

  it('is the best of all where several lead to one target', () => {
    const high = { ...base, Subject: '+', Priority: 7, Ttl: 5, Qos: 0 as const };
    expect(routed({ ...base, Priority: -2, Ttl: 60, Qos: 1 }, high)).toEqual([
      { qos: 1, priority: 7, ttlMs: 60_000 },
    ]);
    expect(routed(base, high)).toEqual([{ priority: 7 }]);
    expect(routed(high, { ...high, Priority: 1 })).toEqual([{ qos: 0, priority: 7, ttlMs: 5000 }]);
  });
});

describe('settle', () => {
  it('asks every endpoint once, however many targets it serves, and names those whose messages failed', () => {
    const router = new Router({ logger: silentLogger() });
    let asked = 0;
    let answer = true;
    const store: Endpoint = {
      deliver: () => true,
      settle: () => {
        asked += 1;
        return answer;
      },
    };
    for (const key of ['t', 'u']) router.register(key, store);
    router.register('v', new Inbox());
    router.swap(compileTable([base, { ...base, Target: 'u' }, { ...base, Source: 'other', Target: 'v' }]));
    const send = (...sources: string[]) => {
      for (const source of sources) router.route({ ...message(), source });
      return [...router.settle()];
    };
    expect([send('s', 'other'), asked]).toEqual([[], 1]);
    answer = false;
    expect(send('other')).toEqual([]);
    expect(send('s', 'other', 's')).toEqual(['s']);
    expect(send('other')).toEqual([]);
    answer = true;
    expect(send('s')).toEqual([]);
  });
});

describe('a follower', () => {
  function followed(only = (_topic: string) => true) {
    const router = new Router({ logger: silentLogger() });
    const inbox = new Inbox();
    router.register('t', inbox);
    router.swap(compileTable([base, { ...base, Subject: '+', Id: 'wild' }, { ...base, Target: 'gone' }]));
    const seen: Traced[] = [];
    const leave = router.follow({ wants: ({ topic }) => only(topic), traced: (one) => seen.push(one) });
    return { router, inbox, seen, leave };
  }

  it('sees source, topic, subscriptions, targets, results and times, but no payload', () => {
    const { router, seen } = followed();
    expect(router.route(message())).toEqual({ matched: 2, refused: 1 });
    const [traced] = seen;
    expect(traced).toMatchObject({ source: 's', topic: 'a', qos: 0, bytes: 1 });
    expect(traced?.subscriptions.map(({ Id, Subject }) => Id ?? Subject)).toEqual(['a', 'wild', 'a']);
    expect(traced?.hops).toMatchObject([
      { target: 't', result: 'taken' },
      { target: 'gone', result: 'refused', reason: 'there is no such target in this core' },
    ]);
    expect(Math.abs((traced?.time ?? 0) - Date.now())).toBeLessThan(60_000);
    expect(JSON.stringify(traced)).not.toContain('payload');
  });

  it('hears why a target refused, and the nearest subscription where there was none', () => {
    const { router, inbox, seen } = followed();
    inbox.takes = false;
    router.route(message());
    router.route(message('a/b'));
    expect(seen[0]?.hops[0]).toMatchObject({ result: 'refused', reason: 'asleep' });
    expect(seen[1]).toMatchObject({ hops: [], nearest: { differs: 'topic' } });
    expect(router.unrouted().pairs).toMatchObject([{ topic: 'a/b', count: 1 }]);
  });

  it('sees only what it wants, and the new table after a deployment', () => {
    const { router, seen, leave } = followed((topic) => topic === 'b');
    router.route(message('a'));
    router.swap(compileTable([{ ...base, Subject: 'b' }]));
    router.route(message('b'));
    expect(seen).toHaveLength(1);
    expect(seen[0]?.subscriptions).toMatchObject([{ Subject: 'b' }]);
    leave();
    router.route(message('b'));
    expect(seen).toHaveLength(1);
  });
});
