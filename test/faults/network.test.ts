/** A cloud that goes away in each stage of a deployment, with every connection to it. */
import { describeAsRoot } from '../support/as-root.js';
import { waitFor } from '../support/wait-for.js';
import { FaultyCore } from './faulty-core.js';

/** Where the line goes down, and what the core does meanwhile. */
const CUTS = [
  ['document', 'waits'],
  ['artifacts', 'waits'],
  // Depends on how many of the zips have come already.
  ['artifact-fetched', 'waits or goes on'],
  ['checks', 'goes on'],
  ['prepare', 'goes on'],
  ['swap-routed', 'goes on'],
  ['health', 'goes on'],
  ['commit', 'goes on'],
  ['committed', 'goes on'],
] as const;

describeAsRoot('a core whose line is cut in a deployment', () => {
  let core: FaultyCore;
  beforeAll(async () => {
    core = await FaultyCore.make();
    await core.greengrassd('start');
    const { groupVersionId } = await core.define();
    expect(await core.end(await core.create(groupVersionId))).toMatchObject({ DeploymentStatus: 'Success' });
  }, 120_000);
  afterAll(() => core?.close(), 60_000);

  it.each(CUTS)(
    'at step %s %s, and the cloud knows the end when the line is back',
    async (step, conduct) => {
      const { version, groupVersionId } = await core.define();
      core.at(step, 'hold');
      const deploymentId = await core.create(groupVersionId);
      await core.reached(step);
      await core.cutCloud();
      const { length } = core.runtimeLog();
      const since = () => core.runtimeLog().slice(length);
      core.at(step, undefined);
      const signs = [
        ...(conduct.startsWith('waits') ? ['Deployment waits for the cloud.'] : []),
        ...(conduct.endsWith('goes on') ? ['Deployment succeeded.'] : []),
      ];
      try {
        await waitFor(() => signs.some((sign) => since().includes(sign)), {
          timeoutMs: 40_000,
          what: conduct,
        });
      } finally {
        await core.restoreCloud();
      }
      expect(await core.end(deploymentId, 90_000)).toMatchObject({ DeploymentStatus: 'Success' });
      expect(since()).not.toContain('Deployment failed.');
      expect(await core.versions()).toEqual([version, version]);
    },
    150_000,
  );
});
