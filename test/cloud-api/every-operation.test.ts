/** All operations of the API through AWS's own clients, and each answer held against the API's model. */
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as v3 from '@aws-sdk/client-greengrass';
import { jest } from '@jest/globals';
import AWS from 'aws-sdk';
import type { Operation } from '../../greengrass/cloud/api/operation.js';
import type { ApiModel } from '../../greengrass/model/api-model.js';
import { GREENGRASS_API } from '../../greengrass/model/greengrass-api.js';
import { waitFor } from '../support/wait-for.js';
import { Cloud } from './harness.js';

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';

type Answer = Record<string, never> & { [member: string]: unknown };
type Caller = (operation: string, input?: object) => Promise<Answer>;

const ROLE = 'arn:aws:iam::123456789012:role/greengrass';
const KINDS = {
  Connector: {
    Connectors: [
      {
        Id: 'c',
        ConnectorArn: 'arn:aws:greengrass:us-east-1::/connectors/SNS/versions/1',
        Parameters: { DefaultSNSArn: 'arn:aws:sns:us-east-1:123456789012:t' },
      },
    ],
  },
  Core: {
    Cores: [
      {
        Id: 'core',
        ThingArn: 'arn:aws:iot:us-east-1:123456789012:thing/core',
        CertificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`,
        SyncShadow: true,
      },
    ],
  },
  Device: {
    Devices: [
      {
        Id: 'd',
        ThingArn: 'arn:aws:iot:us-east-1:123456789012:thing/d',
        CertificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${'b'.repeat(64)}`,
      },
    ],
  },
  Function: {
    DefaultConfig: { Execution: { IsolationMode: 'GreengrassContainer', RunAs: { Uid: 1, Gid: 2 } } },
    Functions: [
      {
        Id: 'f',
        FunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f:1',
        FunctionConfiguration: {
          MemorySize: 16384,
          Timeout: 3,
          Pinned: true,
          EncodingType: 'json',
          Environment: {
            AccessSysfs: false,
            Variables: { a: 'b' },
            ResourceAccessPolicies: [{ ResourceId: 'r', Permission: 'rw' }],
          },
        },
      },
    ],
  },
  Logger: {
    Loggers: [{ Id: 'l', Component: 'Lambda', Level: 'INFO', Type: 'FileSystem', Space: 1024 }],
  },
  Resource: {
    Resources: [
      {
        Id: 'r',
        Name: 'r',
        ResourceDataContainer: {
          LocalVolumeResourceData: {
            SourcePath: '/srv/a',
            DestinationPath: '/a',
            GroupOwnerSetting: { AutoAddGroupOwner: true },
          },
        },
      },
    ],
  },
  Subscription: {
    Subscriptions: [{ Id: 's', Source: 'cloud', Subject: 'a/#', Target: 'GGShadowService' }],
  },
};

