/** Deployments from the notice to the report. */
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DEPLOYMENT_STAGES } from '../../greengrass/model/deployment.js';
import { waitFor } from '../support/wait-for.js';
import { AgentBench, ARN, functionOf, groupOf, ZIP } from './agent-bench.js';
import { sha256 } from './cloud-side.js';

let bench: AgentBench;
beforeEach(async () => {
  bench = await AgentBench.start();
});
afterEach(() => bench.close());

describe('a deployment', () => {
  it('fetches, checks, swaps, commits and reports, in this order', async () => {
    bench.cloud.zips.set(sha256(ZIP), ZIP);
    bench.cloud.deploy('d1', groupOf('1', [functionOf(ZIP)]));
    expect(await bench.endOf('d1')).toEqual({
      deploymentId: 'd1',
      status: 'Success',
      stage: 'commit',
      errorMessage: null,
      errorDetails: null,
    });
    expect(bench.steps).toEqual(['swap', `1:${ARN}`, 'health', 'commit']);
    expect(bench.groups.load().Version).toBe('1');
    expect(bench.groups.deployed()).toEqual({ deploymentId: 'd1', groupId: 'group' });
    const stages = bench.cloud.reports
      .filter(({ status }) => status === 'InProgress')
      .map(({ stage }) => stage);
    expect(stages).toEqual(DEPLOYMENT_STAGES.filter((stage) => !['notice', 'swap'].includes(stage)));
    expect(readdirSync(join(bench.root, 'deployment', 'lambda'))).toEqual([ARN]);
    expect(readdirSync(join(bench.root, 'deployment', 'code'))).toEqual([sha256(ZIP)]);
  });

  it('sweeps the code that the new group does not use', async () => {
    bench.cloud.zips.set(sha256(ZIP), ZIP);
    bench.cloud.deploy('d1', groupOf('1', [functionOf(ZIP)]));
    await bench.endOf('d1');
    bench.cloud.deploy('d2', groupOf('2'));
    await bench.endOf('d2');
    expect(readdirSync(join(bench.root, 'deployment', 'lambda'))).toEqual([]);
  });

  it('that came while the core was away is learned when it connects', async () => {
    await bench.agent.stop();
    bench.cloud.forget();
    bench.cloud.online = false;
    bench.cloud.deploy('d1', groupOf('1'));
    bench.cloud.deploy('d2', groupOf('2'));
    await bench.restart();
    bench.cloud.connect();
    await bench.endOf('d2');
    expect(bench.steps).toContain('2:');
    expect(bench.steps).not.toContain('1:');
  });

  it('is not run again: not after a reconnect, not after a restart', async () => {
    bench.cloud.deploy('d1', groupOf('1'));
    await bench.endOf('d1');
    await bench.settle();
    const { length } = bench.steps;
    bench.cloud.connect();
    await bench.settle();
    await bench.restart();
    await bench.settle();
    expect(bench.steps).toHaveLength(length);
    expect(bench.cloud.asked).toBeGreaterThan(2);
  });

  it.each<[string, (place: string) => void]>([
    ['its code is gone', (place) => rmSync(join(place, 'code'), { recursive: true })],
    [
      'its code lies as V1 had it, with no digest',
      (place) => {
        const code = join(place, 'code', sha256(ZIP));
        rmSync(join(place, 'lambda', ARN));
        renameSync(code, join(place, 'lambda', ARN));
      },
    ],
  ])('is run again after a restart where %s', async (_what, harm) => {
    bench.cloud.zips.set(sha256(ZIP), ZIP);
    bench.cloud.deploy('d1', groupOf('1', [functionOf(ZIP)]));
    await bench.endOf('d1');
    await bench.settle();
    await bench.agent.stop();
    harm(join(bench.root, 'deployment'));
    const { length } = bench.steps;
    await bench.restart();
    await waitFor(() => bench.steps.slice(length).includes('commit'), { what: 'it runs again' });
    expect(bench.lines.map(({ msg }) => msg)).toContainEqual(expect.stringContaining('is not whole'));
    expect(readdirSync(join(bench.root, 'deployment', 'code'))).toEqual([sha256(ZIP)]);
    await bench.settle();
    const after = bench.steps.length;
    bench.cloud.connect();
    await bench.settle();
    expect(bench.steps).toHaveLength(after);
  });

  it('runs once, however often the notice is read meanwhile', async () => {
    const open = bench.hold();
    bench.cloud.deploy('d1', groupOf('1'));
    await bench.settle();
    for (let n = 0; n < 5; n++) bench.cloud.connect();
    await bench.settle();
    open();
    await bench.endOf('d1');
    await bench.settle();
    expect(bench.steps.filter((name) => name === 'swap')).toHaveLength(1);
  });

  it('waits for the one that runs; of several that wait, the newest is run', async () => {
    const open = bench.hold();
    bench.cloud.deploy('d1', groupOf('1'));
    await waitFor(() => bench.cloud.reports.some(({ stage }) => stage === 'prepare'));
    bench.cloud.deploy('d2', groupOf('2'));
    await bench.settle();
    bench.cloud.deploy('d3', groupOf('3'));
    await bench.settle();
    expect(bench.steps).toEqual([]);
    open();
    await bench.endOf('d3');
    expect(bench.steps.filter((name) => name.endsWith(':'))).toEqual(['1:', '3:']);
    expect(bench.cloud.endOf('d2')).toBeUndefined();
    expect(bench.groups.deployed()?.deploymentId).toBe('d3');
  });

  it('under way comes to its end before the agent stops', async () => {
    const open = bench.hold();
    bench.cloud.deploy('d1', groupOf('1'));
    await waitFor(() => bench.cloud.reports.some(({ stage }) => stage === 'prepare'));
    const stopped = bench.agent.stop();
    open();
    await stopped;
    expect(bench.steps.at(-1)).toBe('commit');
    bench.cloud.deploy('d2', groupOf('2'));
    await bench.settle();
    expect(bench.cloud.endOf('d2')).toBeUndefined();
  });
});

