/** A core that AWS left behind moves to a greengrass-cloud, with gg, and back. */
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListGroupsCommand } from '@aws-sdk/client-greengrass';
import { createClients } from '../../greengrass/cli/index.js';
import { Device, discover } from '../../greengrass/dev/device.js';
import { greengrassd, type RunningCloud, startCloud } from '../../greengrass/dev/programs.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { runGg } from '../cli/gg.js';
import { describeAsRoot } from '../support/as-root.js';
import { waitFor } from '../support/wait-for.js';
import { ACCOUNT, makeV1Root, REGION, type V1Root } from './v1-root.js';

/** Every file below the folder, with what is in it; logs and pid files aside. */
function contentOf(folder: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(folder, name);
    if (lstatSync(path).isFile()) files[name] = readFileSync(path, 'base64');
  }
  return files;
}

describeAsRoot('a V1 core', () => {
  let folder: string;
  let cloud: RunningCloud;
  let v1: V1Root;
  let before: Record<string, string>;
  const gg = (...args: string[]) => runGg({ HOME: folder }, ...args);
  const adopt = (...more: string[]) =>
    gg('adopt', '--root', v1.root, '--ready-file', cloud.readyFile, '--group-name', 'line', ...more);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-adopt-'));
    chmodSync(folder, 0o755);
    v1 = await makeV1Root(folder, (code) =>
      cpSync(join(PACKAGE_ROOT, 'greengrass/sdk/python'), code, { recursive: true }),
    );
    before = contentOf(v1.root);
    cloud = await startCloud(join(folder, 'cloud'), {}, ['--account-id', ACCOUNT, '--region', REGION]);
  });
  afterAll(async () => {
    await greengrassd(v1.root, 'stop').catch(() => undefined);
    await cloud?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const device = async (): Promise<Device> => {
    const credentials = {
      thingName: 'line-sensor',
      certPem: v1.device.certificatePem,
      keyPem: v1.device.privateKeyPem,
      caPem: readFileSync(cloud.info.caFile, 'utf8'),
    };
    const { host, port } = cloud.info.https;
    return Device.connectToCore(credentials, await discover(credentials, host, port));
  };

  it('is looked at by a dry run, which changes nothing and says what has to change', async () => {
    const { code, out } = await adopt();
    expect(code).toBe(0);
    expect(out).toMatch(
      /^Dry run: nothing was changed\. With --apply, group line is made in region us-west-2/,
    );
    expect(out).toContain(`function ${v1.echoArn}`);
    expect(out).toContain('NOT adopted: resource model of type S3_OBJECT');
    expect(out).toMatch(/coreThing\.iotHost: a1b2c3d4e5f6g7-ats\.iot\.us-west-2\.amazonaws\.com → /);
    expect(out).toMatch(/To change on each device.*\n {2}endpoint of discovery: /);
    expect(contentOf(v1.root)).toEqual(before);
    const clients = createClients({ endpoint: cloud.info.api, ...cloud.info });
    expect((await clients.greengrass.send(new ListGroupsCommand({}))).Groups).toEqual([]);
    clients.destroy();
  });

  it('is adopted: same names and ARNs, same certificates, the group runs and devices come back', async () => {
    const { code, out, err } = await adopt('--apply');
    expect([code, err]).toEqual([0, '']);
    const deploymentId = /deployment (\S+) waits for the core/.exec(out)?.[1] ?? '';
    await greengrassd(v1.root, 'start');
    await waitFor(
      async () =>
        (await gg('deployment', 'explain', deploymentId, '--ready-file', cloud.readyFile)).out.includes(
          'Success',
        ),
      { timeoutMs: 60_000 },
    );
    const sensor = await waitFor(device, { timeoutMs: 20_000 });
    await sensor.subscribe('line/answer');
    await sensor.publish('line/ask', JSON.stringify({ hello: 'line' }));
    const answer = await sensor.message('line/answer');
    expect(JSON.parse(answer.toString('utf8'))).toEqual({ rate: '5', event: { hello: 'line' } });
    await sensor.close();
    const group = JSON.parse(readFileSync(join(v1.root, 'ggc/deployment/group/group.json'), 'utf8')) as {
      GroupDefinitions: { Lambdas: { Content: Array<{ FunctionArn: string }> } };
    };
    const arns = group.GroupDefinitions.Lambdas.Content.map(({ FunctionArn }) => FunctionArn);
    expect(arns).toContain(v1.echoArn);
  }, 120_000);

  it('is not adopted twice, nor put back while it runs', async () => {
    expect(await adopt('--apply')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/greengrassd runs \(PID \d+/),
    });
    expect(await gg('unadopt', '--root', v1.root)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/stop it first/),
    });
  });

  it('is put back as it was', async () => {
    await greengrassd(v1.root, 'stop');
    expect(await gg('unadopt', '--root', v1.root)).toMatchObject({ code: 0 });
    const after = contentOf(v1.root);
    // What a core writes while it runs stays: logs, state, telemetry.
    const compared = Object.keys(after).filter((name) => !/^ggc\/(var|packages|telemetry)\//.test(name));
    expect(compared.sort()).toEqual(Object.keys(before).sort());
    for (const name of compared) expect([name, after[name]]).toEqual([name, before[name]]);
    expect(await gg('unadopt', '--root', v1.root)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/there is no backup/),
    });
  });

  it('of another account than the cloud is refused, with how to start the cloud, and nothing on it changes', async () => {
    const other = await startCloud(join(folder, 'other'), {}, ['--region', REGION]);
    try {
      const { code, err } = await gg('adopt', '--root', v1.root, '--ready-file', other.readyFile, '--apply');
      expect(code).toBe(1);
      expect(err).toMatch(/--region us-west-2 --account-id 123456789012/);
      expect(readFileSync(join(v1.root, 'config/config.json'), 'base64')).toBe(before['config/config.json']);
    } finally {
      await other.stop();
    }
  });

  it('whose disk lacks something is told what and where', async () => {
    const file = join(v1.root, 'ggc/deployment/group/group.json');
    const text = readFileSync(file);
    rmSync(file);
    expect((await adopt()).err).toMatch(/group\.json can't be read \(ENOENT\): was a group ever deployed/);
    writeFileSync(file, text);
  });
});