/** A life that touches every operation. Answers the names of those it called. */
async function life(call: Caller, cloud: Cloud, suffix: string): Promise<void> {
  const references: Record<string, unknown> = {};
  for (const [kind, content] of Object.entries(KINDS)) {
    references[`${kind}DefinitionVersionArn`] = await definitionLife(call, kind, content);
  }
  const group = await call('CreateGroup', { Name: `g${suffix}`, InitialVersion: {}, tags: { a: 'b' } });
  const GroupId = group.Id;
  const version = await call('CreateGroupVersion', { GroupId, ...references });
  expect(version.Version).not.toBe(group.LatestVersion);
  await call('UpdateGroup', { GroupId, Name: 'other' });
  expect(await call('GetGroup', { GroupId })).toMatchObject({
    Name: 'other',
    LatestVersion: version.Version,
    tags: { a: 'b' },
  });
  expect((await call('ListGroups')).Groups).toEqual(
    expect.arrayContaining([expect.objectContaining({ Id: GroupId })]),
  );
  const got = await call('GetGroupVersion', { GroupId, GroupVersionId: version.Version });
  expect(got.Definition).toEqual(references);
  expect((await call('ListGroupVersions', { GroupId })).Versions).toHaveLength(2);

  await call('AssociateServiceRoleToAccount', { RoleArn: ROLE });
  expect((await call('GetServiceRoleForAccount')).RoleArn).toBe(ROLE);
  await call('DisassociateServiceRoleFromAccount');
  await call('AssociateRoleToGroup', { GroupId, RoleArn: ROLE });
  expect((await call('GetAssociatedRole', { GroupId })).RoleArn).toBe(ROLE);
  await call('DisassociateRoleFromGroup', { GroupId });

  await authorityLife(call, GroupId);
  await thingLife(call, `core${suffix}`, cloud);

  const deployment = await call('CreateDeployment', {
    GroupId,
    GroupVersionId: version.Version,
    DeploymentType: 'NewDeployment',
    AmznClientToken: `t${suffix}`,
  });
  const again = await call('CreateDeployment', {
    GroupId,
    GroupVersionId: version.Version,
    DeploymentType: 'NewDeployment',
    AmznClientToken: `t${suffix}`,
  });
  expect(again.DeploymentId).toBe(deployment.DeploymentId);
  const status = await call('GetDeploymentStatus', { GroupId, DeploymentId: deployment.DeploymentId });
  expect(status).toMatchObject({ DeploymentStatus: 'InProgress', DeploymentType: 'NewDeployment' });
  expect((await call('ListDeployments', { GroupId })).Deployments).toHaveLength(1);
  await bulkLife(call, cloud, String(GroupId), String(version.Version), suffix);
  await call('ResetDeployments', { GroupId, Force: true });
  await call('DeleteGroup', { GroupId });
}

async function definitionLife(call: Caller, kind: string, content: object): Promise<unknown> {
  const key = `${kind}DefinitionId`;
  const made = await call(`Create${kind}Definition`, { Name: kind, tags: { a: 'b' } });
  const id = { [key]: made.Id };
  const version = await call(`Create${kind}DefinitionVersion`, { ...id, ...content });
  const got = await call(`Get${kind}DefinitionVersion`, {
    ...id,
    [`${kind}DefinitionVersionId`]: version.Version,
  });
  expect(got.Definition).toEqual(content);
  await call(`Update${kind}Definition`, { ...id, Name: 'new' });
  expect(await call(`Get${kind}Definition`, id)).toMatchObject({
    Name: 'new',
    LatestVersionArn: version.Arn,
    tags: { a: 'b' },
  });
  expect((await call(`List${kind}DefinitionVersions`, id)).Versions).toHaveLength(1);
  expect((await call(`List${kind}Definitions`)).Definitions).toEqual(
    expect.arrayContaining([expect.objectContaining({ Id: made.Id })]),
  );
  const other = await call(`Create${kind}Definition`, { InitialVersion: content });
  await call(`Delete${kind}Definition`, { [key]: other.Id });
  const ResourceArn = made.Arn;
  await call('TagResource', { ResourceArn, tags: { c: '' } });
  await call('UntagResource', { ResourceArn, TagKeys: ['a', 'nothing'] });
  expect((await call('ListTagsForResource', { ResourceArn })).tags).toEqual({ c: '' });
  return version.Arn;
}

async function authorityLife(call: Caller, GroupId: unknown): Promise<void> {
  const { GroupCertificateAuthorityArn: arn } = await call('CreateGroupCertificateAuthority', { GroupId });
  const id = String(arn).split('/').at(-1);
  const got = await call('GetGroupCertificateAuthority', { GroupId, CertificateAuthorityId: id });
  expect(got.PemEncodedCertificate).toMatch(/^-----BEGIN CERTIFICATE-----/);
  expect(
    (await call('ListGroupCertificateAuthorities', { GroupId })).GroupCertificateAuthorities,
  ).toHaveLength(1);
  await call('UpdateGroupCertificateConfiguration', {
    GroupId,
    CertificateExpiryInMilliseconds: '1209600000',
  });
  const configuration = await call('GetGroupCertificateConfiguration', { GroupId });
  expect(String(configuration.CertificateExpiryInMilliseconds)).toBe('1209600000');
}

