/** Models that lie at AWS: read from S3, found by SageMaker's training jobs, deployed to a real core. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  CreateFunctionDefinitionCommand,
  CreateResourceDefinitionCommand,
  GetDeploymentStatusCommand,
} from '@aws-sdk/client-greengrass';
import {
  bootstrapCore,
  type Clients,
  changeGroup,
  deployGroup,
  publishLambda,
  waitForDeployment,
} from '../../greengrass/cli/index.js';
import { AwsClients } from '../../greengrass/cloud/aws/clients.js';
import { AwsObjects } from '../../greengrass/cloud/aws/objects.js';
import { AwsTrainingJobs } from '../../greengrass/cloud/aws/training-jobs.js';
import { ModelShelf } from '../../greengrass/cloud/deployment/models.js';
import { ArtifactFolder } from '../../greengrass/cloud/store/artifact-folder.js';
import { leftCgroups, leftoversOf } from '../../greengrass/dev/leftovers.js';
import { freePort, greengrassd } from '../../greengrass/dev/programs.js';
import { tarGzOf } from '../resources/archives.js';
import { describeAsRoot } from '../support/as-root.js';
import { SageMaker } from './sage-maker.js';
import { TwoClouds } from './two-clouds.js';

const JOB = 'arn:aws:sagemaker:us-east-1:123456789012:training-job/cats-7';

/** Puts an object where the cloud that plays AWS has its S3. */
function putAtAws(clouds: TwoClouds, address: string, content: Buffer | string): void {
  const path = join(clouds.folder, 'aws', 'objects', address);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

describe('objects and training jobs at AWS', () => {
  let clouds: TwoClouds;
  let sageMaker: SageMaker;
  let clients: AwsClients;
  let objects: AwsObjects;
  let jobs: AwsTrainingJobs;
  let folder: string;

  beforeAll(async () => {
    clouds = await TwoClouds.start(['s3', 'sageMaker']);
    sageMaker = await SageMaker.start(clouds.aws.secretAccessKey);
    const config = clouds.config({ endpoints: { s3: clouds.aws.api, sageMaker: sageMaker.address } });
    clients = new AwsClients(config);
    objects = new AwsObjects(clients, config);
    jobs = new AwsTrainingJobs(clients, config);
    folder = mkdtempSync(join(tmpdir(), 'greengrass-shelf-'));
  });
  afterAll(async () => {
    clients.destroy();
    await sageMaker.close();
    await clouds.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('reads an object, whatever its key is called, as a stream', async () => {
    putAtAws(clouds, "models/a b/ü+(1)'!*.bin", 'weights');
    const found = await objects.find("s3://models/a b/ü+(1)'!*.bin");
    expect(found).toMatchObject({ sizeBytes: 7, fileName: "ü+(1)'!*.bin" });
    expect(await textOf(await found.open())).toBe('weights');
  });

  it('sees that an object has become another one, also between look and read', async () => {
    putAtAws(clouds, 'models/m', 'one');
    const before = await objects.find('s3://models/m');
    putAtAws(clouds, 'models/m', 'two!');
    expect((await objects.find('s3://models/m')).version).not.toBe(before.version);
    await expect(before.open()).rejects.toThrow('s3://models/m was changed while it was read: deploy again');
  });

  it('keeps a model once, and reads it again only after a change', async () => {
    const artifacts = new ArtifactFolder(join(folder, 'artifacts'));
    let kept = 0;
    const shelf = new ModelShelf({
      objects,
      jobs,
      artifacts: {
        size: (digest) => artifacts.size(digest),
        keep: (content) => {
          kept++;
          return artifacts.keep(content);
        },
      },
      maxBytes: 100,
    });
    putAtAws(clouds, 'models/large.bin', 'x'.repeat(100));
    const [first, second] = await Promise.all([1, 2].map(() => shelf.fromS3('s3://models/large.bin')));
    expect(second).toEqual(first);
    await shelf.fromS3('s3://models/large.bin');
    expect(kept).toBe(1);
    putAtAws(clouds, 'models/large.bin', 'y'.repeat(100));
    expect(await shelf.fromS3('s3://models/large.bin')).not.toEqual(first);
    putAtAws(clouds, 'models/large.bin', 'y'.repeat(101));
    await expect(shelf.fromS3('s3://models/large.bin')).rejects.toThrow(
      'has 101 bytes; a model has at most 100',
    );
    expect(readdirSync(join(folder, 'artifacts', 'incoming'))).toEqual([]);
  });

  it('knows of objects that are not there, and says who could not be asked', async () => {
    await expect(objects.find('s3://models/nothing')).rejects.toThrow('bucket models has no object nothing');
    await expect(objects.find('models/nothing')).rejects.toThrow('is not the address of an object in S3');
    const config = clouds.config({
      credentials: { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA', secretAccessKey: 'x' },
    });
    const strangers = new AwsClients(config);
    await expect(new AwsObjects(strangers, config).find('s3://models/m')).rejects.toThrow(
      /^Amazon S3 \(http.*\) does not allow HeadObject for s3:\/\/models\/m/,
    );
    strangers.destroy();
  });

  it('finds the model of a training job that has ended well', async () => {
    const S3ModelArtifacts = 's3://models/cats-7/output/model.tar.gz';
    sageMaker.jobs.set('cats-7', { TrainingJobStatus: 'Completed', ModelArtifacts: { S3ModelArtifacts } });
    expect(await jobs.modelOf(JOB)).toBe(S3ModelArtifacts);
    sageMaker.jobs.set('cats-7', { TrainingJobStatus: 'Failed' });
    await expect(jobs.modelOf(JOB)).rejects.toThrow('has made no model: its status is Failed');
    await expect(jobs.modelOf(`${JOB}8`)).rejects.toThrow(/there is no training job .*cats-78/);
    await expect(jobs.modelOf('cats')).rejects.toThrow('cats is not the ARN of a SageMaker training job');
  });
});

describeAsRoot('a core of a hybrid cloud with models at AWS', () => {
  let clouds: TwoClouds;
  let sageMaker: SageMaker;
  let clients: Clients;
  let root: string;
  let groupId: string;

  beforeAll(async () => {
    const use = ['iot', 'lambda', 's3', 'sageMaker'];
    clouds = await TwoClouds.start(use);
    sageMaker = await SageMaker.start(clouds.aws.secretAccessKey);
    await clouds.stopHybrid();
    const { api } = clouds.aws;
    const endpoints = { iot: api, iotData: api, lambda: api, s3: api, sageMaker: sageMaker.address };
    await clouds.startHybrid({ use, endpoints });
    clients = clouds.clients();
    root = join(clouds.folder, 'greengrass');
    const { aws, hybrid } = clouds;
    ({ groupId } = await bootstrapCore(clients, {
      ...{ iotHost: aws.mqtt.host, mqttPort: aws.mqtt.port },
      ...{ ggHost: hybrid.https.host, httpsPort: hybrid.https.port, caFile: clouds.caBundle() },
      ...{ groupName: 'group', coreName: 'core', root },
      config: {
        ggMqttPort: await freePort(),
        ggDaemonPort: await freePort(),
        pidFileDirectory: join(clouds.folder, 'run'),
      },
    }));
    await greengrassd(root, 'start');
    await defineGroup();
  });
  afterAll(async () => {
    await greengrassd(root, 'stop').catch(() => undefined);
    const left = [...leftoversOf(clouds.folder), ...leftCgroups(root)];
    await sageMaker.close();
    await clouds.close();
    expect(left).toEqual([]);
  });

  /** A pinned function that does not come up without its models. */
  async function defineGroup(): Promise<void> {
    const folder = join(clouds.folder, 'reader');
    mkdirSync(folder, { recursive: true });
    const source = `
for path in ['/models/s3/weights', '/models/job/weights']:
    with open(path) as file:
        print('found ' + file.read(), flush=True)
def handler(event, context):
    pass
`;
    writeFileSync(join(folder, 'main.py'), source);
    const manifest = { functionName: 'reader', runtime: 'python3.11', handler: 'main.handler' };
    writeFileSync(join(folder, 'lambda.json'), JSON.stringify(manifest));
    const { functionArn } = await publishLambda(clients, folder);
    const ids = ['s3', 'job'];
    const functions = await clients.greengrass.send(
      new CreateFunctionDefinitionCommand({
        InitialVersion: {
          DefaultConfig: { Execution: { RunAs: { Uid: 64001, Gid: 64001 } } },
          Functions: [
            {
              Id: 'reader',
              FunctionArn: functionArn,
              FunctionConfiguration: {
                ...{ Pinned: true, MemorySize: 65536, Timeout: 10 },
                Environment: {
                  ResourceAccessPolicies: ids.map((ResourceId) => ({ ResourceId, Permission: 'ro' })),
                },
              },
            },
          ],
        },
      }),
    );
    const resources = await clients.greengrass.send(
      new CreateResourceDefinitionCommand({
        InitialVersion: {
          Resources: [
            {
              ...{ Id: 's3', Name: 's3' },
              ResourceDataContainer: {
                S3MachineLearningModelResourceData: {
                  S3Uri: 's3://greengrass-models/net.tar.gz',
                  DestinationPath: '/models/s3',
                },
              },
            },
            {
              ...{ Id: 'job', Name: 'job' },
              ResourceDataContainer: {
                SageMakerMachineLearningModelResourceData: {
                  SageMakerJobArn: JOB,
                  DestinationPath: '/models/job',
                },
              },
            },
          ],
        },
      }),
    );
    await changeGroup(clients, groupId, {
      FunctionDefinitionVersionArn: functions.LatestVersionArn ?? '',
      ResourceDefinitionVersionArn: resources.LatestVersionArn ?? '',
    });
  }

  async function deploy() {
    const { deploymentId: DeploymentId } = await deployGroup(clients, groupId);
    await waitForDeployment(clients, groupId, DeploymentId, { timeoutMs: 40_000 });
    return clients.greengrass.send(new GetDeploymentStatusCommand({ GroupId: groupId, DeploymentId }));
  }

  function models(): string[] {
    const folder = join(root, 'ggc', 'deployment', 'mlmodel');
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .map((name) => readFileSync(join(folder, name, 'weights'), 'utf8'))
      .sort();
  }

  it('fails to deploy what is not there, by name', async () => {
    const outcome = await deploy();
    expect(outcome.DeploymentStatus).toBe('Failure');
    expect(outcome.ErrorMessage).toContain('bucket greengrass-models has no object net.tar.gz');
    expect(outcome.ErrorMessage).toContain(`there is no training job ${JOB}`);
  });

  it('gets both, and the new ones at the next deployment', async () => {
    const S3ModelArtifacts = 's3://sagemaker-out/cats-7/output/model.tar.gz';
    sageMaker.jobs.set('cats-7', { TrainingJobStatus: 'Completed', ModelArtifacts: { S3ModelArtifacts } });
    putAtAws(clouds, 'greengrass-models/net.tar.gz', tarGzOf([{ name: 'weights', data: 'net one' }]));
    putAtAws(
      clouds,
      'sagemaker-out/cats-7/output/model.tar.gz',
      tarGzOf([{ name: 'weights', data: 'job seven' }]),
    );
    expect((await deploy()).DeploymentStatus).toBe('Success');
    expect(models()).toEqual(['job seven', 'net one']);
    putAtAws(clouds, 'greengrass-models/net.tar.gz', tarGzOf([{ name: 'weights', data: 'net two' }]));
    expect((await deploy()).DeploymentStatus).toBe('Success');
    expect(models()).toEqual(['job seven', 'net two']);
    const log = join(root, 'ggc/var/log/user/us-east-1', clouds.aws.accountId, 'reader.log');
    expect(readFileSync(log, 'utf8')).toMatch(/found net one.*found job seven.*found net two/s);
  });
});
