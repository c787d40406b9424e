/** The local shadow service on a real database file. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Message } from '../../greengrass/core/router/message.js';
import { ShadowEndpoint } from '../../greengrass/core/shadow/shadow-endpoint.js';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { ShadowStore, shadowStorePath } from '../../greengrass/core/shadow/shadow-store.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';

let root: string;
let path: string;
let service: ShadowService;
let emitted: Message[];
let lines: string[];

async function open(): Promise<void> {
  service = new ShadowService({
    path,
    emit: (message) => emitted.push(message),
    logger: createLogger({ level: 'debug', stream: { write: (line: string) => lines.push(line) } }),
  });
  await service.start();
}

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-shadow-'));
  path = shadowStorePath(root);
  [emitted, lines] = [[], []];
  await open();
});
afterEach(async () => {
  await service.stop();
  rmSync(root, { recursive: true, force: true });
});

async function update(thing: string, state: object) {
  return JSON.parse(
    (await service.request(thing, 'update', Buffer.from(JSON.stringify({ state })))).toString(),
  );
}

async function get(thing: string) {
  return JSON.parse((await service.request(thing, 'get')).toString());
}

const topics = () => emitted.map(({ topic }) => topic);

describe('the shadow service', () => {
  it('answers the caller and publishes the same as GGShadowService', async () => {
    const answer = await update('lamp', { desired: { on: true } });
    expect(answer).toMatchObject({ version: 1, state: { desired: { on: true } } });
    expect(emitted.every(({ source, qos }) => source === 'GGShadowService' && qos === 0)).toBe(true);
    expect(topics()).toEqual([
      '$aws/things/lamp/shadow/update/accepted',
      '$aws/things/lamp/shadow/update/delta',
      '$aws/things/lamp/shadow/update/documents',
    ]);
    expect(JSON.parse(String(emitted[0]?.payload))).toEqual(answer);
    emitted.length = 0;
    await get('lamp');
    await get('fan');
    expect(topics()).toEqual(['$aws/things/lamp/shadow/get/accepted', '$aws/things/fan/shadow/get/rejected']);
  });

  it('keeps shadows and versions across restarts, also of deleted ones', async () => {
    await update('lamp', { desired: { on: true } });
    await update('lamp', { reported: { on: false } });
    await update('fan', { desired: { speed: 3 } });
    await service.request('fan', 'delete');
    await service.stop();
    await open();
    expect(await get('lamp')).toMatchObject({
      version: 2,
      state: { desired: { on: true }, reported: { on: false }, delta: { on: true } },
    });
    expect(await get('fan')).toMatchObject({ code: 404 });
    expect((await update('fan', { desired: { speed: 1 } })).version).toBe(2);
  });

  it('has an update on disk before anybody is told', async () => {
    let onDisk: unknown;
    await service.stop();
    service = new ShadowService({
      path,
      logger: createLogger({ level: 'silent' }),
      emit: ({ topic }) => {
        if (!topic.endsWith('/update/accepted')) return;
        const other = new ShadowStore(path);
        onDisk = other.find('lamp')?.document?.state;
        other.close();
      },
    });
    await service.start();
    await update('lamp', { desired: { on: true } });
    expect(onDisk).toEqual({ desired: { on: true } });
  });

  it('refuses with 500 where the store is not open, and works again afterwards', async () => {
    await update('lamp', { desired: { a: 1 } });
    emitted.length = 0;
    await service.stop();
    expect(service.health().healthy).toBe(false);
    expect(await update('lamp', { desired: { a: 2 } })).toMatchObject({
      code: 500,
      message: 'The local shadow service is not running',
    });
    expect(topics()).toEqual(['$aws/things/lamp/shadow/update/rejected']);
    await service.stop();
    await service.start();
    await service.start();
    expect(service.health()).toEqual({ healthy: true });
    expect((await get('lamp')).state.desired).toEqual({ a: 1 });
  });

  it('refuses more shadows than it may keep; those that are there go on', async () => {
    await service.stop();
    const store = new ShadowStore(path);
    store.transaction(() => {
      for (let n = 0; n < 10_000; n++) store.put(`t${n}`, { version: 1 });
    });
    store.close();
    await service.start();
    expect(await update('one-more', { desired: { a: 1 } })).toMatchObject({ code: 429 });
    expect(await update('t7', { desired: { a: 1 } })).toMatchObject({ version: 2 });
    expect((await get('one-more')).code).toBe(404);
  });

  it('says what to do where its file is broken', async () => {
    await service.stop();
    rmSync(root, { recursive: true });
    mkdirSync(join(root, 'var', 'state'), { recursive: true });
    writeFileSync(path, 'this is no database, but a text of some length '.repeat(50));
    await expect(service.start()).rejects.toThrow(/shadow\.db: .*restore it from a backup, or move it away/);
    expect(readFileSync(path, 'utf8')).toMatch(/^this is no database/);
  });

  it('never logs a state', async () => {
    await update('lamp', { desired: { pin: 'hush' } });
    await update('lamp', { wrong: { pin: 'hush' } });
    expect(lines.join()).not.toContain('hush');
  });
});

describe('the endpoint of the shadow service', () => {
  const deliver = (topic: string, text: string) =>
    new ShadowEndpoint(service).deliver({ source: 'arn:lamp', topic, payload: Buffer.from(text), qos: 0 });

  it('turns requests into operations, after the call of the sender', async () => {
    expect(deliver('$aws/things/lamp/shadow/update', '{"state":{"desired":{"on":true}}}')).toBe(true);
    expect(emitted).toEqual([]);
    await waitFor(() => emitted.length === 3);
    expect((await get('lamp')).state.desired).toEqual({ on: true });
  });

  it.each([
    'a/b',
    '$aws/things/lamp/shadow',
    '$aws/things/lamp/shadow/update/accepted',
    '$aws/things/lamp/shadow/update/delta',
    '$aws/things/la mp/shadow/update',
    '$aws/things//shadow/update',
    '$aws/things/lamp/shadow/name/x y/update',
  ])('refuses %s', async (topic) => {
    expect(deliver(topic, '{"state":{}}')).toBe(false);
    await new Promise((resolve) => setImmediate(resolve));
    expect(emitted).toEqual([]);
  });
});