async function thingLife(call: Caller, ThingName: string, cloud: Cloud): Promise<void> {
  const ConnectivityInfo = [{ Id: 'a', HostAddress: '192.168.1.4', PortNumber: 8883, Metadata: '' }];
  const { Version } = await call('UpdateConnectivityInfo', { ThingName, ConnectivityInfo });
  expect(Version).toMatch(/^[0-9a-f-]{36}$/);
  expect((await call('GetConnectivityInfo', { ThingName })).ConnectivityInfo).toEqual(ConnectivityInfo);
  const thingArn = `arn:aws:iot:us-east-1:${cloud.installation.accountId}:thing/${ThingName}`;
  const now = new Date().toISOString();
  await cloud.store.things.create({
    ...{ thingName: ThingName, thingId: ThingName, thingArn, attributes: {}, version: 1, createdAt: now },
  });
  await call('UpdateThingRuntimeConfiguration', {
    ThingName,
    TelemetryConfiguration: { Telemetry: 'Off' },
  });
  expect((await call('GetThingRuntimeConfiguration', { ThingName })).RuntimeConfiguration).toEqual({
    TelemetryConfiguration: { Telemetry: 'Off', ConfigurationSyncStatus: 'OutOfSync' },
  });
  await cloud.store.software.put({
    ...{ version: '1.0.0', operatingSystem: 'linux', architecture: 'armv7l', sha256: 'a'.repeat(64) },
    ...{ size: 1, signature: 'c2ln', addedAt: now },
  });
  const job = await call('CreateSoftwareUpdateJob', {
    S3UrlSignerRole: ROLE,
    SoftwareToUpdate: 'core',
    UpdateTargets: [thingArn],
    UpdateTargetsArchitecture: 'armv7l',
    UpdateTargetsOperatingSystem: 'raspbian',
    UpdateAgentLogLevel: 'ERROR',
  });
  expect(job.IotJobId).toMatch(/^GreengrassUpdateJob_/);
}

async function bulkLife(
  call: Caller,
  cloud: Cloud,
  GroupId: string,
  GroupVersionId: string,
  suffix: string,
): Promise<void> {
  const file = join(cloud.objectsFolder, 'fleet', `${suffix}.txt`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify({ GroupId, GroupVersionId, DeploymentType: 'NewDeployment' })}\n`);
  const { BulkDeploymentId } = await call('StartBulkDeployment', {
    ExecutionRoleArn: ROLE,
    InputFileUri: `https://fleet.s3-us-east-1.amazonaws.com/${suffix}.txt`,
    tags: { a: 'b' },
  });
  await waitFor(
    async () =>
      (await call('GetBulkDeploymentStatus', { BulkDeploymentId })).BulkDeploymentStatus === 'Completed',
    { what: 'the end of the bulk deployment' },
  );
  const reports = await call('ListBulkDeploymentDetailedReports', { BulkDeploymentId });
  expect(reports.Deployments).toEqual([expect.objectContaining({ DeploymentStatus: 'InProgress' })]);
  expect((await call('ListBulkDeployments')).BulkDeployments).toEqual(
    expect.arrayContaining([expect.objectContaining({ BulkDeploymentId })]),
  );
  await expect(call('StopBulkDeployment', { BulkDeploymentId })).rejects.toThrow(
    'Cannot change state of finished execution.',
  );
}

/** What of the value the model does not allow; nothing where it fits. */
function misfits(shapeName: string, value: unknown, path: string): string[] {
  const shape = GREENGRASS_API.shapes[shapeName];
  switch (shape?.type) {
    case 'structure':
      return Object.entries(value as object).flatMap(([name, member]) => {
        const known =
          shape.members?.[name] ??
          Object.values(shape.members ?? {}).find(({ locationName }) => locationName === name);
        return known
          ? misfits(known.shape, member, `${path}.${name}`)
          : [`${path}.${name} is not in the model`];
      });
    case 'list':
      return (value as unknown[]).flatMap((item, index) =>
        misfits(shape.member ?? '', item, `${path}[${index}]`),
      );
    case 'map':
      return Object.entries(value as object).flatMap(([name, item]) =>
        misfits(shape.value ?? '', item, `${path}.${name}`),
      );
    case 'string':
      if (shape.enum && !shape.enum.includes(String(value))) return [`${path} is "${String(value)}"`];
      // As V1's service answered, against the model.
      if (/ExpiryInMilliseconds$/.test(path))
        return typeof value === 'number' ? [] : [`${path} is no number`];
      return typeof value === 'string' ? [] : [`${path} is a ${typeof value}`];
    case 'integer':
      return typeof value === 'number' ? [] : [`${path} is a ${typeof value}`];
    case 'boolean':
      return typeof value === 'boolean' ? [] : [`${path} is a ${typeof value}`];
    default:
      return [`${path} has the unknown shape ${shapeName}`];
  }
}

