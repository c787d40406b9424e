/** Makes in the cloud what a V1 core's disk speaks of, under the same names and ARNs. May be run again after a failure. */

import { createHash } from 'node:crypto';
import {
  CreateCoreDefinitionCommand,
  CreateDeploymentCommand,
  CreateDeviceDefinitionCommand,
  CreateFunctionDefinitionCommand,
  CreateGroupCommand,
  CreateGroupVersionCommand,
  CreateLoggerDefinitionCommand,
  CreateResourceDefinitionCommand,
  CreateSubscriptionDefinitionCommand,
  type Function as FunctionMember,
  type Resource,
} from '@aws-sdk/client-greengrass';
import {
  AttachPolicyCommand,
  AttachThingPrincipalCommand,
  CreatePolicyCommand,
  CreateThingCommand,
  DeleteThingCommand,
  DescribeCertificateCommand,
  DescribeThingCommand,
  RegisterCertificateWithoutCACommand,
} from '@aws-sdk/client-iot';
import {
  CreateFunctionCommand,
  DeleteFunctionCommand,
  GetFunctionConfigurationCommand,
  PublishVersionCommand,
  type Runtime,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { certificateArn, certificateIdOfArn, thingNameOf } from '../../model/arn.js';
import { EXECUTABLE_RUNTIME, type Execution } from '../../model/function-config.js';
import { corePolicy } from '../bootstrap.js';
import { type Clients, present } from '../clients.js';
import { devicePolicy } from '../device.js';
import { type PolicyStatement, scopeOf } from '../identity.js';
import { findGroup } from './find-group.js';
import { type DiskFunction, isLocal, type V1Disk } from './v1-disk.js';

export interface AdoptedGroup {
  readonly groupId: string;
  readonly deploymentId: string;
}

export async function createAdopted(
  clients: Clients,
  disk: V1Disk,
  groupName: string,
): Promise<AdoptedGroup> {
  const there = await findGroup(clients, groupName, disk.config.thingArn);
  await createThings(clients, disk);
  for (const f of disk.functions) if (f.zip) await createFunction(clients, f, f.zip);
  const group = await createGroup(clients, disk, groupName, there);
  const { groupId } = group;
  const deployment = await clients.greengrass.send(
    new CreateDeploymentCommand({
      GroupId: groupId,
      GroupVersionId: group.versionId,
      DeploymentType: 'NewDeployment',
    }),
  );
  return { groupId, deploymentId: present(deployment.DeploymentId, 'DeploymentId') };
}

async function createThings(clients: Clients, { config, coreCertificate, group }: V1Disk): Promise<void> {
  await createThing(clients, config.thingArn, coreCertificate.id, coreCertificate.pem, corePolicy);
  for (const { thingArn, certArn } of group.Devices) {
    const id = certificateIdOfArn(certArn) ?? '';
    await createThing(clients, thingArn, id, `sha256:${id}`, devicePolicy);
  }
}

async function createThing(
  { iot }: Clients,
  wantedArn: string,
  certificateId: string,
  pem: string,
  statements: (scope: ReturnType<typeof scopeOf>, name: string) => PolicyStatement[],
): Promise<void> {
  const thingName = thingNameOf(wantedArn) ?? '';
  const known = await iot.send(new DescribeThingCommand({ thingName })).catch((error: Error) => {
    if (error.name !== 'ResourceNotFoundException') throw error;
    return undefined;
  });
  const { thingArn } = known ?? (await iot.send(new CreateThingCommand({ thingName })));
  if (thingArn !== wantedArn) {
    if (!known) await iot.send(new DeleteThingCommand({ thingName }));
    const [, , , region, account] = wantedArn.split(':');
    throw new Error(
      `the cloud calls thing ${thingName} ${thingArn}, the core calls it ${wantedArn}. ARNs can't change: start greengrass-cloud on an empty data folder with --region ${region} --account-id ${account}`,
    );
  }
  const register = new RegisterCertificateWithoutCACommand({ certificatePem: pem, status: 'ACTIVE' });
  const principal = await iot.send(register).then(
    (answer) => present(answer.certificateArn, 'certificateArn'),
    async (error: Error) => {
      if (error.name !== 'ResourceAlreadyExistsException') throw error;
      const there = await iot.send(new DescribeCertificateCommand({ certificateId }));
      return present(there.certificateDescription?.certificateArn, 'certificateArn');
    },
  );
  const policyName = `${thingName}-policy`;
  const policyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: statements(scopeOf(wantedArn), thingName),
  });
  await iot.send(new CreatePolicyCommand({ policyName, policyDocument })).catch((error: Error) => {
    if (error.name !== 'ResourceAlreadyExistsException') throw error;
  });
  await iot.send(new AttachPolicyCommand({ policyName, target: principal }));
  await iot.send(new AttachThingPrincipalCommand({ thingName, principal }));
}

