/** The sync of shadows, case by case, over a link whose faults the test makes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { SyncedThing } from '../../greengrass/core/shadow/sync/shadow-sync.js';
import { IN_MEMORY, World } from './sync-world.js';

const thing = (more: Partial<SyncedThing> = {}): SyncedThing => ({
  thingName: 'lamp',
  direction: 'both',
  shadowNames: [],
  ...more,
});

let folder: string;
let world: World;
beforeEach(async () => {
  folder = mkdtempSync(join(IN_MEMORY, 'greengrass-sync-'));
  world = new World(join(folder, 'shadow.db'), 1, [thing()]);
  await world.boot();
});
afterEach(async () => {
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

const cloudUpdate = (state: object, key = 'lamp') => world.atCloud(key, 'update', JSON.stringify({ state }));
const localUpdate = (state: object, key = 'lamp') => world.local(key, 'update', { state });
const both = async (key = 'lamp') => [await world.localState(key), world.cloudState(key)];
const expectBoth = async (state: object | undefined, key = 'lamp') =>
  expect(await both(key)).toEqual([state, state]);
const updates = () => world.requests.filter(({ operation }) => operation === 'update').length;

async function inStep(state: object): Promise<void> {
  world.connect();
  await localUpdate(state);
  await world.rest();
  await expectBoth(state);
  world.requests.length = 0;
}

describe('connected', () => {
  it('a shadow that only the core has is made in the cloud', async () => {
    await localUpdate({ reported: { on: true } });
    world.connect();
    await world.rest();
    await expectBoth({ reported: { on: true } });
    // Made empty, looked at, filled.
    expect(world.requests.map(({ operation }) => operation)).toEqual(['get', 'update', 'get', 'update']);
  });

  it('a shadow that only the cloud has comes down', async () => {
    cloudUpdate({ desired: { on: true } });
    world.connect();
    await world.rest();
    await expectBoth({ desired: { on: true } });
    expect(updates()).toBe(0);
  });

  it('a change in the cloud comes down without a request and makes no echo', async () => {
    await inStep({ reported: { on: true } });
    cloudUpdate({ desired: { on: false } });
    await world.rest();
    await expectBoth({ desired: { on: false }, reported: { on: true } });
    expect(world.requests).toEqual([]);
  });

  it('a local change goes up with one request, whose echo changes nothing', async () => {
    await inStep({ reported: { on: true } });
    await localUpdate({ reported: { on: false } });
    await world.rest();
    await expectBoth({ reported: { on: false } });
    expect(world.requests).toEqual([{ operation: 'update', key: 'lamp' }]);
    expect(world.versions.local).toHaveLength(2);
  });

  it('deletions go both ways', async () => {
    await inStep({ reported: { on: true } });
    await world.local('lamp', 'delete');
    await world.rest();
    await expectBoth(undefined);
    await localUpdate({ reported: { on: true } });
    await world.rest();
    await expectBoth({ reported: { on: true } });
    world.atCloud('lamp', 'delete', '');
    await world.rest();
    await expectBoth(undefined);
  });

  it('named shadows are synced, listed or not', async () => {
    world.connect();
    await localUpdate({ reported: { a: 1 } }, 'lamp/config');
    cloudUpdate({ desired: { b: 1 } }, 'lamp/schedule');
    await world.rest();
    await expectBoth({ reported: { a: 1 } }, 'lamp/config');
    await expectBoth({ desired: { b: 1 } }, 'lamp/schedule');
    world.disconnect();
    cloudUpdate({ desired: { c: 1 } }, 'lamp/listed');
    world.setThings([thing({ shadowNames: ['listed'] })]);
    world.connect();
    await world.rest();
    await expectBoth({ desired: { c: 1 } }, 'lamp/listed');
    expect(world.service.keys('lamp')).toEqual(['lamp/config', 'lamp/listed', 'lamp/schedule']);
  });

  it('other things are left alone', async () => {
    world.connect();
    await localUpdate({ reported: { a: 1 } }, 'fan');
    cloudUpdate({ desired: { b: 1 } }, 'pump');
    await world.rest();
    expect(world.cloudState('fan')).toBeUndefined();
    expect(await world.localState('pump')).toBeUndefined();
  });
});

describe('after a time without the link', () => {
  const offline = async (
    before: object,
    local: () => Promise<unknown>,
    cloud: () => void,
    after: object | undefined,
  ) => {
    await inStep(before);
    world.disconnect();
    await local();
    cloud();
    world.connect();
    await world.rest();
    await expectBoth(after);
  };

  it('changes of both sides merge', () =>
    offline(
      { reported: { a: 1, o: { x: 1, y: 1 } } },
      () => localUpdate({ reported: { o: { x: 2 } } }),
      () => cloudUpdate({ reported: { o: { y: 2 } }, desired: { a: 5 } }),
      { reported: { a: 1, o: { x: 2, y: 2 } }, desired: { a: 5 } },
    ));

  it('of one leaf, the core has reported and the cloud desired', () =>
    offline(
      { reported: { a: 1 }, desired: { a: 1 } },
      () => localUpdate({ reported: { a: 2 }, desired: { a: 2 } }),
      () => cloudUpdate({ reported: { a: 3 }, desired: { a: 3 } }),
      { reported: { a: 2 }, desired: { a: 3 } },
    ));

  it('what the cloud deleted stays deleted', () =>
    offline(
      { reported: { a: 1, b: 1 } },
      async () => {},
      () => cloudUpdate({ reported: { b: null } }),
      { reported: { a: 1 } },
    ));

  it('a shadow that the cloud deleted stays deleted, but for what the core reported since', () =>
    offline(
      { reported: { a: 1, b: 1 } },
      () => localUpdate({ reported: { b: 2 } }),
      () => world.atCloud('lamp', 'delete', ''),
      { reported: { b: 2 } },
    ));

  it('a shadow that the core deleted is deleted in the cloud, though the cloud knew it until now', () =>
    offline(
      { reported: { a: 1 } },
      () => world.local('lamp', 'delete'),
      () => {},
      undefined,
    ));

  it('deleted and made anew: nothing of the old one comes back', () =>
    offline(
      { reported: { a: 1, b: 1 } },
      async () => {
        await world.local('lamp', 'delete');
        await localUpdate({ reported: { c: 1 } });
      },
      () => {},
      { reported: { c: 1 } },
    ));

  it('a wall clock that jumps back and forth decides nothing', () =>
    offline(
      { reported: { a: 1 }, desired: { a: 1 } },
      async () => {
        world.wallClock += 10 * 365 * 86_400_000;
        await localUpdate({ desired: { a: 2 }, reported: { a: 2 } });
        world.wallClock -= 30 * 365 * 86_400_000;
        await localUpdate({ reported: { a: 4 } });
      },
      () => cloudUpdate({ desired: { a: 3 } }),
      { reported: { a: 4 }, desired: { a: 3 } },
    ));

  it('a merge that is too large for a shadow leaves the document of the cloud', () =>
    offline(
      { reported: { a: 1 } },
      () => localUpdate({ reported: { big: 'x'.repeat(5000) } }),
      () => cloudUpdate({ desired: { big: 'y'.repeat(5000) } }),
      { reported: { a: 1 }, desired: { big: 'y'.repeat(5000) } },
    ));

  it('a burst of changes costs the cloud one request', async () => {
    await inStep({ reported: { n: 0 } });
    world.disconnect();
    for (let n = 1; n <= 500; n++) await localUpdate({ reported: { n } });
    world.connect();
    await world.rest();
    await expectBoth({ reported: { n: 500 } });
    expect(world.requests.map(({ operation }) => operation)).toEqual(['get', 'update']);
  });
});

describe('the rate', () => {
  it('a shadow that changes all the time is told at most every 100 ms, and then the newest', async () => {
    await inStep({ reported: { n: 0 } });
    for (let n = 1; n <= 1000; n++) {
      void localUpdate({ reported: { n } });
      await world.pass(2);
    }
    expect(updates()).toBeLessThanOrEqual(21);
    await world.rest();
    await expectBoth({ reported: { n: 1000 } });
  });

  it('many shadows share what the cloud may be asked', async () => {
    await world.close();
    const names = Array.from({ length: 100 }, (_, n) => `t${n}`);
    world = new World(
      join(folder, 'many.db'),
      1,
      names.map((thingName) => thing({ thingName })),
    );
    await world.boot();
    for (const name of names) await localUpdate({ reported: { a: 1 } }, name);
    world.connect();
    await world.pass(1000);
    expect(world.requests.length).toBeGreaterThan(40);
    expect(world.requests.length).toBeLessThanOrEqual(51);
    await world.rest(20_000);
    for (const name of names) await expectBoth({ reported: { a: 1 } }, name);
  });
});

describe('one direction', () => {
  const start = async (direction: SyncedThing['direction']) => {
    world.setThings([thing({ direction })]);
    world.connect();
    await world.rest();
  };

  it('to the cloud: local changes go up, those of the cloud stay there', async () => {
    await start('toCloud');
    await localUpdate({ reported: { a: 1 } });
    await world.rest();
    cloudUpdate({ desired: { x: 1 } });
    await world.rest();
    expect(await both()).toEqual([{ reported: { a: 1 } }, { reported: { a: 1 }, desired: { x: 1 } }]);
    await localUpdate({ reported: { a: 2 } });
    await world.rest();
    expect(await both()).toEqual([{ reported: { a: 2 } }, { reported: { a: 2 }, desired: { x: 1 } }]);
  });

  it('from the cloud: its changes come down, local ones stay here', async () => {
    await start('fromCloud');
    cloudUpdate({ desired: { x: 1 } });
    await world.rest();
    await localUpdate({ reported: { a: 1 } });
    await world.rest();
    expect(await both()).toEqual([{ reported: { a: 1 }, desired: { x: 1 } }, { desired: { x: 1 } }]);
    cloudUpdate({ desired: { x: null, y: 2 } });
    await world.rest();
    expect(await both()).toEqual([{ reported: { a: 1 }, desired: { y: 2 } }, { desired: { y: 2 } }]);
    expect(updates()).toBe(0);
  });

  it('after a change of direction the sync starts as if for the first time: with the union', async () => {
    await start('fromCloud');
    await localUpdate({ reported: { a: 1 } });
    cloudUpdate({ desired: { x: 1 } });
    await world.rest();
    await start('both');
    await expectBoth({ reported: { a: 1 }, desired: { x: 1 } });
  });
});

describe('deployments and restarts', () => {
  it('what was deleted while the core was down stays deleted', async () => {
    await inStep({ reported: { a: 1, b: 1 } });
    world.disconnect();
    cloudUpdate({ reported: { b: null } });
    await world.crash();
    world.connect();
    await world.rest();
    await expectBoth({ reported: { a: 1 } });
  });

  it('a redeployment of the same things forgets nothing', async () => {
    await inStep({ reported: { a: 1, b: 1 } });
    world.disconnect();
    await localUpdate({ reported: { b: null } });
    world.setThings([thing(), thing({ thingName: 'fan' })]);
    world.connect();
    await world.rest();
    await expectBoth({ reported: { a: 1 } });
  });

  it('a thing that is synced no longer is forgotten and left alone', async () => {
    await inStep({ reported: { a: 1 } });
    world.setThings([]);
    await localUpdate({ reported: { a: 2 } });
    cloudUpdate({ reported: { a: 3 } });
    await world.rest();
    expect(await both()).toEqual([{ reported: { a: 2 } }, { reported: { a: 3 } }]);
    expect(world.service.syncedKeys()).toEqual([]);
  });

  it("the core's own earlier change, whose answer was lost, is no conflict with its newer one", async () => {
    await inStep({ desired: { a: 1 } });
    await localUpdate({ desired: { a: 2 } });
    for (let ms = 0; world.cloudState('lamp')?.desired?.a !== 2; ms++) {
      if (ms > 1000) throw new Error('the request never arrived');
      await world.pass(1);
    }
    // The cloud did it, the answer is on its way, and the link breaks.
    await world.crash();
    await localUpdate({ desired: { a: 3 } });
    world.connect();
    await world.rest();
    await expectBoth({ desired: { a: 3 } });
  });

  it('somebody who is faster is merged, not overwritten', async () => {
    await inStep({ desired: { a: 1 } });
    await localUpdate({ desired: { a: 2, b: 2 } });
    cloudUpdate({ desired: { a: 5 } });
    await world.rest();
    await expectBoth({ desired: { a: 5, b: 2 } });
  });
});
