/** Who of a deployed group has lost his right, and which cores are told of it: real store, shadows and HTTPS. */
import { randomUUID } from 'node:crypto';
import { DeviceNotices } from '../../greengrass/cloud/authority/device-notices.js';
import { ServiceClient } from '../../greengrass/core/service-client.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import type { DeploymentStatus } from '../../greengrass/model/deployment.js';
import {
  ACCOUNT,
  ALLOW_ALL,
  type CloudParts,
  type Identity,
  REGION,
  startCloudParts,
} from '../support/cloud-parts.js';

let cloud: CloudParts;
let notices: DeviceNotices;
beforeAll(async () => {
  cloud = await startCloudParts();
  const { store, shadows } = cloud;
  notices = new DeviceNotices({ store, shadows, region: REGION, accountId: ACCOUNT, logger: silentLogger() });
});
afterAll(() => cloud.close());

/** A deployment of these devices to the core. `active`: those whose certificate was good when it was built. */
async function deploy(
  groupId: string,
  core: Identity,
  devices: readonly Identity[],
  { status = 'Success', active = devices }: { status?: DeploymentStatus; active?: readonly Identity[] } = {},
): Promise<void> {
  const { deployments } = cloud.store;
  const deploymentId = randomUUID();
  const at = new Date().toISOString();
  await deployments.create({
    ...{ deploymentId, groupId, groupVersionId: 'v', type: 'NewDeployment', status: 'Building' },
    ...{ createdAt: at, updatedAt: at },
  });
  const member = (one: Identity) => ({ thingArn: one.thingArn, certArn: one.certificateArn });
  const document = {
    Cores: [member(core)],
    Devices: devices.map(member),
    GroupDefinitions: { ClientCertFingerprints: { Content: active.map((one) => one.certificateId) } },
  };
  await deployments.setDocument(deploymentId, JSON.stringify(document), core.thingName);
  for (const next of ['InProgress', status] as const) await deployments.setStatus(deploymentId, next, at);
}

const clientOf = (core: Identity) =>
  new ServiceClient({
    host: '127.0.0.1',
    port: cloud.https.port,
    caPem: cloud.caPem,
    certPem: core.certificatePem,
    keyPem: core.privateKeyPem,
    logger: silentLogger(),
  });
const changeOf = async (core: Identity) =>
  (await cloud.store.shadows.find(`${core.thingName}-gcm`))?.document?.state.desired?.change;

it('names devices whose certificate is not ACTIVE, is gone, or is not attached to the thing', async () => {
  const core = await cloud.identity('core-a', ALLOW_ALL);
  const names = ['good', 'inactive', 'revoked', 'detached', 'gone', 'never'];
  const devices = await Promise.all(names.map((name) => cloud.identity(name)));
  const [good, inactive, revoked, detached, gone] = devices as [
    Identity,
    Identity,
    Identity,
    Identity,
    Identity,
  ];
  await deploy('ga', core, devices, { active: devices.slice(0, 5) });
  expect(await notices.refused('ga')).toEqual([]);
  await cloud.store.certificates.setStatus(inactive.certificateId, 'INACTIVE');
  await cloud.store.certificates.setStatus(revoked.certificateId, 'REVOKED');
  await cloud.store.things.detachPrincipal(detached.thingName, detached.certificateId);
  await cloud.store.things.detachPrincipal(gone.thingName, gone.certificateId);
  await cloud.store.certificates.delete(gone.certificateId);
  const client = clientOf(core);
  const refused = await client.refusedDevices('ga');
  client.close();
  expect(refused.map(({ thingArn }) => thingArn)).toEqual(
    [inactive, revoked, detached, gone].map(({ thingArn }) => thingArn),
  );
  expect(refused.map(({ certificateId }) => certificateId)).not.toContain(good.certificateId);
});

it('tells the cores that run the device or are being deployed it, and no others', async () => {
  const cores = await Promise.all(
    ['runs', 'being-deployed', 'failed', 'foreign'].map((name) => cloud.identity(name, ALLOW_ALL)),
  );
  const [runs, beingDeployed, failed, foreign] = cores as [Identity, Identity, Identity, Identity];
  const device = await cloud.identity('sensor');
  await deploy('gb', runs, [device]);
  await deploy('gc', beingDeployed, [device], { status: 'InProgress' });
  await deploy('gd', failed, [device], { status: 'Failure' });
  await deploy('ge', foreign, [await cloud.identity('other')]);
  await cloud.store.certificates.setStatus(device.certificateId, 'REVOKED');
  await notices.certificateChanged(device.certificateId);
  const first = await Promise.all(cores.map(changeOf));
  expect(first.map((change) => change !== undefined)).toEqual([true, true, false, false]);
  await notices.thingChanged('sensor');
  // Another value: the shadow makes a delta of it again.
  expect(await changeOf(runs)).not.toBe(first[0]);
  await notices.connectivityChanged('sensor');
  await notices.connectivityChanged('foreign');
  expect(await changeOf(foreign)).toBeDefined();
  expect(await cloud.store.shadows.find('sensor-gcm')).toBeUndefined();
  expect((await notices.refused('gc')).map(({ thingArn }) => thingArn)).toEqual([device.thingArn]);
});

it('refuses the list to a core that does not run the group, and to one whose policy does not allow it', async () => {
  const core = await cloud.identity('owner', [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }]);
  await deploy('gf', core, []);
  for (const identity of [core, await cloud.identity('spy', ALLOW_ALL)]) {
    const client = clientOf(identity);
    await expect(client.refusedDevices('gf')).rejects.toMatchObject({
      recoverable: false,
      message: expect.stringContaining('403'),
    });
    client.close();
  }
});

it('never rejects: the change in the cloud stands even where the core can not be told', async () => {
  const { store } = cloud;
  const shadows = { update: () => Promise.reject(new Error('AWS IoT does not answer')) };
  const broken = new DeviceNotices({
    ...{ store, shadows, region: REGION, accountId: ACCOUNT, logger: silentLogger() },
  });
  await broken.thingChanged('sensor');
  await broken.certificateChanged('00'.repeat(32));
});