/** Publishes until the version has the number that the ARN names; the numbers before it are deleted again. */
async function createFunction({ lambda }: Clients, f: DiskFunction, ZipFile: Buffer): Promise<void> {
  const { name: FunctionName, version, settings } = f;
  const digest = createHash('sha256').update(ZipFile).digest('base64');
  const there = await lambda
    .send(new GetFunctionConfigurationCommand({ FunctionName, Qualifier: String(version) }))
    .catch((error: Error) => {
      if (error.name !== 'ResourceNotFoundException') throw error;
      return undefined;
    });
  if (there?.CodeSha256 === digest) return;
  if (there) {
    throw new Error(
      `the cloud has version ${version} of function ${FunctionName} already, with other code than the core has on its disk. Delete the function there (aws lambda delete-function --function-name ${FunctionName}) and run this again.`,
    );
  }
  const configuration = {
    FunctionName,
    Runtime: settings.Runtime as Runtime,
    Handler: settings.Executable || settings.Handler || 'main',
    Role: 'arn:aws:iam::000000000000:role/not-used-on-a-core',
    Timeout: 3,
  };
  const isNew = await lambda
    .send(new CreateFunctionCommand({ ...configuration, Description: placeholder(0), Code: { ZipFile } }))
    .then(
      () => true,
      (error: Error) => {
        if (error.name !== 'ResourceConflictException') throw error;
        return false;
      },
    );
  if (!isNew) {
    await lambda.send(
      new UpdateFunctionConfigurationCommand({ ...configuration, Description: placeholder(0) }),
    );
    await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile }));
  }
  for (;;) {
    const published = Number((await lambda.send(new PublishVersionCommand({ FunctionName }))).Version);
    if (published === version) return;
    if (published > version) {
      throw new Error(
        `the cloud has version ${published} of function ${FunctionName} already, so version ${version} of the core can't be made any more. Delete the function there (aws lambda delete-function --function-name ${FunctionName}) and run this again.`,
      );
    }
    // Only what changed gets a new number.
    const Description = published + 1 === version ? (settings.Description ?? '') : placeholder(published);
    await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName, Description }));
    await lambda.send(new DeleteFunctionCommand({ FunctionName, Qualifier: String(published) }));
  }
}

function placeholder(number: number): string {
  return `a number before the adopted version (${number})`;
}

