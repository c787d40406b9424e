/** Deployments on the cloud's side: the notice, the reports of cores, and what a killed service left open. */
import { createHash } from 'node:crypto';
import { Deployer } from '../../greengrass/cloud/deployment/deployer.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { LocalExclusive } from '../../greengrass/cloud/store/exclusive.js';
import type { Deployment } from '../../greengrass/cloud/store/store.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';
import { ACCOUNT, Deployable, REGION } from './deployable.js';

describe('the deployer', () => {
  let group: Deployable;
  let shadows: CloudShadows;
  let deployer: Deployer;
  let versionId: string;
  beforeEach(async () => {
    group = await Deployable.open();
    versionId = await group.version({ cores: { Cores: [await group.member('core')] } });
    startService();
    await deployer.follow();
  });
  afterEach(() => group.close());

  /** A new process over the same store. */
  function startService(): void {
    shadows = new CloudShadows(group.store);
    deployer = new Deployer({
      ...{
        store: group.store,
        secrets: group.secrets,
        models: group.models,
        shadows,
        region: REGION,
        accountId: ACCOUNT,
        logger: silentLogger(),
      },
      exclusive: new LocalExclusive(),
    });
  }
  const desired = async (thing = 'core-gda') =>
    (await group.store.shadows.find(thing))?.document?.state.desired;
  const statusOf = async ({ deploymentId }: Deployment) =>
    (await group.store.deployments.findById(deploymentId))?.status;
  const report = (reported: object, thing = 'core-gda') =>
    shadows.update(thing, Buffer.from(JSON.stringify({ state: { reported } })));
  const inProgress = async (): Promise<Deployment> => {
    const deployment = group.newDeployment({ groupVersionId: versionId });
    await deployer.deploy(deployment);
    return deployment;
  };

  it('tells the core which document to fetch, by digest', async () => {
    const deployment = await inProgress();
    const built = await group.store.deployments.findById(deployment.deploymentId);
    expect(built).toMatchObject({ status: 'InProgress', coreThingName: 'core' });
    expect(await desired()).toEqual({
      wireVersion: 1,
      deploymentId: deployment.deploymentId,
      deploymentType: 'NewDeployment',
      groupId: group.groupId,
      groupVersionId: versionId,
      documentSha256: createHash('sha256')
        .update(built?.document ?? '')
        .digest('hex'),
    });
  });

  it('fails with every reason where the group can not be built, and tells nobody', async () => {
    const deployment = group.newDeployment({ groupVersionId: await group.version({}) });
    await deployer.deploy(deployment);
    expect(await group.store.deployments.findById(deployment.deploymentId)).toMatchObject({
      status: 'Failure',
      errorMessage: expect.stringContaining(
        'We cannot deploy because the group definition is invalid or corrupted for the following reasons: {ErrorSet(errorSet=[ErrorModel(errorCode=GG-303',
      ),
      errorDetails: [{ DetailedErrorCode: 'GG-303', DetailedErrorMessage: expect.any(String) }],
    });
    expect(await desired()).toBeUndefined();
  });

  it('a core ends its deployment, once', async () => {
    const deployment = await inProgress();
    const { deploymentId } = deployment;
    await report({ deploymentId, status: 'InProgress', stage: 'artifacts' });
    expect(await statusOf(deployment)).toBe('InProgress');
    const errorDetails = [{ DetailedErrorCode: 'X', DetailedErrorMessage: 'y' }];
    await report({ deploymentId, status: 'Failure', stage: 'checks', errorMessage: 'why', errorDetails });
    await waitFor(async () => (await statusOf(deployment)) === 'Failure');
    await report({ deploymentId, status: 'Success', errorMessage: null, errorDetails: null });
    expect(await group.store.deployments.findById(deploymentId)).toMatchObject({
      ...{ status: 'Failure', errorMessage: 'why', errorDetails },
    });
  });

  it.each([
    ["another core's shadow", 'intruder-gda', {}],
    ['a status that is none', 'core-gda', { status: 'Deployed' }],
    ['a deployment that is not there', 'core-gda', { deploymentId: 'x' }],
    ['no deployment', 'core-gda', { deploymentId: null }],
    ['details of another shape', 'core-gda', { errorDetails: 'all of them' }],
  ])('a report of %s moves nothing', async (_what, thing, wrong) => {
    const deployment = await inProgress();
    const { deploymentId } = deployment;
    await report({ deploymentId, status: 'Success', ...wrong }, thing);
    // A listener takes a report in behind the update: wait for one that counts.
    const other = await group.deployment({ type: 'ResetDeployment', coreThingName: 'core' });
    await report({ deploymentId: other.deploymentId, status: 'Success', errorDetails: null });
    await waitFor(async () => (await statusOf(other)) === 'Success');
    expect(await statusOf(deployment)).toBe('InProgress');
  });

  it('a reset is told without a document, and ends when the core says', async () => {
    await inProgress();
    const reset = await group.deployment({ type: 'ResetDeployment' });
    await deployer.reset(reset);
    expect(await desired()).toEqual({
      wireVersion: 1,
      deploymentId: reset.deploymentId,
      deploymentType: 'ResetDeployment',
      groupId: group.groupId,
    });
    expect(await statusOf(reset)).toBe('InProgress');
    await report({ deploymentId: reset.deploymentId, status: 'Success' });
    await waitFor(async () => (await statusOf(reset)) === 'Success');
  });

  it('a forced reset waits for nobody; nor does one of a group that never had a core', async () => {
    const never = await group.deployment({ type: 'ForceResetDeployment' });
    await deployer.reset(never);
    expect(await statusOf(never)).toBe('Success');
    await inProgress();
    const forced = await group.deployment({ type: 'ForceResetDeployment' });
    await deployer.reset(forced);
    expect(await statusOf(forced)).toBe('Success');
    expect(await desired()).toMatchObject({ deploymentId: forced.deploymentId });
  });

  describe('after the service was killed', () => {
    it('fails what was being built', async () => {
      const deployment = await group.deployment({ groupVersionId: versionId });
      startService();
      await deployer.follow();
      expect(await group.store.deployments.findById(deployment.deploymentId)).toMatchObject({
        status: 'Failure',
        errorMessage: expect.stringMatching(
          /^Deployment .* of type NewDeployment for group .* failed error: /,
        ),
      });
    });

    it('takes in a report that was stored and not yet followed', async () => {
      const deployment = await inProgress();
      startService();
      await report({ deploymentId: deployment.deploymentId, status: 'Success', stage: 'commit' });
      expect(await statusOf(deployment)).toBe('InProgress');
      await deployer.follow();
      expect(await statusOf(deployment)).toBe('Success');
    });

    it('tells the core what it was not told', async () => {
      const deployment = await inProgress();
      const told = await desired();
      const before = await group.store.shadows.find('core-gda');
      await group.store.shadows.replace('core-gda', before, { version: 7 });
      startService();
      await deployer.follow();
      expect(await desired()).toEqual(told);
      expect(await statusOf(deployment)).toBe('InProgress');
    });

    it('leaves a core alone that another group was deployed to since', async () => {
      await inProgress();
      const other = { wireVersion: 1, deploymentId: 'o', groupId: 'other' };
      await shadows.update('core-gda', Buffer.from(JSON.stringify({ state: { desired: other } })));
      startService();
      await deployer.follow();
      expect(await desired()).toMatchObject({ deploymentId: 'o', groupId: 'other' });
    });

    it('leaves one open of several, the newest', async () => {
      const [old, newest] = [await inProgress(), await inProgress()];
      startService();
      await deployer.follow();
      expect([await statusOf(old), await statusOf(newest)]).toEqual(['Failure', 'InProgress']);
    });

    it('goes through any number of groups', async () => {
      const at = '2024-01-01T00:00:00.000Z';
      for (let n = 0; n < 205; n++) {
        const id = `group-${n}`;
        await group.store.containers.create({ kind: 'groups', id, createdAt: at, updatedAt: at, tags: {} });
        await group.deployment({ groupId: id, deploymentId: id });
      }
      startService();
      await deployer.follow();
      for (const n of [0, 99, 100, 204]) {
        expect((await group.store.deployments.findById(`group-${n}`))?.status).toBe('Failure');
      }
    });
  });
});
