/** gg around a deployment on a running core: plan, deploy --wait with progress, deployment explain. */
import { greengrassd } from '../../greengrass/dev/programs.js';
import { runGg } from '../cli/gg.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';

describeAsRoot('gg', () => {
  let system: TestSystem;
  let arn: string;
  const gg = (...args: string[]) =>
    runGg({ HOME: system.folder }, ...args, '--ready-file', system.cloud.readyFile);
  const configuration = (RATE: string) => ({
    Pinned: true,
    Timeout: 10,
    Environment: { Execution: { IsolationMode: 'NoContainer' as const }, Variables: { RATE } },
  });

  beforeAll(async () => {
    system = await startSystem(['sensor']);
    await greengrassd(system.root, 'start');
    const files = { 'main.py': 'def handler(event, context):\n    pass\n' };
    arn = await publishFunction(system, { name: 'quiet', handler: 'main.handler', files });
  });
  afterAll(() => system?.close(), 60_000);

  it('plans, deploys and explains', async () => {
    await defineGroup(system, { functions: [{ arn, configuration: configuration('1') }], subscriptions: [] });
    expect((await gg('plan', 'test-group')).out).toMatch(
      /^Nothing is deployed\. Version .+ would:\n(.*\n)* {2}starts {3}function .*:quiet:1\n/,
    );
    const deployed = await gg('deploy', '--group', 'test-group', '--wait');
    expect(deployed).toMatchObject({ code: 0 });
    expect(deployed.out).toMatch(/^Deployment (\S+): Success\n$/);
    expect(deployed.err.split('\n')).toContain('health');
    const id = /^Deployment (\S+):/.exec(deployed.out)?.[1] ?? '';
    expect((await gg('deployment', 'explain', id)).out).toMatch(
      /^Deployment \S+: Success\n {2}NewDeployment of group (.*\n)+The core runs this group\.\n$/,
    );
    expect((await gg('plan', 'test-group')).out).toContain('is deployed already');

    await defineGroup(system, { functions: [{ arn, configuration: configuration('2') }], subscriptions: [] });
    const plan = await gg('plan', 'test-group', '--json');
    expect(JSON.parse(plan.out)).toMatchObject({
      changes: [{ effect: 'restarts', what: 'function', name: arn, why: 'Environment.Variables.RATE' }],
      kept: { devices: 1 },
    });
  });

  it('explains why a deployment failed, in which stage, and what to do', async () => {
    const broken = await publishFunction(system, {
      name: 'broken',
      handler: 'main.handler',
      files: { 'main.py': 'raise RuntimeError("no luck")\n' },
    });
    await defineGroup(system, {
      functions: [{ arn: broken, configuration: configuration('1') }],
      subscriptions: [],
    });
    const deployed = await gg('deploy', '--group', 'test-group', '--wait');
    expect(deployed).toMatchObject({ code: 1, out: expect.stringMatching(/: Failure\n/) });
    const id = /^Deployment (\S+):/.exec(deployed.out)?.[1] ?? '';
    const { out, code } = await gg('deployment', 'explain', id, '--group', 'test-group');
    expect(code).toBe(0);
    expect(out).toMatch(/failed in stage health\n/);
    expect(out).toMatch(/WorkerUnhealthy: .*\n.*broken.*\nWhat to do: .*log/);
  });

  it('says where to look when there is no such deployment', async () => {
    expect(await gg('deployment', 'explain', 'nothing')).toMatchObject({
      code: 1,
      err: 'there is no deployment nothing: gg list-deployments --group-id ID shows them\n',
    });
  });
});
