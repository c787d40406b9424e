/** `gg device create`: thing, certificate and policy of a device, its files, and its place in a group. */
import {
  CreateDeviceDefinitionCommand,
  type Device,
  GetDeviceDefinitionVersionCommand,
} from '@aws-sdk/client-greengrass';
import type { Connection } from './bootstrap.js';
import { type Clients, present } from './clients.js';
import { changeGroup, findGroup, latestVersion } from './group.js';
import {
  createIdentity,
  type Identity,
  type PolicyStatement,
  type Scope,
  writeIdentity,
} from './identity.js';

export interface DeviceOptions extends Pick<Connection, 'caFile'> {
  readonly thingName: string;
  /** Folder for certificate, key and CA. */
  readonly out: string;
  /** Name or id; without one the thing is a client of the cloud and of no core. */
  readonly group?: string;
  readonly syncShadow?: boolean;
}

export interface CreatedDevice {
  readonly identity: Identity;
  /** The group's new version; deploy it to let the device in. */
  readonly groupVersionId?: string;
}

export async function createDevice(clients: Clients, options: DeviceOptions): Promise<CreatedDevice> {
  const groupId = options.group === undefined ? undefined : await findGroup(clients, options.group);
  const identity = await createIdentity(clients, options.thingName, (scope) =>
    devicePolicy(scope, options.thingName),
  );
  writeIdentity(identity, options.out, options.thingName, options.caFile);
  if (groupId === undefined) return { identity };
  return {
    identity,
    groupVersionId: await addToGroup(clients, groupId, identity, options.syncShadow ?? false),
  };
}

async function addToGroup(
  clients: Clients,
  groupId: string,
  identity: Identity,
  syncShadow: boolean,
): Promise<string> {
  const { definition } = await latestVersion(clients, groupId);
  const devices = await devicesOf(clients, definition.DeviceDefinitionVersionArn);
  const device: Device = {
    Id: identity.thingName,
    ThingArn: identity.thingArn,
    CertificateArn: identity.certificateArn,
    SyncShadow: syncShadow,
  };
  const created = await clients.greengrass.send(
    new CreateDeviceDefinitionCommand({
      Name: 'devices',
      InitialVersion: {
        Devices: [...devices.filter(({ ThingArn }) => ThingArn !== identity.thingArn), device],
      },
    }),
  );
  return changeGroup(clients, groupId, {
    DeviceDefinitionVersionArn: present(created.LatestVersionArn, 'LatestVersionArn'),
  });
}

async function devicesOf({ greengrass }: Clients, arn: string | undefined): Promise<Device[]> {
  const match = /\/definition\/devices\/([^/]+)\/versions\/([^/]+)$/.exec(arn ?? '');
  if (!match) return [];
  const version = await greengrass.send(
    new GetDeviceDefinitionVersionCommand({
      DeviceDefinitionId: match[1] as string,
      DeviceDefinitionVersionId: match[2] as string,
    }),
  );
  return version.Definition?.Devices ?? [];
}

/** Discovery of its own cores, and messages and its own shadow in the cloud. */
export function devicePolicy({ iot }: Scope, name: string): PolicyStatement[] {
  return [
    { Effect: 'Allow', Action: ['greengrass:Discover'], Resource: [`${iot}:thing/${name}`] },
    { Effect: 'Allow', Action: ['iot:Connect'], Resource: [`${iot}:client/${name}`] },
    { Effect: 'Allow', Action: ['iot:Publish', 'iot:Receive'], Resource: [`${iot}:topic/*`] },
    { Effect: 'Allow', Action: ['iot:Subscribe'], Resource: [`${iot}:topicfilter/*`] },
    {
      Effect: 'Deny',
      Action: ['iot:Publish'],
      Resource: ['gda', 'gcm'].map((part) => `${iot}:topic/$aws/things/*-${part}/shadow/*`),
    },
  ];
}
