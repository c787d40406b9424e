/** What a deployment does to a running core, and what it does not when it fails. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ResetDeploymentsCommand } from '@aws-sdk/client-greengrass';
import { CreateFunctionCommand } from '@aws-sdk/client-lambda';
import { packLambda, waitForDeployment } from '../../greengrass/cli/index.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

/** Answers on `answer` with its process id in the container and the number of its call; `crash` ends it. */
const ECHO = `
import json, os, greengrasssdk
client = greengrasssdk.client('iot-data')
BORN = open('/proc/sys/kernel/random/uuid').read().strip()
calls = 0
def handler(event, context):
    global calls
    calls += 1
    if event.get('crash'):
        os._exit(7)
    client.publish(topic='answer', payload=json.dumps({'born': BORN, 'calls': calls, 'event': event}))
`;

const PINNED = { Pinned: true, MemorySize: 65536, Timeout: 10 };

interface Answer {
  readonly born: string;
  readonly calls: number;
}

describeAsRoot('a core with a deployed group', () => {
  let system: TestSystem;
  let sensorArn: string;
  let echoArn: string;
  let goodVersion: string;

  const ask = async (token: string): Promise<Answer> => {
    const device = await system.device('sensor');
    await device.subscribe('answer');
    await device.publish('ask', JSON.stringify({ token }));
    const payload = await device.message('answer', (bytes) => bytes.includes(token), 20_000);
    await device.close();
    return JSON.parse(payload.toString('utf8')) as Answer;
  };

  beforeAll(async () => {
    system = await startSystem(['sensor']);
    const { region, accountId } = system.cloud.info;
    sensorArn = `arn:aws:iot:${region}:${accountId}:thing/sensor`;
    await greengrassd(system.root, 'start');
    echoArn = await publishFunction(system, {
      name: 'echo',
      handler: 'main.handler',
      files: { 'main.py': ECHO },
    });
    goodVersion = await defineGroup(system, {
      functions: [{ arn: echoArn, configuration: PINNED }],
      subscriptions: [
        [sensorArn, 'ask', echoArn],
        [echoArn, 'answer', sensorArn],
      ],
    });
    expect(await deploy(system, goodVersion)).toMatchObject({ DeploymentStatus: 'Success' });
  }, 120_000);

  afterAll(() => system.close(), 60_000);

  it('keeps the process of a function that did not change', async () => {
    const { born } = await ask('before');
    const version = await defineGroup(system, {
      functions: [{ arn: echoArn, configuration: PINNED }],
      subscriptions: [
        [sensorArn, 'ask', echoArn],
        [echoArn, 'answer', sensorArn],
        [sensorArn, 'another', echoArn],
      ],
    });
    expect(await deploy(system, version)).toMatchObject({ DeploymentStatus: 'Success' });
    expect((await ask('after')).born).toBe(born);
  });

  it('goes on with the old group where a new pinned function does not stay up, and says why', async () => {
    const { born } = await ask('still');
    const broken = await publishFunction(system, {
      name: 'broken',
      handler: 'main.handler',
      files: { 'main.py': 'raise RuntimeError("no luck")\n' },
    });
    const version = await defineGroup(system, {
      functions: [{ arn: broken, configuration: PINNED }],
      subscriptions: [],
    });
    const outcome = await deploy(system, version);
    expect(outcome.DeploymentStatus).toBe('Failure');
    expect(outcome.ErrorMessage).toMatch(/^Deployment .* of type NewDeployment for group .* failed error: /);
    expect(outcome.ErrorDetails?.[0]).toMatchObject({ DetailedErrorCode: 'WorkerUnhealthy' });
    expect((await ask('same')).born).toBe(born);
    const { region, accountId } = system.cloud.info;
    expect(system.log(`user/${region}/${accountId}/broken.log`)).toMatch(
      /\[FATAL\]-Failed to import handler function "main.handler" due to exception: no luck/,
    );
  });

  it('refuses a group that fails its checks, in the words of V1', async () => {
    const version = await defineGroup(system, {
      functions: [{ arn: echoArn, configuration: PINNED }],
      subscriptions: [],
      defaults: { Execution: { RunAs: { Uid: 0, Gid: 0 } } },
    });
    const outcome = await deploy(system, version);
    expect(outcome.ErrorMessage).toContain(
      `lambda(s) [${echoArn}] are configured to run as root while Greengrass is not configured to run lambdas with root permissions`,
    );
    await ask('after refused root');
  });

  it('refuses code whose digest is not the one that was deployed', async () => {
    const arn = await publishFunction(system, {
      name: 'tampered',
      handler: 'main.handler',
      files: { 'main.py': `${ECHO}\n# a version of its own` },
    });
    const zip = await packLambda(join(system.folder, 'functions', 'tampered'), 'python');
    const artifact = findFile(join(system.folder, 'cloud'), (bytes) => bytes.equals(zip));
    const changed = Buffer.from(zip);
    changed[40] = (changed[40] as number) ^ 0xff;
    writeFileSync(artifact, changed);
    const version = await defineGroup(system, {
      functions: [{ arn, configuration: PINNED }],
      subscriptions: [],
    });
    const outcome = await deploy(system, version);
    expect(outcome.ErrorDetails?.[0]).toMatchObject({ DetailedErrorCode: 'ArtifactDigestMismatch' });
    expect(outcome.ErrorMessage).toContain(arn);
    await ask('after tampered');
  });

  it('refuses a zip that climbs out of its folder when it is uploaded', async () => {
    const harmless = await packLambda(join(system.folder, 'functions', 'echo'), 'none');
    const evil = Buffer.from(harmless.toString('latin1').replaceAll('main.py', '../m.py'), 'latin1');
    const upload = new CreateFunctionCommand({
      FunctionName: 'evil',
      Runtime: 'python3.11',
      Handler: 'main.handler',
      Role: 'arn:aws:iam::000000000000:role/none',
      Code: { ZipFile: evil },
    });
    await expect(system.clients.lambda.send(upload)).rejects.toThrow(/invalid relative path: \.\.\/m\.py/);
  });

  it('restarts a pinned function that crashes, and fails nobody else', async () => {
    const { born } = await ask('before crash');
    const device = await system.device('sensor');
    await device.publish('ask', JSON.stringify({ crash: true }));
    await device.close();
    const answer = await ask('after crash');
    expect(answer.born).not.toBe(born);
    expect(system.log('system/runtime.log')).toMatch(/\[ERROR\]-Worker exited unexpectedly\. .*"code":7/);
  });

  it('resets: functions stop, the group is empty, and a deployment brings it back', async () => {
    const { greengrass } = system.clients;
    const { DeploymentId = '' } = await greengrass.send(
      new ResetDeploymentsCommand({ GroupId: system.groupId }),
    );
    const end = await waitForDeployment(system.clients, system.groupId, DeploymentId, { timeoutMs: 30_000 });
    expect(end).toEqual({ status: 'Success' });
    const state = join(system.root, 'ggc');
    expect(readFileSync(join(state, 'deployment/group/group.json'), 'utf8')).toBe('{}');
    expect(readdirSync(join(state, 'deployment/lambda'))).toEqual([]);
    expect(existsSync(join(state, 'var/state/server'))).toBe(false);
    expect(existsSync(join(system.root, 'config/config.json'))).toBe(true);
    expect(await deploy(system, goodVersion)).toMatchObject({ DeploymentStatus: 'Success' });
    await ask('after reset');
  });

  it('killed with -9 comes back with the same group, without the cloud, and cleans up', async () => {
    const device = await system.device('sensor');
    const discovered = device.client.options;
    await device.close();
    const pid = Number(readFileSync(join(system.folder, 'run', 'greengrassd.pid'), 'utf8'));
    const { born } = await ask('before kill');
    process.kill(pid, 'SIGKILL');
    await waitFor(() => !readdirSync('/proc').includes(String(pid)));
    await system.cloud.stop();
    await greengrassd(system.root, 'start');
    expect(system.log('system/runtime.log')).toMatch(/Workers that an earlier daemon left were removed/);
    const { connectAsync } = await import('mqtt');
    const client = await connectAsync({ ...discovered, reconnectPeriod: 0 });
    const answered = new Promise<Buffer>((resolve) =>
      client.on('message', (_topic, payload) => resolve(payload)),
    );
    await client.subscribeAsync('answer');
    await client.publishAsync('ask', JSON.stringify({ token: 'offline' }), { qos: 1 });
    const answer = JSON.parse((await answered).toString('utf8')) as Answer;
    expect(answer.born).not.toBe(born);
    await client.endAsync(true);
    expect(await greengrassd(system.root, 'stop')).toMatch(/Stopped greengrass daemon, exiting with success/);
  });
});

function findFile(folder: string, matches: (bytes: Buffer) => boolean): string {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .find((path) => matches(readFileSync(path)));
  if (!found) throw new Error('no such file');
  return found;
}
