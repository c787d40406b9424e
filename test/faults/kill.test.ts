/** A core that is killed with -9 at each named step of a deployment, and started again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEPLOYMENT_STEPS } from '../../greengrass/core/deployment/steps.js';
import { describeAsRoot } from '../support/as-root.js';
import { FaultyCore } from './faulty-core.js';

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

  it.each(DEPLOYMENT_STEPS)(
    'at step %s, runs the new group after its start, tells the cloud, and leaves nothing',
    async (step) => {
      const { version, groupVersionId } = await core.define();
      const { pid } = core;
      core.at(step, 'kill');
      const deploymentId = await core.create(groupVersionId);
      await core.ended(pid);
      core.at(step, undefined);
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
