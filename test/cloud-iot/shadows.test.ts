/** The cloud's shadows: in order, stored before they are answered, the same over every road. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import type { ShadowStore, Store } from '../../greengrass/cloud/store/store.js';

describe("the cloud's shadows", () => {
  let folder: string;
  let store: Store;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-shadows-'));
    store = await openSqliteStore(join(folder, 'cloud.db'));
  });
  afterAll(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const bodyOf = ({ body }: { body: Buffer }) => JSON.parse(body.toString()) as Record<string, unknown>;

  it('many updates at once lose nothing and count up by one', async () => {
    const shadows = new CloudShadows(store);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        shadows.update('busy', json({ state: { reported: { [`k${n}`]: n } } })),
      ),
    );
    expect(answers.map((answer) => bodyOf(answer).version)).toEqual(
      Array.from({ length: 50 }, (_, n) => n + 1),
    );
    const kept = await store.shadows.find('busy');
    expect(Object.keys(kept?.document?.state.reported ?? {})).toHaveLength(50);
  });

  it('no update of two replicas is lost, nor refused by what one of them remembers', async () => {
    const replicas = [new CloudShadows(store), new CloudShadows(store)];
    await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        replicas[n % 2]?.update('shared', json({ state: { reported: { [`k${n}`]: n } } })),
      ),
    );
    const kept = await store.shadows.find('shared');
    expect(Object.keys(kept?.document?.state.reported ?? {})).toHaveLength(40);
    expect(kept?.version).toBe(40);
    // The first one remembers version 40 or less; the other deletes, and writes again.
    await replicas[1]?.delete('shared');
    await replicas[1]?.update('shared', json({ state: { reported: { only: 1 } } }));
    const answer = await replicas[0]?.update(
      'shared',
      json({ state: { reported: { more: 2 } }, version: 41 }),
    );
    expect(answer?.code).toBe(200);
    const after = await store.shadows.find('shared');
    expect(after?.document?.state.reported).toEqual({ only: 1, more: 2 });
  });

  it('one of two updates for the same version wins, the other conflicts', async () => {
    const shadows = new CloudShadows(store);
    await shadows.update('race', json({ state: { reported: { a: 0 } } }));
    const both = await Promise.all(
      [1, 2].map((a) => shadows.update('race', json({ state: { reported: { a } }, version: 1 }))),
    );
    expect(both.map(({ code }) => code)).toEqual([200, 409]);
  });

  it('nothing is published or answered before it is stored, nor where it could not be', async () => {
    const events: string[] = [];
    let isBroken = false;
    const slow: ShadowStore = {
      find: (thing) => store.shadows.find(thing),
      listNames: (thing, limit) => store.shadows.listNames(thing, limit),
      replace: async (thing, before, shadow) => {
        if (isBroken) throw new Error('disk full');
        const done = await store.shadows.replace(thing, before, shadow);
        events.push('stored');
        return done;
      },
    };
    const shadows = new CloudShadows({ shadows: slow });
    shadows.publishTo((topic) => events.push(topic.split('/shadow/')[1] ?? ''));
    shadows.onUpdated(() => events.push('listener'));
    await shadows.update('order', json({ state: { desired: { a: 1 } } }));
    expect(events).toEqual(['stored', 'update/accepted', 'update/delta', 'update/documents', 'listener']);
    events.length = 0;
    isBroken = true;
    await expect(shadows.update('order', json({ state: { desired: { a: 2 } } }))).rejects.toThrow(
      'disk full',
    );
    expect(events).toEqual([]);
    isBroken = false;
    expect((await shadows.update('order', json({ state: { desired: { a: 3 } } }))).accepted).toBe(true);
  });

  it('a refusal changes nothing, tells no listener and gives the token back', async () => {
    const shadows = new CloudShadows(store);
    const published: string[] = [];
    let updates = 0;
    shadows.publishTo((topic) => published.push(topic));
    shadows.onUpdated(() => {
      updates += 1;
    });
    const answer = await shadows.update('none', json({ state: 5, clientToken: 't' }));
    expect(answer).toMatchObject({ accepted: false, code: 400 });
    expect(bodyOf(answer)).toMatchObject({ code: 400, clientToken: 't', timestamp: expect.any(Number) });
    expect(published).toEqual(['$aws/things/none/shadow/update/rejected']);
    expect(updates).toBe(0);
    expect(await store.shadows.find('none')).toBeUndefined();
  });

  it('the version goes on counting after a deletion, and over a restart', async () => {
    const before = new CloudShadows(store);
    await before.update('counted', json({ state: { reported: { a: 1 } } }));
    await before.delete('counted');
    expect((await before.get('counted')).code).toBe(404);
    const after = new CloudShadows(store);
    expect(bodyOf(await after.update('counted', json({ state: { reported: { a: 1 } } })))).toMatchObject({
      version: 2,
    });
  });
});
