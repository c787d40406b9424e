/** What a group version holds, definition by definition, read through the API. */
import {
  type Connector,
  type Core,
  type Device,
  type FunctionDefaultConfig,
  type Function as FunctionMember,
  GetConnectorDefinitionVersionCommand,
  GetCoreDefinitionVersionCommand,
  GetDeviceDefinitionVersionCommand,
  GetFunctionDefinitionVersionCommand,
  GetGroupVersionCommand,
  GetLoggerDefinitionVersionCommand,
  GetResourceDefinitionVersionCommand,
  GetSubscriptionDefinitionVersionCommand,
  type Logger,
  type Resource,
  type Subscription,
} from '@aws-sdk/client-greengrass';
import type { SubscriptionExtension } from '../model/subscription-extension.js';
import type { Clients } from './clients.js';

export interface GroupContent {
  readonly cores: readonly Core[];
  readonly devices: readonly Device[];
  readonly functions: readonly FunctionMember[];
  readonly defaults: FunctionDefaultConfig;
  readonly subscriptions: ReadonlyArray<Subscription & SubscriptionExtension>;
  readonly resources: readonly Resource[];
  readonly loggers: readonly Logger[];
  readonly connectors: readonly Connector[];
}

export const NO_CONTENT: GroupContent = {
  cores: [],
  devices: [],
  functions: [],
  defaults: {},
  subscriptions: [],
  resources: [],
  loggers: [],
  connectors: [],
};

/** Ids of a definition version, from its ARN. */
function ids(arn: string | undefined): { id: string; version: string } | undefined {
  const match = /\/definition\/[a-z]+\/([^/]+)\/versions\/([^/]+)$/.exec(arn ?? '');
  return match ? { id: match[1] as string, version: match[2] as string } : undefined;
}

export async function groupContent(
  { greengrass }: Clients,
  GroupId: string,
  GroupVersionId: string,
): Promise<GroupContent> {
  const { Definition = {} } = await greengrass.send(new GetGroupVersionCommand({ GroupId, GroupVersionId }));
  const cores = ids(Definition.CoreDefinitionVersionArn);
  const devices = ids(Definition.DeviceDefinitionVersionArn);
  const functions = ids(Definition.FunctionDefinitionVersionArn);
  const subscriptions = ids(Definition.SubscriptionDefinitionVersionArn);
  const resources = ids(Definition.ResourceDefinitionVersionArn);
  const loggers = ids(Definition.LoggerDefinitionVersionArn);
  const connectors = ids(Definition.ConnectorDefinitionVersionArn);
  const [core, device, fn, subscription, resource, logger, connector] = await Promise.all([
    cores &&
      greengrass.send(
        new GetCoreDefinitionVersionCommand({
          CoreDefinitionId: cores.id,
          CoreDefinitionVersionId: cores.version,
        }),
      ),
    devices &&
      greengrass.send(
        new GetDeviceDefinitionVersionCommand({
          DeviceDefinitionId: devices.id,
          DeviceDefinitionVersionId: devices.version,
        }),
      ),
    functions &&
      greengrass.send(
        new GetFunctionDefinitionVersionCommand({
          FunctionDefinitionId: functions.id,
          FunctionDefinitionVersionId: functions.version,
        }),
      ),
    subscriptions &&
      greengrass.send(
        new GetSubscriptionDefinitionVersionCommand({
          SubscriptionDefinitionId: subscriptions.id,
          SubscriptionDefinitionVersionId: subscriptions.version,
        }),
      ),
    resources &&
      greengrass.send(
        new GetResourceDefinitionVersionCommand({
          ResourceDefinitionId: resources.id,
          ResourceDefinitionVersionId: resources.version,
        }),
      ),
    loggers &&
      greengrass.send(
        new GetLoggerDefinitionVersionCommand({
          LoggerDefinitionId: loggers.id,
          LoggerDefinitionVersionId: loggers.version,
        }),
      ),
    connectors &&
      greengrass.send(
        new GetConnectorDefinitionVersionCommand({
          ConnectorDefinitionId: connectors.id,
          ConnectorDefinitionVersionId: connectors.version,
        }),
      ),
  ]);
  return {
    cores: core?.Definition?.Cores ?? [],
    devices: device?.Definition?.Devices ?? [],
    functions: fn?.Definition?.Functions ?? [],
    defaults: fn?.Definition?.DefaultConfig ?? {},
    subscriptions: subscription?.Definition?.Subscriptions ?? [],
    resources: resource?.Definition?.Resources ?? [],
    loggers: logger?.Definition?.Loggers ?? [],
    connectors: connector?.Definition?.Connectors ?? [],
  };
}
