import {
  CreateCoreDefinitionCommand,
  CreateDeviceDefinitionCommand,
  CreateFunctionDefinitionCommand,
  CreateGroupCommand,
  CreateGroupVersionCommand,
  CreateLoggerDefinitionVersionCommand,
  CreateResourceDefinitionCommand,
  CreateSubscriptionDefinitionCommand,
  CreateSubscriptionDefinitionVersionCommand,
  DeleteCoreDefinitionCommand,
  DeleteGroupCommand,
  GetCoreDefinitionCommand,
  GetCoreDefinitionVersionCommand,
  GetFunctionDefinitionVersionCommand,
  GetGroupCommand,
  GetGroupVersionCommand,
  type GreengrassClient,
  type Function as GreengrassFunction,
  ListCoreDefinitionsCommand,
  ListGroupsCommand,
  ListGroupVersionsCommand,
  ListTagsForResourceCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateCoreDefinitionCommand,
  UpdateGroupCommand,
  UpdateResourceDefinitionCommand,
} from '@aws-sdk/client-greengrass';
import { Cloud, refusalOf } from './harness.js';

const CORE = {
  Id: 'core',
  ThingArn: 'arn:aws:iot:us-east-1:123456789012:thing/core',
  CertificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`,
};
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const NOBODY = '7b0bdeae-54c7-47cf-9f93-561e672efd9c';

let cloud: Cloud;
let greengrass: GreengrassClient;
beforeAll(async () => {
  cloud = await Cloud.start();
  greengrass = cloud.greengrass();
});
afterAll(async () => {
  greengrass.destroy();
  await cloud.stop();
});

describe('definitions', () => {
  it('a creation with a first version answers DEF with 201', async () => {
    const made = await greengrass.send(
      new CreateCoreDefinitionCommand({ Name: 'cores', InitialVersion: { Cores: [CORE] }, tags: { a: 'b' } }),
    );
    const { $metadata, ...body } = made;
    expect($metadata.httpStatusCode).toBe(201);
    expect($metadata.requestId).toMatch(UUID);
    expect(body.Id).toMatch(UUID);
    const arn = `arn:aws:greengrass:us-east-1:${cloud.installation.accountId}:/greengrass/definition/cores/${body.Id}`;
    expect(body).toEqual({
      Arn: arn,
      CreationTimestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      Id: body.Id,
      LastUpdatedTimestamp: body.CreationTimestamp,
      LatestVersion: expect.stringMatching(UUID),
      LatestVersionArn: `${arn}/versions/${body.LatestVersion}`,
      Name: 'cores',
    });
    const got = await greengrass.send(new GetCoreDefinitionCommand({ CoreDefinitionId: body.Id }));
    expect(got).toMatchObject({ ...body, tags: { a: 'b' } });
    const version = await greengrass.send(
      new GetCoreDefinitionVersionCommand({
        CoreDefinitionId: body.Id,
        CoreDefinitionVersionId: body.LatestVersion,
      }),
    );
    expect(version).toMatchObject({
      Definition: { Cores: [CORE] },
      Version: body.LatestVersion,
      Id: body.Id,
    });
  });

  it('a creation without anything has neither name nor version', async () => {
    const { $metadata, ...body } = await greengrass.send(new CreateDeviceDefinitionCommand({}));
    expect(Object.keys(body).sort()).toEqual(['Arn', 'CreationTimestamp', 'Id', 'LastUpdatedTimestamp']);
  });

  it('an update changes the name and the time; an empty name is refused before the id is looked at', async () => {
    const { Id } = await greengrass.send(new CreateCoreDefinitionCommand({ Name: 'old' }));
    await greengrass.send(new UpdateCoreDefinitionCommand({ CoreDefinitionId: Id, Name: 'new' }));
    expect(await greengrass.send(new GetCoreDefinitionCommand({ CoreDefinitionId: Id }))).toMatchObject({
      Name: 'new',
    });
    expect(
      await refusalOf(
        greengrass.send(new UpdateCoreDefinitionCommand({ CoreDefinitionId: NOBODY, Name: '' })),
      ),
    ).toEqual({
      status: 400,
      type: 'InvalidContainerDefinitionException',
      message: 'Input does not contain any attributes to be updated',
    });
    expect(
      await refusalOf(
        greengrass.send(new UpdateResourceDefinitionCommand({ ResourceDefinitionId: NOBODY, Name: '' })),
      ),
    ).toMatchObject({ type: 'InvalidInputException', message: 'Invalid resource name.' });
  });

  it('lists in pages with a token that fits no other list', async () => {
    for (let n = 0; n < 3; n++) await greengrass.send(new CreateCoreDefinitionCommand({ Name: `page ${n}` }));
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const page = await greengrass.send(
        new ListCoreDefinitionsCommand({ MaxResults: '2', ...(token ? { NextToken: token } : {}) }),
      );
      expect(page.Definitions?.length).toBeLessThanOrEqual(2);
      seen.push(...(page.Definitions ?? []).map((definition) => definition.Id ?? ''));
      token = page.NextToken;
      if (token) {
        const wrong = greengrass.send(new ListGroupsCommand({ NextToken: token }));
        expect(await refusalOf(wrong)).toMatchObject({ status: 400, type: 'BadRequestException' });
      }
    } while (token);
    expect(seen).toEqual([...new Set(seen)].sort());
    const bad = greengrass.send(new ListCoreDefinitionsCommand({ MaxResults: 'many' }));
    expect(await refusalOf(bad)).toMatchObject({ status: 400 });
  });

  it('deletes a definition with its versions', async () => {
    const { Id } = await greengrass.send(new CreateCoreDefinitionCommand({ Name: 'gone' }));
    await greengrass.send(new DeleteCoreDefinitionCommand({ CoreDefinitionId: Id }));
    expect(await refusalOf(greengrass.send(new GetCoreDefinitionCommand({ CoreDefinitionId: Id })))).toEqual({
      status: 404,
      type: 'IdNotFoundException',
      message: 'That Core List Definition does not exist.',
    });
    expect(
      await refusalOf(greengrass.send(new DeleteCoreDefinitionCommand({ CoreDefinitionId: Id }))),
    ).toMatchObject({ message: 'That cores definition does not exist.' });
  });

  it('a missing version is named as V1 named it', async () => {
    const { Id } = await greengrass.send(new CreateFunctionDefinitionCommand({}));
    const missing = new GetFunctionDefinitionVersionCommand({
      FunctionDefinitionId: Id,
      FunctionDefinitionVersionId: NOBODY,
    });
    expect(await refusalOf(greengrass.send(missing))).toEqual({
      status: 404,
      type: 'IdNotFoundException',
      message: `Version ${NOBODY} of Lambda List Definition ${Id} does not exist.`,
    });
  });

  it('checks the ends of subscriptions before the definition they are for', async () => {
    const Subscriptions = [
      { Id: 's1', Source: 'nobody', Subject: 'a/b', Target: 'cloud' },
      { Id: 's2', Source: 'cloud', Subject: 'a/b', Target: 'arn:aws:lambda:us-east-1:1:function:f' },
    ];
    const command = new CreateSubscriptionDefinitionVersionCommand({
      SubscriptionDefinitionId: NOBODY,
      Subscriptions,
    });
    expect(await refusalOf(greengrass.send(command))).toMatchObject({
      status: 400,
      message:
        "The subscriptions definition is invalid or corrupted. (ErrorDetails: [Subscription target is invalid. ID is 's2' and Target is 'arn:aws:lambda:us-east-1:1:function:f', Subscription source is invalid. ID is 's1' and Source is 'nobody'])",
    });
    const legal = new CreateSubscriptionDefinitionVersionCommand({
      SubscriptionDefinitionId: NOBODY,
      Subscriptions: [{ Id: 's', Source: 'cloud', Subject: 'a/#', Target: 'GGShadowService' }],
    });
    expect(await refusalOf(greengrass.send(legal))).toMatchObject({
      type: 'IdNotFoundException',
      message: 'That subscriptions does not exist.',
    });
    const bad = new CreateSubscriptionDefinitionCommand({
      InitialVersion: {
        Subscriptions: [{ Id: 's', Source: 'cloud', Subject: 'a/#/b', Target: 'GGShadowService' }],
      },
    });
    expect((await refusalOf(greengrass.send(bad))).message).toContain('Subscription subject is invalid');
  });

  it.each([
    [
      { LocalVolumeResourceData: { SourcePath: '/sys/class', DestinationPath: '/x' } },
      'The resources definition is invalid. (ErrorDetails: [Accessing /sys is prohibited])',
    ],
    [
      { LocalVolumeResourceData: { SourcePath: '//sys/./class', DestinationPath: '/x' } },
      'The resources definition is invalid. (ErrorDetails: [Accessing /sys is prohibited])',
    ],
    [
      { LocalDeviceResourceData: { SourcePath: '/tmp/x' } },
      'The resources definition is invalid. (ErrorDetails: [Device resource path should begin with /dev, but got: /tmp/x])',
    ],
    [
      { LocalDeviceResourceData: { SourcePath: '/dev/../etc/passwd' } },
      'The resources definition is invalid. (ErrorDetails: [Device resource path should begin with /dev, but got: /dev/../etc/passwd])',
    ],
    [
      {},
      "The resources definition is invalid. (ErrorDetails: [Resource 'r' must have exactly one kind of data, but has 0])",
    ],
  ])('refuses resource %j', async (ResourceDataContainer, message) => {
    const command = new CreateResourceDefinitionCommand({
      InitialVersion: { Resources: [{ Id: 'r', Name: 'r', ResourceDataContainer }] },
    });
    expect(await refusalOf(greengrass.send(command))).toMatchObject({ status: 400, message });
  });

  const FUNCTION = 'arn:aws:lambda:us-east-1:123456789012:function:f:1';
  const inContainer = 'GreengrassContainer' as const;
  const withoutContainer = 'NoContainer' as const;
  const refusedFunctions: Array<[GreengrassFunction, string]> = [
    [
      { Id: 'f', FunctionArn: FUNCTION, FunctionConfiguration: { Timeout: 3 } },
      `MemorySize configuration for function with arn ${FUNCTION} is required in IsolationMode=GreengrassContainer.`,
    ],
    [
      {
        Id: 'f',
        FunctionArn: FUNCTION,
        FunctionConfiguration: {
          MemorySize: 1024,
          Environment: { Execution: { IsolationMode: withoutContainer } },
        },
      },
      `MemorySize configuration for function with arn ${FUNCTION} is not allowed in IsolationMode=NoContainer.`,
    ],
    [
      {
        Id: 'f',
        FunctionArn: FUNCTION,
        FunctionConfiguration: {
          Environment: { AccessSysfs: true, Execution: { IsolationMode: withoutContainer } },
        },
      },
      `Access Sysfs configuration for function with arn ${FUNCTION} is not allowed in IsolationMode=NoContainer.`,
    ],
    [
      {
        Id: 'f',
        FunctionArn: 'arn:aws:lambda:::function:GGIPDetector:1',
        FunctionConfiguration: { Environment: { Execution: { IsolationMode: inContainer } } },
      },
      'Execution configuration for function with arn arn:aws:lambda:::function:GGIPDetector:1 is not allowed.',
    ],
  ];
  it.each(refusedFunctions)('refuses function %j', async (groupFunction, message) => {
    const command = new CreateFunctionDefinitionCommand({ InitialVersion: { Functions: [groupFunction] } });
    expect(await refusalOf(greengrass.send(command))).toMatchObject({ status: 400, message });
  });

  it('takes the isolation of the group for functions that set none', async () => {
    const made = await greengrass.send(
      new CreateFunctionDefinitionCommand({
        InitialVersion: {
          DefaultConfig: { Execution: { IsolationMode: withoutContainer } },
          Functions: [{ Id: 'f', FunctionArn: FUNCTION, FunctionConfiguration: { Pinned: true } }],
        },
      }),
    );
    expect(made.LatestVersion).toMatch(UUID);
  });

  it('refuses an id that is used twice, and a member of the wrong type, by name', async () => {
    const twice = new CreateCoreDefinitionCommand({ InitialVersion: { Cores: [CORE, CORE] } });
    expect((await refusalOf(greengrass.send(twice))).message).toContain("Id 'core' is used more than once");
    const wrong = new CreateLoggerDefinitionVersionCommand({
      LoggerDefinitionId: NOBODY,
      Loggers: [{ Id: 'l', Component: 'Lambda', Level: 'INFO', Type: 'FileSystem', Space: 1.5 }],
    });
    expect(await refusalOf(greengrass.send(wrong))).toMatchObject({
      type: 'BadRequestException',
      message: expect.stringContaining('Loggers.0.Space'),
    });
  });
});

describe('groups', () => {
  it('a group without a first version has an empty one', async () => {
    const made = await greengrass.send(new CreateGroupCommand({ Name: 'g', tags: { team: '' } }));
    expect(made.$metadata.httpStatusCode).toBe(201);
    expect('tags' in made).toBe(false);
    const version = await greengrass.send(
      new GetGroupVersionCommand({ GroupId: made.Id, GroupVersionId: made.LatestVersion }),
    );
    expect(version.Definition).toEqual({});
    const got = await greengrass.send(new GetGroupCommand({ GroupId: made.Id }));
    expect(got.tags).toEqual({ team: '' });
  });

  it('names all the references of a version that exist nowhere, in order', async () => {
    const { Id } = await greengrass.send(new CreateGroupCommand({ Name: 'g' }));
    const cores = await greengrass.send(
      new CreateCoreDefinitionCommand({ InitialVersion: { Cores: [CORE] } }),
    );
    const { LatestVersionArn: arn = '' } = cores;
    const command = new CreateGroupVersionCommand({
      GroupId: Id,
      CoreDefinitionVersionArn: arn,
      DeviceDefinitionVersionArn: arn,
      FunctionDefinitionVersionArn: '123',
      SubscriptionDefinitionVersionArn: arn.replace('cores', 'subscriptions'),
    });
    expect(await refusalOf(greengrass.send(command))).toMatchObject({
      status: 400,
      message:
        'The group is invalid or corrupted. (ErrorDetails: [Lambda definition reference does not exist, Devices definition reference does not exist, Subscription definition reference does not exist])',
    });
  });

  it('lists versions, the newest first, and does not count one as a change of the group', async () => {
    const made = await greengrass.send(new CreateGroupCommand({ Name: 'g' }));
    const next = await greengrass.send(new CreateGroupVersionCommand({ GroupId: made.Id }));
    const { Versions = [] } = await greengrass.send(new ListGroupVersionsCommand({ GroupId: made.Id }));
    expect(Versions.map(({ Version }) => Version)).toEqual([next.Version, made.LatestVersion]);
    expect(await greengrass.send(new GetGroupCommand({ GroupId: made.Id }))).toMatchObject({
      LatestVersion: next.Version,
      LastUpdatedTimestamp: made.LastUpdatedTimestamp,
    });
  });

  it('says in its own words what does not exist', async () => {
    const expectations = [
      [new GetGroupCommand({ GroupId: NOBODY }), 'That Group Definition does not exist.'],
      [new UpdateGroupCommand({ GroupId: NOBODY, Name: 'n' }), 'That group definition does not exist.'],
      [new DeleteGroupCommand({ GroupId: NOBODY }), 'That group definition does not exist.'],
      [new ListGroupVersionsCommand({ GroupId: NOBODY }), 'That group definition does not exist.'],
      [new CreateGroupVersionCommand({ GroupId: NOBODY }), 'That group does not exist.'],
    ] as const;
    for (const [command, message] of expectations) {
      const refused = refusalOf(greengrass.send(command as GetGroupCommand));
      expect(await refused).toEqual({ status: 404, type: 'IdNotFoundException', message });
    }
  });

  it('a client token gives the first answer again, and another request a new one', async () => {
    const create = (Name: string) =>
      greengrass.send(new CreateGroupCommand({ Name, AmznClientToken: 'token-1' }));
    const [first, second] = await Promise.all([create('once'), create('once')]);
    expect(second.Id).toBe(first.Id);
    expect(second.$metadata.httpStatusCode).toBe(201);
    expect((await create('other')).Id).not.toBe(first.Id);
    const long = new CreateGroupCommand({ Name: 'n', AmznClientToken: 'x'.repeat(65) });
    expect(await refusalOf(greengrass.send(long))).toMatchObject({ status: 400 });
  });
});

describe('tags', () => {
  it('are added, overwritten and removed, up to fifty', async () => {
    const { Arn } = await greengrass.send(new CreateGroupCommand({ Name: 'g', tags: { a: '1' } }));
    const list = async () =>
      (await greengrass.send(new ListTagsForResourceCommand({ ResourceArn: Arn }))).tags;
    const tagged = await greengrass.send(
      new TagResourceCommand({ ResourceArn: Arn, tags: { a: '2', b: '' } }),
    );
    expect(tagged.$metadata.httpStatusCode).toBe(204);
    expect(await list()).toEqual({ a: '2', b: '' });
    await greengrass.send(new UntagResourceCommand({ ResourceArn: Arn, TagKeys: ['a', 'nothing'] }));
    expect(await list()).toEqual({ b: '' });
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`k${n}`, '']));
    const refused = greengrass.send(new TagResourceCommand({ ResourceArn: Arn, tags: many }));
    expect(await refusalOf(refused)).toMatchObject({ status: 400 });
    const unknown = greengrass.send(new ListTagsForResourceCommand({ ResourceArn: `${Arn}0` }));
    expect(await refusalOf(unknown)).toMatchObject({ status: 404 });
  });
});