describe('a reset', () => {
  it.each(['ResetDeployment', 'ForceResetDeployment'])(
    '(%s) empties the core, once',
    async (deploymentType) => {
      bench.cloud.zips.set(sha256(ZIP), ZIP);
      bench.cloud.deploy('d1', groupOf('1', [functionOf(ZIP)]));
      await bench.endOf('d1');
      bench.cloud.notify({ wireVersion: 1, deploymentId: 'r', deploymentType, groupId: 'group' });
      expect(await bench.endOf('r')).toMatchObject({ status: 'Success', stage: 'commit' });
      expect(bench.groups.load().Version).toBeUndefined();
      expect(readdirSync(join(bench.root, 'deployment', 'lambda'))).toEqual([]);
      await bench.restart();
      await bench.settle();
      expect(bench.steps.filter((name) => name === 'reset')).toHaveLength(1);
    },
  );

  it('that fails is reported, and the group stays', async () => {
    bench.cloud.deploy('d1', groupOf('1'));
    await bench.endOf('d1');
    bench.failing.set('reset', new Error('device or resource busy'));
    bench.cloud.notify({
      wireVersion: 1,
      deploymentId: 'r',
      deploymentType: 'ResetDeployment',
      groupId: 'group',
    });
    expect((await bench.endOf('r')).errorMessage).toBe(
      'Deployment r of type ResetDeployment for group group failed error: device or resource busy',
    );
    expect(bench.groups.load().Version).toBe('1');
  });
});

describe('a notice', () => {
  it.each([
    [
      'of another wire version',
      { wireVersion: 2, deploymentId: 'x', deploymentType: 'NewDeployment', groupId: 'g' },
    ],
    ['of an unknown type', { wireVersion: 1, deploymentId: 'x', deploymentType: 'Sabotage', groupId: 'g' }],
    ['without a group', { wireVersion: 1, deploymentId: 'x', deploymentType: 'NewDeployment' }],
    [
      'with a digest that is none',
      {
        wireVersion: 1,
        deploymentId: 'x',
        deploymentType: 'NewDeployment',
        groupId: 'g',
        documentSha256: '../..',
      },
    ],
    ['that is something else', { colour: 'red' }],
  ])('%s is ignored', async (_what, notice) => {
    bench.cloud.notify(notice);
    await bench.settle();
    expect([bench.steps, bench.cloud.reports]).toEqual([[], []]);
    bench.cloud.deploy('d1', groupOf('1'));
    expect((await bench.endOf('d1')).status).toBe('Success');
  });

  it('of a deployment without a digest fails before anything is used', async () => {
    bench.cloud.deploy('d1', groupOf('1'));
    bench.cloud.notify({ documentSha256: null, deploymentId: 'd2', groupVersionId: 'v' });
    bench.cloud.documents.set('d2', Buffer.from('{}'));
    expect((await bench.endOf('d2')).errorDetails?.[0]?.DetailedErrorCode).toBe('DocumentDigestMismatch');
  });
});
