/**
 * `GET /greengrass/discover/thing/<name>`: where the cores of a device's groups are, and which CAs sign for them. The
 * letters of the member names are read by clients as they stand. A group counts as it is deployed.
 */
import { check } from '../../lib/check.js';
import { thingArn, thingNameOf } from '../../model/arn.js';
import { groupDocument } from '../../model/group.js';
import { mayDo } from '../iot/device-identity.js';
import type { Deployment } from '../store/store.js';
import { type Answer, type Call, HttpRefusal, json, variablesOf } from './call.js';
import type { DeviceHttpsOptions, Route } from './https-server.js';

const MAX_GROUPS = 10;

export function discoveryRoutes(options: DeviceHttpsOptions): Route[] {
  return [
    {
      method: 'GET',
      path: /^\/greengrass\/discover\/thing\/([^/]+)\/?$/,
      handle: (call) => discover(options, call),
    },
  ];
}

async function discover(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const { store, region, accountId } = options;
  const { certificateId, parameters } = call;
  const [thingName = ''] = parameters;
  if (!/^[a-zA-Z0-9:_-]{1,128}$/.test(thingName)) {
    throw new HttpRefusal(400, 'Invalid input detected for this request');
  }
  const arn = thingArn(region, accountId, thingName);
  // A policy variable stands for who asks: the thing in the path counts only where the certificate is attached to it.
  const isOwnThing = (await store.things.thingsOf(certificateId)).includes(thingName);
  const allowed = await mayDo(store, certificateId, {
    action: 'greengrass:Discover',
    resource: arn,
    variables: variablesOf(call, isOwnThing ? thingName : undefined),
  });
  if (!allowed) throw new HttpRefusal(401, 'Unauthorized request');
  const deployments = await store.deployments.findDeployedWithDevice(arn);
  if (deployments.length > MAX_GROUPS) {
    throw new HttpRefusal(
      400,
      'Device is a member of too many groups, devices may not be in more than 10 groups',
    );
  }
  const groups = await Promise.all(deployments.map((deployment) => describe(options, deployment)));
  if (groups.length === 0) throw new HttpRefusal(404, 'Resource not found');
  return json({ GGGroups: groups });
}

async function describe({ store, authorities }: DeviceHttpsOptions, deployment: Deployment) {
  const { groupId, document } = deployment;
  const group = check(groupDocument, JSON.parse(document ?? '{}'), `deployment ${deployment.deploymentId}`);
  const cores = await Promise.all(
    group.Cores.map(async ({ thingArn: core }) => ({
      thingArn: core,
      Connectivity: ((await store.connectivity.find(thingNameOf(core) ?? ''))?.endpoints ?? []).map(
        (endpoint) => ({
          Id: endpoint.Id ?? '',
          HostAddress: endpoint.HostAddress ?? '',
          PortNumber: endpoint.PortNumber ?? 8883,
          Metadata: endpoint.Metadata ?? '',
        }),
      ),
    })),
  );
  const all = await authorities.trusted(groupId);
  return {
    GGGroupId: groupId,
    Cores: cores,
    CAs: all.map(({ certificatePem }) => `${certificatePem.trim()}\n`),
  };
}
