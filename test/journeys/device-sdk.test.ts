/** AWS's own device SDK against the cloud's discovery and the core's MQTT server. */
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';

/** The SDK can be told another host, but not another port. */
const PORT = 443;
const isFree = await new Promise<boolean>((resolve) => {
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(PORT, '127.0.0.1', () => server.close(() => resolve(true)));
});
const describeOn443: typeof describeAsRoot = isFree ? describeAsRoot : describe.skip;

describeOn443(`a device on aws-iot-device-sdk-v2 (port ${PORT})`, () => {
  let system: TestSystem;
  beforeAll(async () => {
    system = await startSystem(['sdk', 'friend'], ['--alpn-port', String(PORT)]);
    await greengrassd(system.root, 'start');
    const thing = (name: string) => `arn:aws:iot:us-east-1:${system.cloud.info.accountId}:thing/${name}`;
    const version = await defineGroup(system, {
      functions: [],
      subscriptions: [
        [thing('sdk'), 'sdk/there', thing('friend')],
        [thing('friend'), 'sdk/back', thing('sdk')],
      ],
    });
    expect(await deploy(system, version)).toMatchObject({ DeploymentStatus: 'Success' });
  });
  afterAll(() => system?.close());

  it('finds its core and talks through it', async () => {
    const friend = await system.device('friend');
    await friend.subscribe('sdk/there');
    const echoed = friend.message('sdk/there').then((payload) => friend.publish('sdk/back', payload));
    const program = fileURLToPath(new URL('./sdk-device.js', import.meta.url));
    const { code, stdout, stderr } = await run(
      process.execPath,
      [program, join(system.folder, 'sdk'), 'sdk', 'localhost'],
      { timeoutMs: 30_000 },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    await echoed;
    expect(JSON.parse(stdout)).toEqual({
      core: `arn:aws:iot:us-east-1:${system.cloud.info.accountId}:thing/test-core`,
      group: system.groupId,
      answer: '{"from":"sdk"}',
    });
  });
});
