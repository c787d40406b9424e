/** Software updates over the air, with real packages and processes: from the operator's command to the core's return. */
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CancelJobCommand, DescribeJobCommand, ListJobExecutionsForThingCommand } from '@aws-sdk/client-iot';
import { hasten, inDaemon, OtaLab } from '../ota/ota-lab.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy } from '../support/group.js';
import { waitFor } from '../support/wait-for.js';

const THINGS = ['switch', 'lamp'] as const;

describeAsRoot('a core that was installed from a package', () => {
  let lab: OtaLab;
  beforeAll(async () => {
    lab = await OtaLab.open(THINGS);
    expect(await lab.greengrassd('start')).toMatchObject({ code: 0 });
    const thing = (name: string) => `arn:aws:iot:us-east-1:${lab.system.cloud.info.accountId}:thing/${name}`;
    const version = await defineGroup(lab.system, {
      functions: [],
      subscriptions: [[thing('switch'), 'light', thing('lamp')]],
    });
    expect(await deploy(lab.system, version)).toMatchObject({ DeploymentStatus: 'Success' });
    await lab.startAgent();
  }, 120_000);
  afterAll(() => lab?.close(), 60_000);

  /** The group is still there: what a device says reaches another by its subscription. */
  async function expectGroupWorks(): Promise<void> {
    const [from, to] = [await lab.system.device('switch'), await lab.system.device('lamp')];
    await to.subscribe('light');
    const heard = to.message('light');
    await from.publish('light', '"on"');
    expect(String(await heard)).toBe('"on"');
    await from.close();
    await to.close();
  }

  it('takes the next version over the air, and comes back with its group', async () => {
    const version = await lab.publish();
    const jobId = await lab.update();
    expect(await lab.end(jobId)).toMatchObject({
      ...{ status: 'SUCCEEDED', versionNumber: expect.any(Number) },
      statusDetails: { detailsMap: { step: 'done', from: '1.0.0', runs: version } },
    });
    expect([lab.installed, lab.running]).toEqual([version, version]);
    await waitFor(() => lab.agentVersion === version);
    expect(await lab.greengrassd('status')).toMatchObject({ code: 0 });
    await expectGroupWorks();
    expect(readdirSync(join(lab.root, 'ggc/packages')).sort()).toEqual(['1.0.0', version]);
    const { job } = await lab.iot.send(new DescribeJobCommand({ jobId }));
    expect(job).toMatchObject({ status: 'COMPLETED', jobProcessDetails: { numberOfSucceededThings: 1 } });
    const { executionSummaries } = await lab.iot.send(
      new ListJobExecutionsForThingCommand({ thingName: 'test-core', status: 'SUCCEEDED' }),
    );
    expect(executionSummaries?.map((one) => one.jobId)).toEqual([jobId]);
    expect(lab.agentLog).toContain('Core software was updated.');
    expect(existsSync(join(lab.root, 'ota/incoming'))).toBe(false);
  });

  it.each<[string, (home: string) => void, RegExp]>([
    [
      'that does not start',
      (home) => rmSync(join(home, 'dist/greengrass/core/daemon.js')),
      /^version 1\.0\.\d+ did not start: Greengrass daemon failed to start: .* died/,
    ],
    [
      'that hangs in its start',
      (home) => {
        inDaemon(home, 'before', 'for (;;);');
        hasten(home, { '70_000': 2_000 });
      },
      /^version 1\.0\.\d+ did not start: .*The daemon did not start within/s,
    ],
    [
      'whose command is broken',
      (home) => writeFileSync(join(home, 'greengrassd'), '#!/bin/false\n'),
      /^version 1\.0\.\d+ did not start: /,
    ],
    [
      'that crashes after its start',
      (home) => inDaemon(home, 'after', 'setTimeout(() => { throw new Error("broken"); }, 300);'),
      /^version 1\.0\.\d+ did not stay: the daemon ended after its start/,
    ],
    [
      'that hangs after its start',
      (home) => inDaemon(home, 'after', 'setTimeout(() => { for (;;); }, 300);'),
      /^version 1\.0\.\d+ did not stay: the daemon runs, but does not answer/,
    ],
    [
      'with an OTA agent that could bring no further update',
      (home) => rmSync(join(home, 'dist/greengrass/core/ota/jobs-client.js')),
      /^version 1\.0\.\d+ did not stay: its OTA agent can't run: .*jobs-client/s,
    ],
  ])(
    'falls back by itself from a version %s',
    async (_what, edit, reason) => {
      const before = lab.installed;
      await lab.publish(edit);
      const { status, statusDetails } = await lab.end(await lab.update());
      expect(status).toBe('FAILED');
      expect(statusDetails?.detailsMap).toMatchObject({
        runs: before,
        reason: expect.stringMatching(reason),
      });
      expect([lab.installed, lab.running, lab.agentVersion]).toEqual([before, before, before]);
      expect(await lab.greengrassd('status')).toMatchObject({ code: 0 });
      await expectGroupWorks();
    },
    90_000,
  );

  it('refuses a package that somebody else has signed', async () => {
    const before = [lab.installed, (await lab.greengrassd('status')).stdout];
    const foreign = join(lab.system.folder, 'foreign.key');
    const { privateKey } = generateKeyPairSync('ed25519');
    writeFileSync(foreign, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    await lab.publish(undefined, foreign);
    const { status, statusDetails } = await lab.end(await lab.update());
    expect(status).toBe('FAILED');
    expect(statusDetails?.detailsMap?.reason).toMatch(/is not signed with a key that this core trusts/);
    expect([lab.installed, (await lab.greengrassd('status')).stdout]).toEqual(before);
  });

  it("runs the operator's scripts around it with managedRespawn, in their order", async () => {
    const config = join(lab.root, 'config/config.json');
    const text = readFileSync(config, 'utf8');
    const calls = join(lab.system.folder, 'calls');
    const scripts = join(lab.root, 'usr/scripts');
    mkdirSync(scripts, { recursive: true });
    const script = (name: string, body: string) => {
      writeFileSync(join(scripts, name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(scripts, name), 0o700);
    };
    const note = `readlink ${lab.root}/ggc/core >> ${calls}`;
    try {
      writeFileSync(config, JSON.stringify({ ...JSON.parse(text), managedRespawn: true }));
      const before = lab.installed;
      const version = await lab.publish();
      expect((await lab.end(await lab.update())).statusDetails?.detailsMap?.reason).toMatch(
        /ggc_pre_update\.sh is not there, but managedRespawn/,
      );
      script('ggc_pre_update.sh', `echo pre >> ${calls}; ${note}`);
      script('ggc_post_update.sh', `echo post >> ${calls}; ${note}`);
      expect(await lab.end(await lab.update())).toMatchObject({ status: 'SUCCEEDED' });
      expect(readFileSync(calls, 'utf8').trim().split('\n')).toEqual([
        ...['pre', `packages/${before}`],
        ...['post', `packages/${version}`],
      ]);
    } finally {
      writeFileSync(config, text);
    }
  });

  it('updates its OTA agent alone, and the daemon runs on', async () => {
    const before = [lab.installed, (await lab.greengrassd('status')).stdout];
    const version = await lab.publish();
    expect(await lab.end(await lab.update('ota_agent'))).toMatchObject({ status: 'SUCCEEDED' });
    expect(lab.agentVersion).toBe(version);
    expect([lab.installed, (await lab.greengrassd('status')).stdout]).toEqual(before);
    await waitFor(() => !existsSync(join(lab.root, 'ota/ota_agent.before')));
    // And the new one brings the core to its own version.
    expect(await lab.end(await lab.update())).toMatchObject({ status: 'SUCCEEDED' });
    expect([lab.installed, lab.running]).toEqual([version, version]);
  });

  it('that runs the newest version already says so at once', async () => {
    const pid = (await lab.greengrassd('status')).stdout;
    expect(await lab.end(await lab.update(), 15_000)).toMatchObject({
      ...{ status: 'SUCCEEDED', statusDetails: { detailsMap: { runs: lab.installed, from: lab.installed } } },
    });
    expect((await lab.greengrassd('status')).stdout).toBe(pid);
  });

  it('that was off takes the job when its agent comes back, unless it was called off', async () => {
    expect(await lab.stopAgent()).toBe(0);
    await lab.publish();
    const cancelled = await lab.update();
    await lab.iot.send(new CancelJobCommand({ jobId: cancelled }));
    const jobId = await lab.update();
    const twin = await lab.update();
    await lab.startAgent();
    expect(await lab.end(jobId)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await lab.end(twin)).toMatchObject({
      ...{ status: 'SUCCEEDED', statusDetails: { detailsMap: { from: lab.installed, runs: lab.installed } } },
    });
    expect(await lab.end(cancelled)).toMatchObject({ status: 'CANCELED', versionNumber: 2 });
  });

  it('gives the place back to its agent where the new one does not stay up', async () => {
    const before = lab.agentVersion;
    const version = await lab.publish((home) => {
      const file = join(home, 'dist/greengrass/core/bin/ota-agent.js');
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, `if (!process.argv.includes('--check')) process.exit(1);\n${text}`);
    });
    const { status, statusDetails } = await lab.end(await lab.update('ota_agent'));
    expect(status).toBe('FAILED');
    expect(statusDetails?.detailsMap).toMatchObject({
      ...{ runs: before, reason: `the OTA agent of version ${version} did not stay up` },
    });
    expect(lab.agentVersion).toBe(before);
  });
});
