/**
 * The group of the demonstration, made with the definitions that every V1 group has: core, devices, functions,
 * subscriptions, resources, loggers. All through AWS's own client of the Greengrass API.
 */
import {
  CreateDeploymentCommand,
  CreateFunctionDefinitionCommand,
  CreateGroupVersionCommand,
  CreateLoggerDefinitionCommand,
  CreateResourceDefinitionCommand,
  CreateSubscriptionDefinitionCommand,
  GetGroupCommand,
  GetGroupVersionCommand,
  type GreengrassClient,
  type Function as GreengrassFunction,
  type Subscription,
} from '@aws-sdk/client-greengrass';

/** ARNs of what the group is made of. */
export interface DemoMembers {
  readonly sensorArn: string;
  readonly displayArn: string;
  readonly helloArn: string;
  readonly counterArn: string;
  readonly echoArn: string;
  readonly echoBinaryArn: string;
  readonly shadowUserArn: string;
  /** Folder on the core that the counter may write to. */
  readonly sharedFolder: string;
}

/** Functions run as this user and group, which need no account on the machine. */
export const RUN_AS = { Uid: 64001, Gid: 64001 };
const RESOURCE_ID = 'shared-folder';

function functionsOf(members: DemoMembers): GreengrassFunction[] {
  const container = (MemorySize: number, Timeout: number) => ({
    MemorySize,
    Timeout,
    EncodingType: 'json' as const,
  });
  return [
    {
      Id: 'hello-world',
      FunctionArn: members.helloArn,
      FunctionConfiguration: { ...container(65536, 10), Pinned: true },
    },
    {
      Id: 'counter',
      FunctionArn: members.counterArn,
      FunctionConfiguration: {
        ...container(65536, 10),
        Pinned: false,
        Environment: { ResourceAccessPolicies: [{ ResourceId: RESOURCE_ID, Permission: 'rw' }] },
      },
    },
    {
      Id: 'echo',
      FunctionArn: members.echoArn,
      FunctionConfiguration: { ...container(131072, 10), Pinned: false },
    },
    {
      Id: 'echo-binary',
      FunctionArn: members.echoBinaryArn,
      FunctionConfiguration: { MemorySize: 131072, Timeout: 10, EncodingType: 'binary', Pinned: false },
    },
    {
      Id: 'shadow-user',
      FunctionArn: members.shadowUserArn,
      FunctionConfiguration: { ...container(131072, 10), Pinned: true },
    },
    {
      Id: 'ip-detector',
      FunctionArn: 'arn:aws:lambda:::function:GGIPDetector:1',
      FunctionConfiguration: { Pinned: true, MemorySize: 32768, Timeout: 3 },
    },
  ];
}

function subscriptionsOf(m: DemoMembers): Subscription[] {
  const shadow = (operation: string) => `$aws/things/sensor/shadow/${operation}`;
  const rows: Array<[string, string, string]> = [
    [m.helloArn, 'hello/world', 'cloud'],
    [m.sensorArn, 'hello/world/counter/trigger', m.counterArn],
    [m.counterArn, 'hello/world/counter', m.displayArn],
    [m.counterArn, 'hello/world/counter', 'cloud'],
    [m.sensorArn, 'sensor/data', m.echoArn],
    [m.echoArn, 'echo/#', m.displayArn],
    [m.echoArn, 'echo/#', 'cloud'],
    [m.sensorArn, 'sensor/raw', m.echoBinaryArn],
    [m.echoBinaryArn, 'echo/sensor/raw', m.displayArn],
    ['cloud', 'to/display', m.displayArn],
    [m.sensorArn, shadow('+'), 'GGShadowService'],
    [m.displayArn, shadow('update'), 'GGShadowService'],
    ['GGShadowService', shadow('update/+'), m.sensorArn],
    ['GGShadowService', shadow('get/+'), m.sensorArn],
    ['GGShadowService', shadow('update/delta'), m.shadowUserArn],
    ['GGShadowService', '$aws/things/shadow-user/shadow/update/documents', m.displayArn],
  ];
  return rows.map(([Source, Subject, Target], index) => ({ Id: `s${index}`, Source, Subject, Target }));
}

/** The API's answers have every member optional; these are always there. */
function present(value: string | undefined): string {
  if (value === undefined) throw new Error('the answer of the Greengrass API lacks an ARN or id');
  return value;
}

/** Adds the definitions to the group (which has its core and devices already) and answers the new version's id. */
export async function defineGroup(
  greengrass: GreengrassClient,
  groupId: string,
  members: DemoMembers,
): Promise<string> {
  const functions = await greengrass.send(
    new CreateFunctionDefinitionCommand({
      Name: 'demo-functions',
      InitialVersion: {
        DefaultConfig: { Execution: { IsolationMode: 'GreengrassContainer', RunAs: RUN_AS } },
        Functions: functionsOf(members),
      },
    }),
  );
  const subscriptions = await greengrass.send(
    new CreateSubscriptionDefinitionCommand({
      Name: 'demo-subscriptions',
      InitialVersion: { Subscriptions: subscriptionsOf(members) },
    }),
  );
  const resources = await greengrass.send(
    new CreateResourceDefinitionCommand({
      Name: 'demo-resources',
      InitialVersion: {
        Resources: [
          {
            Id: RESOURCE_ID,
            Name: RESOURCE_ID,
            ResourceDataContainer: {
              LocalVolumeResourceData: {
                SourcePath: members.sharedFolder,
                DestinationPath: '/dest/shared',
                GroupOwnerSetting: { AutoAddGroupOwner: true },
              },
            },
          },
        ],
      },
    }),
  );
  const loggers = await greengrass.send(
    new CreateLoggerDefinitionCommand({
      Name: 'demo-loggers',
      InitialVersion: {
        Loggers: [
          { Id: 'system', Component: 'GreengrassSystem', Level: 'DEBUG', Type: 'FileSystem', Space: 1024 },
          { Id: 'lambda', Component: 'Lambda', Level: 'DEBUG', Type: 'FileSystem', Space: 1024 },
        ],
      },
    }),
  );
  const group = await greengrass.send(new GetGroupCommand({ GroupId: groupId }));
  const latest = await greengrass.send(
    new GetGroupVersionCommand({ GroupId: groupId, GroupVersionId: present(group.LatestVersion) }),
  );
  const version = await greengrass.send(
    new CreateGroupVersionCommand({
      GroupId: groupId,
      ...latest.Definition,
      FunctionDefinitionVersionArn: present(functions.LatestVersionArn),
      SubscriptionDefinitionVersionArn: present(subscriptions.LatestVersionArn),
      ResourceDefinitionVersionArn: present(resources.LatestVersionArn),
      LoggerDefinitionVersionArn: present(loggers.LatestVersionArn),
    }),
  );
  return present(version.Version);
}

/** `CreateDeployment`; answers the deployment's id. */
export async function deploy(
  greengrass: GreengrassClient,
  groupId: string,
  versionId: string,
): Promise<string> {
  const { DeploymentId } = await greengrass.send(
    new CreateDeploymentCommand({
      GroupId: groupId,
      GroupVersionId: versionId,
      DeploymentType: 'NewDeployment',
    }),
  );
  return present(DeploymentId);
}
