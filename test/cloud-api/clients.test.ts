/** The clients that V1 users have: aws-sdk v2 and the aws command. */
import { access, constants, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import AWS from 'aws-sdk';
import { run } from '../../greengrass/lib/subprocess.js';
import { Cloud, zipOf } from './harness.js';

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';

const AWS_COMMAND = '/usr/bin/aws';
const hasAws = await access(AWS_COMMAND, constants.X_OK).then(
  () => true,
  () => false,
);

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.start();
});
afterAll(() => cloud.stop());

const CORE = {
  Id: 'core',
  ThingArn: 'arn:aws:iot:us-east-1:123456789012:thing/core',
  CertificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`,
};

describe('aws-sdk v2', () => {
  it('walks a group through its life', async () => {
    const config = { endpoint: cloud.url, region: 'us-east-1', ...cloud.credentials, maxRetries: 0 };
    const greengrass = new AWS.Greengrass(config);
    const cores = await greengrass.createCoreDefinition({ InitialVersion: { Cores: [CORE] } }).promise();
    const group = await greengrass
      .createGroup({
        Name: 'v2',
        InitialVersion: { CoreDefinitionVersionArn: cores.LatestVersionArn ?? '' },
      })
      .promise();
    const GroupId = group.Id ?? '';
    const made = await greengrass
      .createDeployment({
        GroupId,
        DeploymentType: 'NewDeployment',
        GroupVersionId: group.LatestVersion ?? '',
      })
      .promise();
    const status = await greengrass
      .getDeploymentStatus({ GroupId, DeploymentId: made.DeploymentId ?? '' })
      .promise();
    expect(status.DeploymentStatus).toBe('InProgress');
    const tagged = { ResourceArn: group.Arn ?? '' };
    await greengrass.tagResource({ ...tagged, tags: { a: 'b' } }).promise();
    await greengrass.untagResource({ ...tagged, TagKeys: ['a'] }).promise();
    expect((await greengrass.listTagsForResource(tagged).promise()).tags).toEqual({});
    await greengrass.resetDeployments({ GroupId, Force: true }).promise();
    await greengrass.deleteGroup({ GroupId }).promise();
    await expect(greengrass.getGroup({ GroupId }).promise()).rejects.toMatchObject({
      code: 'IdNotFoundException',
      statusCode: 404,
      message: 'That Group Definition does not exist.',
    });
    // An error without a type: this client makes its own of it.
    await expect(greengrass.getAssociatedRole({ GroupId }).promise()).rejects.toMatchObject({
      code: 'UnknownError',
      statusCode: 404,
      message: 'You need to attach an IAM role to this deployment group.',
    });
  });

  it('speaks to AWS IoT, its data plane, Lambda and STS at the same address', async () => {
    const config = { region: 'us-east-1', ...cloud.credentials, maxRetries: 0, endpoint: cloud.url };
    const iot = new AWS.Iot(config);
    await iot.createThing({ thingName: 'v2' }).promise();
    const data = new AWS.IotData(config);
    await data.updateThingShadow({ thingName: 'v2', payload: '{"state":{}}' }).promise();
    expect((await data.getThingShadow({ thingName: 'v2' }).promise()).payload).toBe('{"state":{}}');
    await data.publish({ topic: 'a/b', payload: 'v2', qos: 0 }).promise();
    const lambda = new AWS.Lambda(config);
    const made = await lambda
      .createFunction({
        FunctionName: 'v2',
        Runtime: 'nodejs12.x',
        Handler: 'a.b',
        Role: 'arn:aws:iam::123456789012:role/r',
        Code: { ZipFile: await zipOf({ 'a.js': '' }) },
      })
      .promise();
    expect(made.Version).toBe('$LATEST');
    const who = await new AWS.STS(config).getCallerIdentity().promise();
    expect(who.Account).toBe(cloud.installation.accountId);
  });
});

(hasAws ? describe : describe.skip)(`the aws command (${AWS_COMMAND})`, () => {
  async function aws(...args: string[]): Promise<Record<string, unknown>> {
    const { accessKeyId, secretAccessKey } = cloud.credentials;
    const result = await run(AWS_COMMAND, [...args, '--endpoint-url', cloud.url], {
      env: {
        PATH: process.env.PATH ?? '',
        HOME: cloud.folder,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_DEFAULT_OUTPUT: 'json',
        AWS_PAGER: '',
      },
    });
    if (result.code !== 0) throw new Error(result.stderr.trim());
    return result.stdout.trim() ? (JSON.parse(result.stdout) as Record<string, unknown>) : {};
  }

  it('walks a group through its life', async () => {
    const cores = await aws(
      ...['greengrass', 'create-core-definition', '--name', 'c'],
      ...['--initial-version', JSON.stringify({ Cores: [CORE] })],
    );
    const group = await aws(
      ...['greengrass', 'create-group', '--name', 'cli', '--tags', 'a=b'],
      ...['--initial-version', JSON.stringify({ CoreDefinitionVersionArn: cores.LatestVersionArn })],
    );
    const ofGroup = ['--group-id', String(group.Id)];
    const deployment = await aws(
      ...['greengrass', 'create-deployment', '--deployment-type', 'NewDeployment', ...ofGroup],
      ...['--group-version-id', String(group.LatestVersion)],
    );
    const status = await aws(
      ...['greengrass', 'get-deployment-status', ...ofGroup],
      ...['--deployment-id', String(deployment.DeploymentId)],
    );
    expect(status.DeploymentStatus).toBe('InProgress');
    const expiry = await aws('greengrass', 'get-group-certificate-configuration', ...ofGroup);
    expect(expiry.CertificateExpiryInMilliseconds).toBe(604800000);
    await aws('greengrass', 'reset-deployments', '--force', ...ofGroup);
    await aws('greengrass', 'delete-group', ...ofGroup);
    await expect(aws('greengrass', 'get-group', ...ofGroup)).rejects.toThrow(
      'An error occurred (IdNotFoundException) when calling the GetGroup operation: That Group Definition does not exist.',
    );
    await expect(aws('greengrass', 'get-associated-role', ...ofGroup)).rejects.toThrow(
      'An error occurred (404) when calling the GetAssociatedRole operation: You need to attach an IAM role to this deployment group.',
    );
  });

  it('publishes a function and follows its address', async () => {
    const file = join(cloud.folder, 'f.zip');
    await writeFile(file, await zipOf({ 'a.py': 'x = 1' }));
    const made = await aws(
      ...['lambda', 'create-function', '--function-name', 'cli', '--runtime', 'python3.8', '--publish'],
      ...['--handler', 'a.b', '--role', 'arn:aws:iam::123456789012:role/r', '--zip-file', `fileb://${file}`],
    );
    expect(made.Version).toBe('1');
    expect((await aws('sts', 'get-caller-identity')).Account).toBe(cloud.installation.accountId);
    expect((await aws('iot', 'describe-endpoint', '--endpoint-type', 'iot:Data-ATS')).endpointAddress).toBe(
      '127.0.0.1:18883',
    );
  });
});
