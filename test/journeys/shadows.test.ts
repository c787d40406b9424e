/** Shadows of a deployed group on real programs: core, cloud, and `gg shadow` between them; a kill -9 in the middle. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UpdateThingCommand } from '@aws-sdk/client-iot';
import {
  GetThingShadowCommand,
  IoTDataPlaneClient,
  UpdateThingShadowCommand,
} from '@aws-sdk/client-iot-data-plane';
import { deployGroup, waitForDeployment } from '../../greengrass/cli/index.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { runGg } from '../cli/gg.js';
import { describeAsRoot } from '../support/as-root.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

const CORE = 'test-core';

describeAsRoot('shadows of a deployed group', () => {
  let system: TestSystem;
  let data: IoTDataPlaneClient;
  const gg = (...args: string[]) => runGg({}, 'shadow', ...args, '--root', system.root);
  const update = (state: object) => gg('update', CORE, JSON.stringify({ state }));
  const updateCloud = (state: object) =>
    data.send(
      new UpdateThingShadowCommand({ thingName: CORE, payload: Buffer.from(JSON.stringify({ state })) }),
    );
  const cloudState = async () => {
    const { payload } = await data.send(new GetThingShadowCommand({ thingName: CORE }));
    return (JSON.parse(Buffer.from(payload ?? []).toString()) as { state: object }).state;
  };
  const inStep = () =>
    waitFor(async () => (await gg('diff', CORE)).code === 0, { timeoutMs: 20_000, intervalMs: 200 });
  const deploy = async () => {
    const { groupId, deploymentId } = await deployGroup(system.clients, system.groupId);
    const end = await waitForDeployment(system.clients, groupId, deploymentId, { timeoutMs: 60_000 });
    expect(end).toMatchObject({ status: 'Success' });
  };

  beforeAll(async () => {
    system = await startSystem();
    const { api, region, accessKeyId, secretAccessKey } = system.cloud.info;
    data = new IoTDataPlaneClient({ endpoint: api, region, credentials: { accessKeyId, secretAccessKey } });
    await greengrassd(system.root, 'start');
    await deploy();
  }, 120_000);
  afterAll(async () => {
    data.destroy();
    await system.close();
  });

  it('are kept in step with the cloud', async () => {
    await update({ reported: { on: true } });
    await updateCloud({ desired: { on: false } });
    await inStep();
    expect(await cloudState()).toMatchObject({ desired: { on: false }, reported: { on: true } });
    expect((await gg('list')).out).toMatch(/^test-core +in step$/m);
  });

  it('survive a kill -9 of the core, with what changed on both sides meanwhile', async () => {
    await update({ reported: { n: 1 } });
    const pid = Number(readFileSync(join(system.folder, 'run', 'greengrassd.pid'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    await updateCloud({ desired: { on: null, mode: 'eco' } });
    await greengrassd(system.root, 'start');
    await inStep();
    expect(await cloudState()).toMatchObject({ desired: { mode: 'eco' }, reported: { on: true, n: 1 } });
    expect(JSON.stringify(await cloudState())).not.toContain('"on":false');
  });

  it('go one way where an attribute of the thing says so', async () => {
    const attributes = { 'greengrass:shadowDirection': 'toCloud' };
    await system.clients.iot.send(
      new UpdateThingCommand({ thingName: CORE, attributePayload: { attributes } }),
    );
    await deploy();
    await updateCloud({ desired: { only: 'cloud' } });
    await update({ reported: { n: 2 } });
    await waitFor(async () => JSON.stringify(await cloudState()).includes('"n":2'));
    const local = (await gg('get', CORE)).out;
    expect(local).toContain('"n": 2');
    expect(local).not.toContain('only');
    expect((await gg('list')).out).toMatch(/^test-core +in step, toCloud$/m);
  });
});
