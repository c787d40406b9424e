/** A core that is killed with -9 at each named step of a deployment, and started again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEPLOYMENT_STEPS, type DeploymentStep } from '../../greengrass/core/deployment/steps.js';
import { describeAsRoot } from '../support/as-root.js';
import { FaultyCore } from './faulty-core.js';

/**
 * Steps of one deployment, each of which it comes to anew after a start. From the mark on it is not run a second time, and
 * how it is taken up while the group is written is looked at for each step.
 */
const ALONE = DEPLOYMENT_STEPS.indexOf('commit-kept-previous');
const SWAP = DEPLOYMENT_STEPS.indexOf('swap-prepared');
const ROUNDS: Array<[name: string, steps: readonly DeploymentStep[]]> = [
  ['before the swap', DEPLOYMENT_STEPS.slice(0, SWAP)],
  ['from the swap to the commit', DEPLOYMENT_STEPS.slice(SWAP, ALONE)],
  ...DEPLOYMENT_STEPS.slice(ALONE).map((step): [string, DeploymentStep[]] => [step, [step]]),
];

describeAsRoot('a core that is killed in a deployment', () => {
  let core: FaultyCore;
  let healthy: ReturnType<FaultyCore['workerTraces']>;

  beforeAll(async () => {
    core = await FaultyCore.make();
    await core.greengrassd('start');
    const { version, groupVersionId } = await core.define();
    expect(await core.end(await core.create(groupVersionId))).toMatchObject({ DeploymentStatus: 'Success' });
    expect(await core.versions()).toEqual([version, version]);
    healthy = core.workerTraces();
  }, 120_000);
  afterAll(() => core?.close(), 60_000);

  it.each(ROUNDS)(
    'at each step %s, runs the new group in the end, tells the cloud, and leaves nothing',
    async (_name, steps) => {
      const { version, groupVersionId } = await core.define();
      let deploymentId = '';
      for (const step of steps) {
        core.at(step, 'kill');
        // After the first one the deployment is taken up by a core that starts, and that may be gone before it is ready.
        if (deploymentId === '') deploymentId = await core.create(groupVersionId);
        else await core.greengrassd('start').catch(() => undefined);
        await core.reached(step);
        await core.ended(core.pid);
        core.at(step, undefined);
      }
      await core.greengrassd('start');
      expect(await core.end(deploymentId)).toMatchObject({ DeploymentStatus: 'Success' });
      expect(await core.versions()).toEqual([version, version]);
      expect(core.workerTraces()).toEqual(healthy);
      expect(core.files('artifacts')).toEqual([]);
      expect(core.files('code')).toHaveLength(2);
      expect(core.files('lambda')).toHaveLength(2);
      expect(core.files('group')).toEqual(['deployment.json', 'group.json', 'group.previous.json']);
      const mark = readFileSync(join(core.system.root, 'ggc/deployment/group/deployment.json'), 'utf8');
      expect(JSON.parse(mark)).toMatchObject({ deploymentId });
    },
    90_000,
  );
});
