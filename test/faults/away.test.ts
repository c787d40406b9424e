/** Cores that were away while much happened, deployments that overtake each other, groups that are gone. */
import { DeleteGroupCommand, ResetDeploymentsCommand } from '@aws-sdk/client-greengrass';
import { describeAsRoot } from '../support/as-root.js';
import { waitFor } from '../support/wait-for.js';
import { FaultyCore } from './faulty-core.js';

describeAsRoot('a core', () => {
  let core: FaultyCore;
  let runs: number;
  beforeAll(async () => {
    core = await FaultyCore.make();
    await core.greengrassd('start');
    const { version, groupVersionId } = await core.define();
    expect(await core.end(await core.create(groupVersionId))).toMatchObject({ DeploymentStatus: 'Success' });
    runs = version;
  }, 120_000);
  afterAll(() => core?.close(), 60_000);

  it('that was off for weeks runs the newest deployment and no other; the others are told as superseded', async () => {
    await core.greengrassd('stop');
    const { length } = core.runtimeLog();
    const missed: string[] = [];
    for (let count = 0; count < 3; count++) {
      const { version, groupVersionId } = await core.define();
      missed.push(await core.create(groupVersionId));
      runs = version;
    }
    await core.greengrassd('start');
    const [first = '', second = '', newest = ''] = missed;
    expect(await core.end(newest)).toMatchObject({ DeploymentStatus: 'Success' });
    for (const id of [first, second]) {
      expect(await core.status(id)).toMatchObject({
        DeploymentStatus: 'Failure',
        ErrorDetails: [{ DetailedErrorCode: 'SUPERSEDED' }],
      });
      expect(core.runtimeLog().slice(length)).not.toContain(id);
    }
    expect(await core.versions()).toEqual([runs, runs]);
  }, 120_000);

  it.each(['artifacts', 'swap-routed', 'health'] as const)(
    'that gets a newer deployment at step %s ends with the newer group',
    async (step) => {
      const older = await core.define();
      core.at(step, 'hold');
      const first = await core.create(older.groupVersionId);
      await core.reached(step);
      const newer = await core.define();
      const second = await core.create(newer.groupVersionId);
      core.at(step, undefined);
      expect(await core.end(second)).toMatchObject({ DeploymentStatus: 'Success' });
      expect(await core.status(first)).toMatchObject({ DeploymentStatus: 'Failure' });
      runs = newer.version;
      expect(await core.versions()).toEqual([runs, runs]);
    },
    90_000,
  );

  it('whose group was reset by force and deleted while it was off empties itself when it is back', async () => {
    await core.greengrassd('stop');
    const { greengrass } = core.system.clients;
    const GroupId = core.system.groupId;
    await greengrass.send(new ResetDeploymentsCommand({ GroupId, Force: true }));
    await greengrass.send(new DeleteGroupCommand({ GroupId }));
    const { length } = core.runtimeLog();
    await core.greengrassd('start');
    const since = () => core.runtimeLog().slice(length);
    await waitFor(() => since().includes('Deployment succeeded.'), { timeoutMs: 30_000 });
    expect(since()).toContain('ForceResetDeployment');
    expect(core.workerTraces().cgroups).toBe(0);
    expect([core.files('code'), core.files('lambda')]).toEqual([[], []]);
  });
});
