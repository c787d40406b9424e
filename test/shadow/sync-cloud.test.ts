/** The sync over the core's real MQTT connection, against the cloud's real broker and shadow service. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlServer } from '../../greengrass/core/control/control-server.js';
import { IotConnection } from '../../greengrass/core/iot-client/connection.js';
import { shadowRoutes } from '../../greengrass/core/shadow/shadow-routes.js';
import { ShadowService } from '../../greengrass/core/shadow/shadow-service.js';
import { ShadowSync } from '../../greengrass/core/shadow/sync/shadow-sync.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { controlSocketPath } from '../../greengrass/model/control-socket.js';
import { runGg } from '../cli/gg.js';
import { ALLOW_ALL, type CloudParts, type Identity, startCloudParts } from '../support/cloud-parts.js';
import { waitFor } from '../support/wait-for.js';

let folder: string;
let cloud: CloudParts;
let core: Identity;
let shadows: ShadowService;
let connection: IotConnection;
let sync: ShadowSync;

const THINGS = ['core', 'lamp'].map((thingName) => ({
  thingName,
  direction: 'both' as const,
  shadowNames: [],
}));

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-sync-cloud-'));
  cloud = await startCloudParts();
  core = await cloud.identity('core', ALLOW_ALL);
  shadows = new ShadowService({ path: join(folder, 'shadow.db'), logger: silentLogger(), emit: () => {} });
  await shadows.start();
  connection = connect();
  sync = new ShadowSync({ local: shadows, link: connection, logger: silentLogger(), timeoutMs: 2000 });
  await sync.start();
  sync.setThings(THINGS);
});
afterAll(async () => {
  await connection.stop();
  await sync.stop();
  await shadows.stop();
  await cloud.close();
  rmSync(folder, { recursive: true, force: true });
});

function connect(): IotConnection {
  return new IotConnection({
    host: '127.0.0.1',
    port: cloud.broker.port,
    clientId: 'core',
    caPem: cloud.caPem,
    certPem: core.certificatePem,
    keyPem: core.privateKeyPem,
    keepAliveS: 30,
    maxRetryIntervalS: 1,
    operationTimeoutS: 5,
    logger: silentLogger(),
  });
}

const local = (key: string, state: object) =>
  shadows.request(key, 'update', Buffer.from(JSON.stringify({ state })));
const remote = (key: string, state: object) =>
  cloud.shadows.update(key, Buffer.from(JSON.stringify({ state })));
const states = async (key: string) => {
  const answers = [
    (await shadows.request(key, 'get')).toString(),
    (await cloud.shadows.get(key)).body.toString(),
  ];
  return answers.map((text) => {
    const { state } = JSON.parse(text) as { state?: Record<string, unknown> };
    if (state) delete state.delta;
    return state;
  });
};
const bothAre = (key: string, state: object | undefined) =>
  waitFor(
    async () => {
      expect(await states(key)).toEqual([state, state]);
      return true;
    },
    { what: `${key} to be ${JSON.stringify(state)} on both sides` },
  );

describe('over the real connection', () => {
  it('what changed before the first connection merges', async () => {
    await local('lamp', { reported: { on: true, level: 1 } });
    await local('lamp/config', { reported: { a: 1 } });
    await remote('lamp', { desired: { on: false }, reported: { level: 2, colour: 'red' } });
    await remote('core', { desired: { mode: 'eco' } });
    await connection.start();
    await bothAre('lamp', { desired: { on: false }, reported: { on: true, level: 1, colour: 'red' } });
    await bothAre('lamp/config', { reported: { a: 1 } });
    await bothAre('core', { desired: { mode: 'eco' } });
  });

  it('changes go both ways', async () => {
    await remote('lamp', { desired: { on: true } });
    await local('lamp', { reported: { level: 3 } });
    await bothAre('lamp', { desired: { on: true }, reported: { on: true, level: 3, colour: 'red' } });
    await remote('lamp/schedule', { desired: { at: '12:00' } });
    await bothAre('lamp/schedule', { desired: { at: '12:00' } });
  });

  it('changes and deletions of a time apart merge when the link is back', async () => {
    await connection.stop();
    await local('lamp', { reported: { colour: null, level: 4 } });
    await remote('lamp', { desired: { on: false } });
    await cloud.shadows.delete('core');
    await shadows.request('lamp/config', 'delete');
    await connection.start();
    await bothAre('lamp', { desired: { on: false }, reported: { on: true, level: 4 } });
    await bothAre('core', undefined);
    await bothAre('lamp/config', undefined);
  });

  it('a burst reaches the cloud as few updates', async () => {
    const versionOf = async () =>
      JSON.parse((await cloud.shadows.get('lamp')).body.toString()).version as number;
    const before = await versionOf();
    await Promise.all(Array.from({ length: 200 }, (_, n) => local('lamp', { reported: { n } })));
    await bothAre('lamp', { desired: { on: false }, reported: { on: true, level: 4, n: 199 } });
    expect((await versionOf()) - before).toBeLessThanOrEqual(5);
  });

  it('comes to rest', async () => {
    await waitFor(() => [...sync.status().values()].every(({ inStep }) => inStep), {
      what: 'all shadows in step',
    });
    expect(sync.health()).toEqual({ healthy: true });
  });
});

describe('gg shadow', () => {
  let control: ControlServer;
  const gg = (...args: string[]) => runGg({}, 'shadow', ...args, '--root', folder);

  beforeAll(async () => {
    mkdirSync(join(folder, 'config'));
    const { thingArn } = core;
    const coreThing = { caPath: 'a', certPath: 'b', keyPath: 'c', thingArn, iotHost: 'x', ggHost: 'y' };
    const config = { coreThing, runtime: { cgroup: { useSystemd: 'yes' } } };
    writeFileSync(join(folder, 'config', 'config.json'), JSON.stringify(config));
    control = new ControlServer({
      path: controlSocketPath(join(folder, 'ggc')),
      routes: shadowRoutes(shadows, sync),
      logger: silentLogger(),
    });
    await control.start();
  });
  afterAll(() => control.stop());

  it('updates, gets and deletes local shadows, named ones too', async () => {
    const updated = await gg('update', 'fan', '{"state":{"reported":{"speed":3}}}', '--name', 'motor');
    expect(JSON.parse(updated.out)).toMatchObject({ version: 1, state: { reported: { speed: 3 } } });
    expect(JSON.parse((await gg('get', 'fan', '--name', 'motor')).out)).toMatchObject({ version: 1 });
    expect(JSON.parse((await gg('delete', 'fan', '--name', 'motor')).out)).toMatchObject({ version: 1 });
    expect(await gg('get', 'fan', '--name', 'motor')).toMatchObject({
      code: 1,
      err: expect.stringContaining("No shadow exists with name: 'fan~motor'"),
    });
  });

  it('says what is wrong with a document', async () => {
    expect((await gg('update', 'fan', '{"stat":1}')).err).toContain('Missing required node: state');
    expect((await gg('update', 'fan', '{')).err).toContain('not valid JSON');
    expect((await gg('update', 'f/n', '{"state":{}}')).err).toContain('is no name of a thing');
  });

  it('shows what differs from the cloud, and ends with 1', async () => {
    await local('pump', { reported: { on: true, deep: { x: 1 } } });
    await remote('pump', { reported: { on: true, deep: { x: 2 } }, desired: { y: [1] } });
    const { code, out } = await gg('diff', 'pump');
    expect(out.split('\n')).toEqual([
      'local version 1, cloud version 1',
      'desired.y  local -  cloud [1]',
      'reported.deep.x  local 1  cloud 2',
      '',
    ]);
    expect(code).toBe(1);
    const same = await gg('diff', 'lamp');
    expect(same).toMatchObject({ code: 0, out: expect.stringMatching(/: equal\n$/) });
    expect(await gg('diff', 'nobody')).toMatchObject({
      code: 0,
      out: 'local version not there, cloud version not there: equal\n',
    });
  });

  it('lists shadows and how their sync stands', async () => {
    const { out } = await gg('list');
    expect(out).toMatch(/^lamp schedule +in step$/m);
    expect(out).toMatch(/^pump +local only$/m);
    expect(out).toMatch(/^core +not here, in step$/m);
  });

  it('says that the link is away', async () => {
    await connection.stop();
    expect(await gg('diff', 'lamp')).toMatchObject({
      code: 1,
      err: expect.stringContaining('not connected'),
    });
  });
});
