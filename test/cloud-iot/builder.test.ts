/** Group version → group document: what is put in, what is looked up, and everything that must not get through. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, GroupBuilder } from '../../greengrass/cloud/deployment/builder.js';
import type { GroupDocument } from '../../greengrass/model/group.js';
import {
  ACCOUNT,
  Deployable,
  DIGEST,
  functionArn,
  type GroupParts,
  type Member,
  REGION,
} from './deployable.js';

describe('the group builder', () => {
  let group: Deployable;
  let core: Member;
  let lamp: Member;
  beforeAll(async () => {
    group = await Deployable.open();
    core = await group.member('core', { SyncShadow: true });
    lamp = await group.member('lamp', { SyncShadow: false });
    await group.lambda('hello');
    await group.lambda('echo');
  });
  afterAll(() => group.close());

  const buildVersion = (groupVersionId: string): Promise<GroupDocument> => {
    const builder = new GroupBuilder({
      store: group.store,
      secrets: group.secrets,
      models: group.models,
      region: REGION,
      accountId: ACCOUNT,
    });
    return builder.build({ groupId: group.groupId, groupVersionId, deploymentId: 'd1' });
  };
  const build = async (parts: GroupParts) =>
    buildVersion(await group.version({ cores: { Cores: [core] }, ...parts }));
  /** The refusal's problems; fails where the group was built. */
  async function problemsOf(building: Promise<unknown>): Promise<BuildError['problems']> {
    const error = await building.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof BuildError)) throw new Error(`expected a BuildError, got ${String(error)}`);
    expect(error.message).toMatch(
      /^We cannot deploy because the group definition is invalid or corrupted for the following reasons: \{ErrorSet\(errorSet=\[ErrorModel\(errorCode=[A-Z0-9_-]+, errorMsg=/,
    );
    expect(error.message).toMatch(/\)\]\)\}$/);
    return error.problems;
  }
  const settings = { MemorySize: 16384, Timeout: 5, EncodingType: 'json' };
  const functions = (...arns: string[]) => ({
    Functions: arns.map((FunctionArn, n) => ({ Id: `f${n}`, FunctionArn, FunctionConfiguration: settings })),
  });

  it('makes the document of a group with everything', async () => {
    const document = await build({
      devices: { Devices: [lamp] },
      functions: {
        DefaultConfig: { Execution: { IsolationMode: 'GreengrassContainer', RunAs: { Uid: 1001 } } },
        Functions: [
          {
            Id: 'f',
            FunctionArn: functionArn('hello', 'live'),
            FunctionConfiguration: {
              ...settings,
              Pinned: true,
              Environment: {
                Variables: { A: 'b' },
                ResourceAccessPolicies: [{ ResourceId: 'volume', Permission: 'rw' }],
              },
            },
          },
          {
            Id: 'ip',
            FunctionArn: 'arn:aws:lambda:::function:GGIPDetector:1',
            FunctionConfiguration: { Pinned: true, MemorySize: 32768, Timeout: 3 },
          },
        ],
      },
      subscriptions: {
        Subscriptions: [
          { Id: 's1', Source: lamp.ThingArn, Subject: 'a/#', Target: functionArn('hello', 'live') },
          { Id: 's2', Source: functionArn('hello', '1'), Subject: 'b', Target: 'cloud' },
        ],
      },
      resources: {
        Resources: [
          {
            Id: 'volume',
            Name: 'Volume',
            ResourceDataContainer: {
              LocalVolumeResourceData: { SourcePath: '/srv/data', DestinationPath: '/data' },
            },
          },
        ],
      },
    });
    expect(document).toEqual({
      $Schema: null,
      Arn: expect.stringMatching(new RegExp(`:/greengrass/groups/${group.groupId}/versions/[0-9a-f-]{36}$`)),
      Version: null,
      Region: REGION,
      Cores: [{ thingArn: core.ThingArn, certArn: core.CertificateArn }],
      Devices: [{ thingArn: lamp.ThingArn, certArn: lamp.CertificateArn }],
      GroupDefinitions: {
        Resources: {
          ref: null,
          Content: [
            {
              ...{ Id: 'volume', Name: 'Volume', Type: 'LOCAL_VOLUME' },
              Data: { type: 'LocalVolumeResourceData', SourcePath: '/srv/data', DestinationPath: '/data' },
            },
          ],
        },
        Lambdas: {
          ref: null,
          Content: [
            {
              FunctionArn: functionArn('hello', '1'),
              ArtifactArn: `arn:aws:greengrass:${REGION}:${ACCOUNT}:/greengrass/groups/${group.groupId}/deployments/d1/artifacts/lambda/${DIGEST}`,
              DeploymentConfiguration: {
                ...{ Priority: 1, Pinned: true, Description: 'says hello', Handler: 'main.handler' },
                ...{ CodeSha256: Buffer.from(DIGEST, 'hex').toString('base64'), CodeSize: 1234 },
                ...{ MemorySize: 16384, Timeout: 5, EncodingType: 'json', Runtime: 'python3.7' },
                Environment: {
                  Variables: { A: 'b' },
                  ResourceAccessPolicies: [{ ResourceId: 'volume', Permission: 'rw' }],
                },
              },
            },
            {
              FunctionArn: 'arn:aws:lambda:::function:GGIPDetector:1',
              DeploymentConfiguration: { Pinned: true, MemorySize: 32768, Timeout: 3 },
            },
          ],
        },
        Subscriptions: {
          ref: null,
          Content: [
            { Id: 's1', Source: lamp.ThingArn, Subject: 'a/#', Target: functionArn('hello', '1') },
            { Id: 's2', Source: functionArn('hello', '1'), Subject: 'b', Target: 'cloud' },
          ],
        },
        Logging: {
          Content: [
            { Type: 'FileSystem', Component: 'GreengrassSystem', Level: 'INFO', Space: 128 },
            { Type: 'FileSystem', Component: 'Lambda', Level: 'INFO', Space: 128 },
          ],
        },
        ShadowSync: { ref: null, Content: [{ thingArn: core.ThingArn }] },
        ClientCertFingerprints: { Content: [lamp.CertificateArn.split('/')[1]] },
        DefaultFunctionExecution: { IsolationMode: 'GreengrassContainer', RunAs: { Uid: 1001 } },
      },
    });
  });

  it('resolves an alias in a subscription whose function the group names by version, and the other way', async () => {
    const subscription = (Source: string) => ({
      Subscriptions: [{ Id: 's', Source, Subject: 'a', Target: 'cloud' }],
    });
    for (const [member, source] of [
      ['1', 'live'],
      ['live', '1'],
    ] as const) {
      const { GroupDefinitions } = await build({
        functions: functions(functionArn('hello', member)),
        subscriptions: subscription(functionArn('hello', source)),
      });
      expect(GroupDefinitions.Subscriptions.Content[0]?.Source).toBe(functionArn('hello', '1'));
    }
    const problems = await problemsOf(build({ subscriptions: subscription(functionArn('hello', 'live')) }));
    expect(problems).toEqual([
      { code: 'SUBSCRIPTION_ERROR', message: expect.stringContaining('is not a member of the group') },
    ]);
  });

  it("takes the group's own runtime and the function's own time-out where the group names none", async () => {
    const { GroupDefinitions } = await build({
      functions: {
        Functions: [
          {
            Id: 'f',
            FunctionArn: functionArn('echo', '1'),
            FunctionConfiguration: { MemorySize: 1024, FunctionRuntimeOverride: 'python3.8' },
          },
        ],
      },
    });
    const [echo] = GroupDefinitions.Lambdas.Content;
    expect(echo?.DeploymentConfiguration).toMatchObject({ Runtime: 'python3.8', Timeout: 7, Pinned: false });
    expect(echo?.DeploymentConfiguration).not.toHaveProperty('FunctionRuntimeOverride');
  });

  it('puts the loggers of the group in place of the usual ones', async () => {
    const Loggers = [{ Id: 'l', Component: 'Lambda', Level: 'DEBUG', Type: 'AWSCloudWatch' }];
    const { GroupDefinitions } = await build({ loggers: { Loggers } });
    expect(GroupDefinitions.Logging.Content).toEqual([
      { Component: 'Lambda', Level: 'DEBUG', Type: 'AWSCloudWatch' },
    ]);
  });

  const volume = (ResourceDataContainer: object) => ({
    Resources: [{ Id: 'r', Name: 'R', ResourceDataContainer }],
  });
  const ghost = {
    Id: 'ghost',
    ThingArn: `arn:aws:iot:${REGION}:${ACCOUNT}:thing/ghost`,
    CertificateArn: `arn:aws:iot:${REGION}:${ACCOUNT}:cert/${'e'.repeat(64)}`,
  };

  it.each<[string, GroupParts, string, RegExp]>([
    ['no core', { cores: { Cores: [] } }, 'GG-303', /You need a Greengrass Core in this Group/],
    ['a thing that is not there', { devices: { Devices: [ghost] } }, 'THING_NOT_FOUND_ERROR', /thing\/ghost/],
    [
      'a certificate that is not there',
      { devices: { Devices: [ghost] } },
      'THING_CERT_NOT_FOUND_ERROR',
      /cert\/eeee/,
    ],
    [
      "another account's thing",
      {
        devices: {
          Devices: [{ ...ghost, ThingArn: `arn:aws:iot:${REGION}:999999999999:thing/lamp` }],
        },
      },
      'THING_NOT_FOUND_ERROR',
      /999999999999/,
    ],
    [
      'a function that is not there',
      { functions: functions(functionArn('nobody', '1')) },
      'FUNCTION_NOT_FOUND_ERROR',
      /nobody/,
    ],
    [
      'a version that is not there',
      { functions: functions(functionArn('hello', '99')) },
      'FUNCTION_NOT_FOUND_ERROR',
      /hello:99/,
    ],
    [
      '$LATEST',
      { functions: functions(functionArn('hello', '$LATEST')) },
      'FUNCTION_NOT_FOUND_ERROR',
      /\$LATEST/,
    ],
    [
      "another region's function",
      { functions: functions(functionArn('hello', '1').replace(REGION, 'eu-west-1')) },
      'FUNCTION_NOT_FOUND_ERROR',
      /eu-west-1/,
    ],
    [
      'one function twice, by version and by alias',
      { functions: functions(functionArn('hello', '1'), functionArn('hello', 'live')) },
      'FUNCTION_ARN_ERROR',
      /twice/,
    ],
    [
      'a connector',
      {
        connectors: {
          Connectors: [{ Id: 'c', ConnectorArn: 'arn:aws:greengrass:us-east-1::/connectors/SNS/versions/1' }],
        },
      },
      'CONNECTOR_NOT_SUPPORTED_ERROR',
      /connectors\/SNS\/versions\/1/,
    ],
    [
      'a resource of another kind',
      { resources: volume({ QuantumModelResourceData: { S3Uri: 'x' } }) },
      'RESOURCE_TYPE_UNEXPECTED_ERROR',
      /QuantumModelResourceData/,
    ],
    [
      'a model whose address is none',
      { resources: volume({ S3MachineLearningModelResourceData: { S3Uri: 'x' } }) },
      'MODEL_NOT_FOUND_ERROR',
      /The model of resource r cannot be had: x is not the address of an object in S3/,
    ],
    [
      'a model that is not there',
      { resources: volume({ S3MachineLearningModelResourceData: { S3Uri: 's3://models/m.zip' } }) },
      'MODEL_NOT_FOUND_ERROR',
      /bucket models has no object m\.zip: this service reads it from .*objects\/models\/m\.zip/,
    ],
    [
      'a training job whose model is not there',
      {
        resources: volume({
          SageMakerMachineLearningModelResourceData: {
            SageMakerJobArn: `arn:aws:sagemaker:${REGION}:${ACCOUNT}:training-job/cats-7`,
          },
        }),
      },
      'MODEL_NOT_FOUND_ERROR',
      /training job arn:aws:sagemaker:.*cats-7: .* from .*objects\/sagemaker\/cats-7\/output\/model\.tar\.gz/,
    ],
    [
      'a secret that is not there',
      { resources: volume({ SecretsManagerSecretResourceData: { ARN: 'nothing' } }) },
      'SECRET_NOT_FOUND_ERROR',
      /Secret nothing of resource r cannot be found/,
    ],
    [
      'a resource of two kinds',
      { resources: volume({ LocalVolumeResourceData: {}, LocalDeviceResourceData: {} }) },
      'RESOURCE_TYPE_UNEXPECTED_ERROR',
      /LocalVolumeResourceData, LocalDeviceResourceData/,
    ],
    ['a resource of no kind', { resources: volume({}) }, 'RESOURCE_TYPE_UNEXPECTED_ERROR', /none/],
    [
      'a resource of a kind that every object has',
      { resources: volume({ constructor: { SourcePath: '/dev/x' } }) },
      'RESOURCE_TYPE_UNEXPECTED_ERROR',
      /constructor/,
    ],
    [
      'a volume whose data name another kind',
      {
        resources: volume({
          LocalVolumeResourceData: { type: 'Evil', SourcePath: '/srv', DestinationPath: '/data' },
        }),
      },
      'GROUP_DEFINITION_ERROR',
      /type/,
    ],
    [
      'a volume that climbs',
      {
        resources: volume({
          LocalVolumeResourceData: { SourcePath: '/srv/../etc', DestinationPath: '/data' },
        }),
      },
      'RESOURCE_PATH_ERROR',
      /\.\./,
    ],
    [
      'a device outside /dev',
      { resources: volume({ LocalDeviceResourceData: { SourcePath: '/etc/shadow' } }) },
      'RESOURCE_PATH_ERROR',
      /Device resource path should begin with \/dev/,
    ],
    [
      'a subject with a wildcard in the middle of a level',
      { subscriptions: { Subscriptions: [{ Id: 's', Source: 'cloud', Subject: 'a+/b', Target: 'cloud' }] } },
      'SUBSCRIPTION_ERROR',
      /a\+\/b/,
    ],
    ['content of another shape', { functions: { Functions: 'all' } }, 'GROUP_DEFINITION_ERROR', /Functions/],
    ['content that is null', { devices: 'null' }, 'GROUP_DEFINITION_ERROR', /devices definition/],
    [
      'a time-out of nothing',
      {
        functions: {
          Functions: [
            {
              Id: 'f',
              FunctionArn: functionArn('hello', '1'),
              FunctionConfiguration: { MemorySize: 1024, Timeout: 0 },
            },
          ],
        },
      },
      'GROUP_DEFINITION_ERROR',
      /Timeout/,
    ],
  ])('refuses %s', async (_what, parts, code, text) => {
    const problems = await problemsOf(build(parts));
    expect(problems.filter((problem) => problem.code === code).map(({ message }) => message)).toEqual(
      expect.arrayContaining([expect.stringMatching(text)]),
    );
  });

  it('resolves models, and passes on what subscriptions say beyond V1', async () => {
    mkdirSync(join(group.objectsFolder, 'models'), { recursive: true });
    writeFileSync(join(group.objectsFolder, 'models', 'net.zip'), 'zip');
    const digest = createHash('sha256').update('zip').digest('hex');
    const document = await build({
      devices: { Devices: [lamp] },
      resources: volume({
        S3MachineLearningModelResourceData: { S3Uri: 's3://models/net.zip', DestinationPath: '/net' },
      }),
      subscriptions: {
        Subscriptions: [
          { Id: 's', Source: lamp.ThingArn, Subject: 'a', Target: 'cloud', Priority: 5, Ttl: 60, Qos: 0 },
        ],
      },
    });
    const { Resources, Subscriptions } = document.GroupDefinitions;
    expect(Resources.Content).toMatchObject([
      {
        Type: 'ML_MODEL_S3_OBJECT',
        Data: {
          DestinationPath: '/net',
          ArtifactArn: expect.stringMatching(`/deployments/d1/artifacts/mlmodel/${digest}$`),
          Size: 3,
          FileName: 'net.zip',
        },
      },
    ]);
    expect(Subscriptions.Content).toMatchObject([{ Id: 's', Priority: 5, Ttl: 60, Qos: 0 }]);
  });

  it('names everything that is wrong at once', async () => {
    const problems = await problemsOf(
      build({
        devices: { Devices: [ghost] },
        functions: functions(functionArn('nobody', '1')),
        resources: volume({ QuantumModelResourceData: {} }),
      }),
    );
    expect(problems.map(({ code }) => code).sort()).toEqual([
      'FUNCTION_NOT_FOUND_ERROR',
      'RESOURCE_TYPE_UNEXPECTED_ERROR',
      'THING_CERT_NOT_FOUND_ERROR',
      'THING_NOT_FOUND_ERROR',
    ]);
  });

  it.each([
    ['that was deleted', `arn:aws:greengrass:${REGION}:${ACCOUNT}:/greengrass/definition/cores/x/versions/y`],
    [
      'of another kind',
      `arn:aws:greengrass:${REGION}:${ACCOUNT}:/greengrass/definition/devices/x/versions/y`,
    ],
    ['that is no ARN', 'x'],
  ])('refuses a reference to a definition %s', async (_what, CoreDefinitionVersionArn) => {
    const version = await group.rawVersion({ CoreDefinitionVersionArn });
    const problems = await problemsOf(buildVersion(version));
    expect(problems.map(({ code }) => code)).toContain('DEFINITION_NOT_FOUND_ERROR');
  });

  it('refuses a group version that is not there', async () => {
    const problems = await problemsOf(buildVersion('nowhere'));
    expect(problems[0]).toEqual({
      code: 'DEFINITION_NOT_FOUND_ERROR',
      message: expect.stringContaining('Version nowhere'),
    });
  });
});