async function createGroup(
  { greengrass }: Clients,
  disk: V1Disk,
  Name: string,
  GroupId: string | undefined,
): Promise<{ groupId: string; versionId: string }> {
  const { group } = disk;
  const { Resources, Subscriptions, Logging, ShadowSync, DefaultFunctionExecution } = group.GroupDefinitions;
  const synced = new Set(ShadowSync.Content.map(({ thingArn }) => thingArn));
  const member = ({ thingArn, certArn }: { thingArn: string; certArn: string }) => ({
    Id: thingNameOf(thingArn) ?? '',
    ThingArn: thingArn,
    CertificateArn: certArn,
    SyncShadow: synced.has(thingArn),
  });
  // The certificate that the core has: the document may name one that was replaced since.
  const ownCertificate = certificateArn(disk.config.region, disk.config.accountId, disk.coreCertificate.id);
  const resources = Resources.Content.filter(({ Type }) => isLocal(Type)).map(toResource);
  const kept = new Set(resources.map(({ Id }) => Id));
  const cores = await greengrass.send(
    new CreateCoreDefinitionCommand({
      Name,
      InitialVersion: { Cores: group.Cores.map((core) => member({ ...core, certArn: ownCertificate })) },
    }),
  );
  const devices = await greengrass.send(
    new CreateDeviceDefinitionCommand({ Name, InitialVersion: { Devices: group.Devices.map(member) } }),
  );
  const functions = await greengrass.send(
    new CreateFunctionDefinitionCommand({
      Name,
      InitialVersion: {
        ...(DefaultFunctionExecution === undefined
          ? {}
          : { DefaultConfig: { Execution: DefaultFunctionExecution } }),
        Functions: disk.functions.map((f, index) => toFunction(f, index, kept, DefaultFunctionExecution)),
      } as { Functions: FunctionMember[] },
    }),
  );
  const subscriptions = await greengrass.send(
    new CreateSubscriptionDefinitionCommand({
      Name,
      InitialVersion: {
        Subscriptions: Subscriptions.Content.map((s, index) => ({ ...s, Id: s.Id ?? `s${index}` })),
      },
    }),
  );
  const resourceDefinition = await greengrass.send(
    new CreateResourceDefinitionCommand({ Name, InitialVersion: { Resources: resources } }),
  );
  const loggers = await greengrass.send(
    new CreateLoggerDefinitionCommand({
      Name,
      InitialVersion: {
        Loggers: Logging.Content.map(({ Space, ...logger }, index) => ({
          Id: `l${index}`,
          ...logger,
          ...(Space === undefined ? {} : { Space }),
        })),
      },
    }),
  );
  const InitialVersion = {
    CoreDefinitionVersionArn: present(cores.LatestVersionArn, 'LatestVersionArn'),
    DeviceDefinitionVersionArn: present(devices.LatestVersionArn, 'LatestVersionArn'),
    FunctionDefinitionVersionArn: present(functions.LatestVersionArn, 'LatestVersionArn'),
    SubscriptionDefinitionVersionArn: present(subscriptions.LatestVersionArn, 'LatestVersionArn'),
    ResourceDefinitionVersionArn: present(resourceDefinition.LatestVersionArn, 'LatestVersionArn'),
    LoggerDefinitionVersionArn: present(loggers.LatestVersionArn, 'LatestVersionArn'),
  };
  if (GroupId !== undefined) {
    const { Version } = await greengrass.send(new CreateGroupVersionCommand({ GroupId, ...InitialVersion }));
    return { groupId: GroupId, versionId: present(Version, 'Version') };
  }
  const { Id, LatestVersion } = await greengrass.send(new CreateGroupCommand({ Name, InitialVersion }));
  return { groupId: present(Id, 'Id'), versionId: present(LatestVersion, 'LatestVersion') };
}

function toResource({
  Id,
  Name,
  Type,
  Data,
}: V1Disk['group']['GroupDefinitions']['Resources']['Content'][number]): Resource {
  const { type: _type, ...data } = Data;
  const kind = Type === 'LOCAL_VOLUME' ? 'LocalVolumeResourceData' : 'LocalDeviceResourceData';
  return { Id, Name: Name ?? Id, ResourceDataContainer: { [kind]: data } };
}

/** Resources that could not be taken over are left out of what the function may use. */
function toFunction(
  { arn, settings }: DiskFunction,
  index: number,
  resources: ReadonlySet<string | undefined>,
  defaults: Execution | undefined,
): object {
  const { Pinned, Executable, ExecArgs, MemorySize, Timeout, EncodingType, Environment } = settings;
  const policies = Environment?.ResourceAccessPolicies?.filter(({ ResourceId }) => resources.has(ResourceId));
  const isolation = Environment?.Execution?.IsolationMode ?? defaults?.IsolationMode;
  const FunctionConfiguration = {
    Pinned,
    ...(settings.Runtime === EXECUTABLE_RUNTIME ? { Executable } : {}),
    ExecArgs,
    // Without a container there is no limit to set.
    MemorySize: isolation === 'NoContainer' ? undefined : MemorySize,
    Timeout,
    EncodingType,
    Environment: Environment && { ...Environment, ...(policies ? { ResourceAccessPolicies: policies } : {}) },
  };
  const present = Object.entries(FunctionConfiguration).filter(([, value]) => value !== undefined);
  return { Id: `f${index}`, FunctionArn: arn, FunctionConfiguration: Object.fromEntries(present) };
}