/** The path with its parameters unnamed. */
function plain(path: string): string {
  return path.replace(/\{[^}]+\}|:[A-Za-z]+/g, ':');
}

function routesOf({ path }: Operation): string[] {
  return [path].flat().map(plain);
}

describe('every operation', () => {
  let cloud: Cloud;
  beforeAll(async () => {
    cloud = await Cloud.start();
  });
  afterAll(() => cloud.stop());

  const all = Object.keys(GREENGRASS_API.operations).sort();

  it('there are 92, each on the route of the model', () => {
    expect(all).toHaveLength(92);
    for (const [name, { method, path }] of Object.entries(GREENGRASS_API.operations)) {
      const isServed = cloud
        .operations()
        .some((one) => one.name === name && one.method === method && routesOf(one).includes(plain(path)));
      expect({ name, isServed }).toEqual({ name, isServed: true });
    }
  });

  it('answers @aws-sdk/client-greengrass', async () => {
    // The client calls out that the expiries are numbers, where the model says strings.
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    const client = cloud.greengrass();
    const called = new Set<string>();
    const commands = v3 as unknown as Record<string, new (input: object) => never>;
    await life(
      async (operation, input = {}) => {
        called.add(operation);
        const Command = commands[`${operation}Command`];
        if (!Command) throw new Error(`the client has no ${operation}Command`);
        const { $metadata: _metadata, ...answer } = (await client.send(new Command(input))) as object & {
          $metadata: unknown;
        };
        return answer as Answer;
      },
      cloud,
      '3',
    );
    warn.mockRestore();
    expect([...called].sort()).toEqual(all);
  });

  it('answers aws-sdk v2, and every answer fits the model', async () => {
    const config = { endpoint: cloud.url, region: 'us-east-1', ...cloud.credentials, maxRetries: 0 };
    const client = new AWS.Greengrass(config);
    const called = new Set<string>();
    const wrong: string[] = [];
    await life(
      async (operation, input = {}) => {
        called.add(operation);
        const method = operation[0]?.toLowerCase() + operation.slice(1);
        const request = client.makeRequest(method, input);
        const answer = (await request.promise()) as Answer;
        const text = (
          request as unknown as { response: { httpResponse: { body: Buffer } } }
        ).response.httpResponse.body.toString();
        const output = GREENGRASS_API.operations[operation]?.output;
        if (text !== '' && output) wrong.push(...misfits(output, JSON.parse(text), operation));
        return answer;
      },
      cloud,
      '2',
    );
    expect(wrong).toEqual([]);
    expect([...called].sort()).toEqual(all);
  });
});

it('the model in the tree says what the one in aws-sdk says', () => {
  const require = createRequire(import.meta.url);
  interface MinShape {
    members?: Record<string, { shape?: string; location?: string; locationName?: string } & MinShape>;
    required?: string[];
  }
  const model = require('aws-sdk/apis/greengrass-2017-06-07.min.json') as {
    operations: Record<string, { http: { method?: string; requestUri: string }; input?: MinShape }>;
    shapes: Record<string, MinShape>;
  };
  const ours: ApiModel = GREENGRASS_API;
  expect(Object.keys(model.operations).sort()).toEqual(Object.keys(ours.operations).sort());
  for (const [name, { http, input }] of Object.entries(model.operations)) {
    const operation = ours.operations[name];
    expect({ name, method: operation?.method, path: operation?.path }).toEqual({
      name,
      method: http.method ?? 'POST',
      path: http.requestUri,
    });
    const shape = ours.shapes[operation?.input ?? ''];
    expect({ name, members: Object.keys(shape?.members ?? {}).sort() }).toEqual({
      name,
      members: Object.keys(input?.members ?? {}).sort(),
    });
    expect({ name, required: [...(shape?.required ?? [])].sort() }).toEqual({
      name,
      required: [...(input?.required ?? [])].sort(),
    });
  }
});
