/** A model's way: from S3's stand-in by a deployment to the functions that have the resource. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CreateResourceDefinitionCommand, type Resource } from '@aws-sdk/client-greengrass';
import { changeGroup } from '../../greengrass/cli/index.js';
import type { Device } from '../../greengrass/dev/device.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { zipOf } from '../deployment/zip.js';
import { tarGzOf } from '../resources/archives.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';

/** Reads, lists and writes below the prefix, and says what came of it. */
const SOURCE = `
import json, os
import greengrasssdk
client = greengrasssdk.client('iot-data')
def look(event):
    path = os.environ['AWS_GG_RESOURCE_PREFIX'] + event['path']
    if event['do'] == 'list':
        return sorted(os.listdir(path))
    if event['do'] == 'write':
        with open(path, 'w') as file:
            file.write(event['text'])
    with open(path) as file:
        return file.read()
def handler(event, context):
    try:
        answer = look(event)
    except Exception as error:
        answer = {'error': type(error).__name__}
    client.publish(topic='answer', payload=json.dumps({'token': event['token'], 'answer': answer}))
`;

/** A group of the operating system that nobody has. */
const OWNER = 64_077;
const RUN_AS = { Uid: 64_001, Gid: 64_001 };

describeAsRoot('machine learning models of a group', () => {
  let system: TestSystem;
  let device: Device;
  let functions: { inside: string; plain: string; other: string };

  beforeAll(async () => {
    system = await startSystem(['asker']);
    await greengrassd(system.root, 'start');
    const source = { handler: 'main.handler', files: { 'main.py': SOURCE } };
    functions = {
      inside: await publishFunction(system, { name: 'inside', ...source }),
      plain: await publishFunction(system, { name: 'plain', ...source }),
      other: await publishFunction(system, { name: 'other', ...source }),
    };
  });
  afterAll(() => system?.close());

  function putObject(address: string, content: Buffer): void {
    const path = join(system.folder, 'cloud', 'objects', address);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }

  const s3 = (Id: string, key: string, data: object = {}): Resource => ({
    Id,
    Name: Id,
    ResourceDataContainer: {
      S3MachineLearningModelResourceData: {
        S3Uri: `s3://greengrass-models/${key}`,
        DestinationPath: `/models/${Id}`,
        ...data,
      },
    },
  });

  interface Access {
    readonly inside?: ReadonlyArray<{ ResourceId: string; Permission?: 'ro' | 'rw' }>;
    readonly plain?: ReadonlyArray<{ ResourceId: string; Permission?: 'ro' | 'rw' }>;
  }

  async function deployModels(resources: Resource[], { inside = [], plain = [] }: Access) {
    const thing = `arn:aws:iot:us-east-1:${system.cloud.info.accountId}:thing/asker`;
    const common = { Pinned: false, Timeout: 10 };
    const noContainer = { IsolationMode: 'NoContainer' as const, RunAs: RUN_AS };
    await defineGroup(system, {
      functions: [
        {
          arn: functions.inside,
          configuration: {
            ...common,
            MemorySize: 65_536,
            Environment: { ResourceAccessPolicies: [...inside], Execution: { RunAs: RUN_AS } },
          },
        },
        {
          arn: functions.plain,
          configuration: {
            ...common,
            Environment: { ResourceAccessPolicies: [...plain], Execution: noContainer },
          },
        },
        {
          arn: functions.other,
          configuration: { ...common, Environment: { Execution: noContainer } },
        },
      ],
      subscriptions: (['inside', 'plain', 'other'] as const).flatMap((name) => [
        [thing, `ask/${name}`, functions[name]] as const,
        [functions[name], 'answer', thing] as const,
      ]),
    });
    const made = await system.clients.greengrass.send(
      new CreateResourceDefinitionCommand({ InitialVersion: { Resources: resources } }),
    );
    const version = await changeGroup(system.clients, system.groupId, {
      ResourceDefinitionVersionArn: made.LatestVersionArn ?? '',
    });
    return deploy(system, version);
  }

  let count = 0;
  async function ask(who: keyof typeof functions, request: object): Promise<unknown> {
    const token = `t${++count}`;
    await device.publish(`ask/${who}`, JSON.stringify({ token, ...request }));
    const isMine = (payload: Buffer) => (JSON.parse(payload.toString()) as { token: string }).token === token;
    const payload = await device.message('answer', isMine, 10_000);
    return (JSON.parse(payload.toString()) as { answer: unknown }).answer;
  }
  const read = (who: keyof typeof functions, path: string) => ask(who, { do: 'read', path });

  const deployment = (...parts: string[]) => join(system.root, 'ggc', 'deployment', ...parts);
  const modelsOnDisk = () =>
    ['mlmodel', 'mlmodel_public'].flatMap((name) =>
      existsSync(deployment(name)) ? readdirSync(deployment(name)).map((entry) => `${name}/${entry}`) : [],
    );

  const ALL = { inside: [{ ResourceId: 'cats', Permission: 'ro' as const }] };

  it('are unpacked and seen at their destination, by the function that has the resource', async () => {
    putObject('greengrass-models/cats.tar.gz', tarGzOf([{ name: './v/weights', data: 'cats one' }]));
    expect(await deployModels([s3('cats', 'cats.tar.gz')], ALL)).toMatchObject({
      DeploymentStatus: 'Success',
    });
    device = await system.device('asker');
    await device.subscribe('answer');
    expect(await read('inside', 'models/cats/v/weights')).toBe('cats one');
    expect(await ask('inside', { do: 'list', path: 'models/cats' })).toEqual(['v']);
    expect(await ask('inside', { do: 'write', path: 'models/cats/v/weights', text: 'dogs' })).toEqual({
      error: 'OSError',
    });
    // On the host it is root's: a function without a container does not get at it.
    const [place] = modelsOnDisk();
    expect(statSync(deployment('mlmodel')).mode & 0o777).toBe(0o700);
    expect(await read('other', join('..', '..', place ?? '', 'v/weights'))).toEqual({
      error: 'PermissionError',
    });
  });

  it('follow their source at the next deployment; the old version goes', async () => {
    const before = modelsOnDisk();
    putObject('greengrass-models/cats.tar.gz', tarGzOf([{ name: 'v/weights', data: 'cats two' }]));
    expect(await read('inside', 'models/cats/v/weights')).toBe('cats one');
    expect(await deployModels([s3('cats', 'cats.tar.gz')], ALL)).toMatchObject({
      DeploymentStatus: 'Success',
    });
    expect(await read('inside', 'models/cats/v/weights')).toBe('cats two');
    expect(modelsOnDisk()).toHaveLength(1);
    expect(modelsOnDisk()).not.toEqual(before);
    expect(readdirSync(deployment('mlmodel_artifacts'))).toEqual([]);
  });

  it('are not fetched again where nothing changed, nor is the function touched', async () => {
    const [place] = modelsOnDisk();
    const inode = statSync(deployment(place ?? '')).ino;
    expect(await deployModels([s3('cats', 'cats.tar.gz')], ALL)).toMatchObject({
      DeploymentStatus: 'Success',
    });
    expect(modelsOnDisk()).toEqual([place]);
    expect(statSync(deployment(place ?? '')).ino).toBe(inode);
  });

  const hostile: Array<[string, string, Buffer, RegExp]> = [
    [
      'a tar that climbs out',
      'evil.tar.gz',
      tarGzOf([{ name: '../../../evil', data: 'x' }]),
      /model evil\.tar\.gz was refused: entry "\.\.\/\.\.\/\.\.\/evil" leads out of its folder/,
    ],
    [
      'a zip that climbs out',
      'evil.zip',
      zipOf([{ name: '../evil', data: 'x' }]),
      /model evil\.zip was refused/,
    ],
    ['an archive that is none', 'none.tar.gz', Buffer.from('hello'), /can't be read as a \.tar\.gz archive/],
  ];
  it.each(hostile)(
    '%s fails the deployment, and the old group runs on',
    async (_what, key, content, reason) => {
      putObject(`greengrass-models/${key}`, content);
      const outcome = await deployModels([s3('cats', key)], ALL);
      expect(outcome.DeploymentStatus).toBe('Failure');
      expect(outcome.ErrorMessage).toMatch(reason);
      expect(outcome.ErrorDetails?.map(({ DetailedErrorCode }) => DetailedErrorCode)).toEqual([
        'ArtifactUnsafe',
      ]);
      expect(await read('inside', 'models/cats/v/weights')).toBe('cats two');
      expect(existsSync(deployment('evil')) || existsSync(deployment('mlmodel', 'evil'))).toBe(false);
    },
    60_000,
  );

  it('come from a training job, a zip or a plain file; may be written where the policy says so', async () => {
    putObject('sagemaker/job-7/output/model.tar.gz', tarGzOf([{ name: 'net', data: 'of job 7' }]));
    putObject('greengrass-models/labels.zip', zipOf([{ name: 'labels.txt', data: 'cat' }]));
    putObject('greengrass-models/deep/net.onnx', Buffer.from('onnx'));
    const { accountId } = system.cloud.info;
    const trained: Resource = {
      Id: 'trained',
      Name: 'trained',
      ResourceDataContainer: {
        SageMakerMachineLearningModelResourceData: {
          SageMakerJobArn: `arn:aws:sagemaker:us-east-1:${accountId}:training-job/job-7`,
          DestinationPath: '/models/trained',
        },
      },
    };
    const outcome = await deployModels([trained, s3('labels', 'labels.zip'), s3('onnx', 'deep/net.onnx')], {
      inside: [
        { ResourceId: 'trained', Permission: 'ro' },
        { ResourceId: 'labels', Permission: 'rw' },
        { ResourceId: 'onnx', Permission: 'ro' },
      ],
    });
    expect(outcome).toMatchObject({ DeploymentStatus: 'Success' });
    expect(await read('inside', 'models/trained/net')).toBe('of job 7');
    expect(await read('inside', 'models/onnx/net.onnx')).toBe('onnx');
    expect(await ask('inside', { do: 'write', path: 'models/labels/labels.txt', text: 'dog' })).toBe('dog');
    expect(await ask('inside', { do: 'write', path: 'models/labels/more.txt', text: 'x' })).toBe('x');
  });

  it('with an owner serve functions without a container too, and no function that is not theirs', async () => {
    const owned = { OwnerSetting: { GroupOwner: String(OWNER), GroupPermission: 'ro' as const } };
    putObject('greengrass-models/birds.tar.gz', tarGzOf([{ name: 'weights', data: 'birds' }]));
    const outcome = await deployModels([s3('birds', 'birds.tar.gz', owned)], {
      plain: [{ ResourceId: 'birds' }],
      inside: [{ ResourceId: 'birds' }],
    });
    expect(outcome).toMatchObject({ DeploymentStatus: 'Success' });
    expect(await read('plain', '/models/birds/weights')).toBe('birds');
    expect(await read('inside', 'models/birds/weights')).toBe('birds');
    expect(await ask('plain', { do: 'write', path: '/models/birds/weights', text: 'x' })).toEqual({
      error: 'PermissionError',
    });
    const [place] = modelsOnDisk();
    expect(place).toMatch(/^mlmodel_public\//);
    expect(statSync(deployment(place ?? '', 'weights'))).toMatchObject({ uid: 0, gid: OWNER });
    expect(await read('other', join('..', '..', place ?? '', 'weights'))).toEqual({
      error: 'PermissionError',
    });
  });

  it.each<[string, Resource[], Access, RegExp]>([
    [
      'a permission without a container',
      [s3('birds', 'birds.tar.gz', { OwnerSetting: { GroupOwner: `${OWNER}`, GroupPermission: 'ro' } })],
      { plain: [{ ResourceId: 'birds', Permission: 'ro' }] },
      /NoContainer function cannot configure permission when attaching Machine Learning resources\. arn:\S+ refers to Machine Learning resource birds with permission ro in resource access policy\./,
    ],
    [
      'no permission at all',
      [s3('birds', 'birds.tar.gz')],
      { inside: [{ ResourceId: 'birds' }] },
      /Function \S+ refers to Machine Learning resource birds with missing permission in both ResourceAccessPolicy and resource OwnerSetting\./,
    ],
    [
      'more than the owner allows',
      [s3('birds', 'birds.tar.gz', { OwnerSetting: { GroupOwner: `${OWNER}`, GroupPermission: 'ro' } })],
      { inside: [{ ResourceId: 'birds', Permission: 'rw' }] },
      /with permission "rw", while resource owner setting GroupPermission only allows "ro"\./,
    ],
    [
      'destinations in each other',
      [
        s3('birds', 'birds.tar.gz', { OwnerSetting: { GroupOwner: `${OWNER}`, GroupPermission: 'ro' } }),
        s3('b2', 'birds.tar.gz', {
          DestinationPath: '/models/birds/b2',
          OwnerSetting: { GroupOwner: `${OWNER}`, GroupPermission: 'ro' },
        }),
      ],
      { plain: [{ ResourceId: 'birds' }, { ResourceId: 'b2' }] },
      /NoContainer Function \S+ refers to resources of nested destination path\./,
    ],
    [
      "a model's group that is the function's own",
      [s3('birds', 'birds.tar.gz', { OwnerSetting: { GroupOwner: `${RUN_AS.Gid}`, GroupPermission: 'ro' } })],
      {},
      /Lambda \S+ gains access to resource birds by sharing the same group owner id/,
    ],
    [
      'a group that the core does not have',
      [s3('birds', 'birds.tar.gz', { OwnerSetting: { GroupOwner: 'nobody-has-it', GroupPermission: 'ro' } })],
      { plain: [{ ResourceId: 'birds' }] },
      /the group "nobody-has-it", which this host does not have/,
    ],
  ])(
    "%s fails the deployment in V1's words",
    async (_what, resources, access, reason) => {
      const outcome = await deployModels(resources, access);
      expect(outcome).toMatchObject({
        DeploymentStatus: 'Failure',
        ErrorMessage: expect.stringMatching(reason),
      });
      expect(await read('plain', '/models/birds/weights')).toBe('birds');
    },
    60_000,
  );

  it('are there after a restart of the core without the cloud, and gone after the group has none', async () => {
    await deployModels([s3('cats', 'cats.tar.gz')], {});
    expect(modelsOnDisk()).toHaveLength(1);
    putObject('greengrass-models/cats.tar.gz', tarGzOf([{ name: 'v/weights', data: 'cats three' }]));
    await deployModels([s3('cats', 'cats.tar.gz')], ALL);
    await deployModels([], {});
    expect(modelsOnDisk()).toEqual([]);
    await deployModels([s3('cats', 'cats.tar.gz')], ALL);
    await device.close();
    await system.cloud.stop();
    await greengrassd(system.root, 'restart');
    device = await system.deviceAgain('asker');
    await device.subscribe('answer');
    expect(await read('inside', 'models/cats/v/weights')).toBe('cats three');
    expect(readFileSync(deployment('group', 'group.json'), 'utf8')).toContain('/artifacts/mlmodel/');
  }, 120_000);
});
