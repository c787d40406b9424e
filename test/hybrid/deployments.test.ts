/** Deployments of a hybrid cloud; the core is played through AWS IoT's shadow API. */
import { join } from 'node:path';
import {
  CreateFunctionDefinitionCommand,
  GetDeploymentStatusCommand,
  ResetDeploymentsCommand,
} from '@aws-sdk/client-greengrass';
import {
  DeleteThingCommand,
  DetachThingPrincipalCommand,
  ListThingPrincipalsCommand,
} from '@aws-sdk/client-iot';
import { GetThingShadowCommand, UpdateThingShadowCommand } from '@aws-sdk/client-iot-data-plane';
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  PublishVersionCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';
import {
  bootstrapCore,
  type Clients,
  changeGroup,
  deployGroup,
  waitForDeployment,
} from '../../greengrass/cli/index.js';
import { zipOf } from '../cloud-api/harness.js';
import { waitFor } from '../support/wait-for.js';
import { TwoClouds } from './two-clouds.js';

const WAIT = { timeoutMs: 30_000 };

describe('deployments of a hybrid cloud', () => {
  let clouds: TwoClouds;
  let clients: Clients;
  let groupId: string;

  beforeEach(async () => {
    clouds = await TwoClouds.start();
    clients = clouds.clients();
    const { aws, hybrid } = clouds;
    ({ groupId } = await bootstrapCore(clients, {
      ...{ iotHost: aws.mqtt.host, mqttPort: aws.mqtt.port },
      ...{ ggHost: hybrid.https.host, httpsPort: hybrid.https.port, caFile: clouds.caBundle() },
      ...{ groupName: 'group', coreName: 'core', root: join(clouds.folder, 'greengrass') },
    }));
  });

  afterEach(() => clouds.close());

  /** Publishes a version of function `double` at AWS; answers its number. */
  async function publish(code: string): Promise<string> {
    const ZipFile = await zipOf({ 'main.py': code });
    const FunctionName = 'double';
    await clients.lambda
      .send(
        new CreateFunctionCommand({
          ...{ FunctionName, Runtime: 'python3.8', Handler: 'main.handler', Code: { ZipFile } },
          Role: 'arn:aws:iam::123456789012:role/any',
        }),
      )
      .catch(() => clients.lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile })));
    const { Version = '' } = await clients.lambda.send(new PublishVersionCommand({ FunctionName }));
    return Version;
  }

  const arnOf = (qualifier: string) =>
    `arn:aws:lambda:us-east-1:${clouds.aws.accountId}:function:double:${qualifier}`;

  /** The group gets the function, named by version or alias. */
  async function useFunction(qualifier: string): Promise<void> {
    const { LatestVersionArn = '' } = await clients.greengrass.send(
      new CreateFunctionDefinitionCommand({
        InitialVersion: {
          Functions: [
            {
              Id: 'double',
              FunctionArn: arnOf(qualifier),
              FunctionConfiguration: { MemorySize: 65536, Timeout: 5 },
            },
          ],
        },
      }),
    );
    await changeGroup(clients, groupId, { FunctionDefinitionVersionArn: LatestVersionArn });
  }

  /** The notice that the core finds at AWS IoT. */
  async function notice(): Promise<Record<string, unknown>> {
    const { payload } = await clouds
      .shadowsAtAws()
      .send(new GetThingShadowCommand({ thingName: 'core-gda' }));
    return JSON.parse(Buffer.from(payload ?? []).toString('utf8')).state.desired;
  }

  /** What the core writes at the end of a deployment. */
  async function report(deploymentId: string, status: 'Success' | 'Failure' = 'Success'): Promise<void> {
    const failed = status === 'Failure' ? { errorMessage: 'no room', stage: 'artifacts' } : {};
    const payload = Buffer.from(JSON.stringify({ state: { reported: { deploymentId, status, ...failed } } }));
    await clouds.shadowsAtAws().send(new UpdateThingShadowCommand({ thingName: 'core-gda', payload }));
  }

  const statusOf = (deploymentId: string) =>
    clients.greengrass.send(new GetDeploymentStatusCommand({ GroupId: groupId, DeploymentId: deploymentId }));

  it('tells the core by a shadow at AWS IoT and takes its report in from there', async () => {
    const { deploymentId } = await deployGroup(clients, groupId);
    expect(await notice()).toMatchObject({ wireVersion: 1, deploymentId, groupId });
    expect((await statusOf(deploymentId)).DeploymentStatus).toBe('InProgress');
    await report(deploymentId);
    expect(await waitForDeployment(clients, groupId, deploymentId, WAIT)).toEqual({ status: 'Success' });
    const second = await deployGroup(clients, groupId);
    await report(second.deploymentId, 'Failure');
    expect(await waitForDeployment(clients, groupId, second.deploymentId, WAIT)).toEqual({
      status: 'Failure',
      errorMessage: 'no room',
    });
  });

  it('deploys what an alias at AWS Lambda names now, with the code from there', async () => {
    const code = [
      'def handler(event, context):\n    return 1\n',
      'def handler(event, context):\n    return 2\n',
    ];
    const first = await publish(code[0] as string);
    await clients.lambda.send(
      new CreateAliasCommand({ FunctionName: 'double', Name: 'live', FunctionVersion: first }),
    );
    await useFunction('live');
    const shas: unknown[] = [];
    for (const version of [first, await publish(code[1] as string)]) {
      await clients.lambda.send(
        new UpdateAliasCommand({ FunctionName: 'double', Name: 'live', FunctionVersion: version }),
      );
      const { deploymentId } = await deployGroup(clients, groupId);
      expect((await statusOf(deploymentId)).DeploymentStatus).toBe('InProgress');
      shas.push((await notice()).documentSha256);
      await report(deploymentId);
      await waitForDeployment(clients, groupId, deploymentId, WAIT);
    }
    expect(new Set(shas).size).toBe(2);
  });

  it.each([['9'], ['nobody']])('says that AWS has no such function: double:%s', async (qualifier) => {
    await publish('x = 1\n');
    await useFunction(qualifier);
    const { deploymentId } = await deployGroup(clients, groupId);
    const { DeploymentStatus, ErrorDetails } = await statusOf(deploymentId);
    expect(DeploymentStatus).toBe('Failure');
    expect(ErrorDetails?.[0]?.DetailedErrorCode).toBe('FUNCTION_NOT_FOUND_ERROR');
  });

  it('says that AWS has no such thing', async () => {
    const { principals } = await clients.iot.send(new ListThingPrincipalsCommand({ thingName: 'core' }));
    const principal = principals?.[0] ?? '';
    await clients.iot.send(new DetachThingPrincipalCommand({ thingName: 'core', principal }));
    await clients.iot.send(new DeleteThingCommand({ thingName: 'core' }));
    const { deploymentId } = await deployGroup(clients, groupId);
    const { DeploymentStatus, ErrorMessage } = await statusOf(deploymentId);
    expect(DeploymentStatus).toBe('Failure');
    expect(ErrorMessage).toContain('THING_NOT_FOUND_ERROR');
  });

  it('fails a deployment while AWS is away, says so, and the next one works once it is back', async () => {
    await clouds.stopAws();
    const { deploymentId } = await deployGroup(clients, groupId);
    const { DeploymentStatus, ErrorMessage } = await statusOf(deploymentId);
    expect(DeploymentStatus).toBe('Failure');
    expect(ErrorMessage).toMatch(
      /^AWS IoT \(http:.*\) did not answer Describe(Thing for thing core|Certificate for certificate \w+) \(.*ECONNREFUSED/,
    );
    await clouds.startAws();
    const next = await deployGroup(clients, groupId);
    await report(next.deploymentId);
    expect(await waitForDeployment(clients, groupId, next.deploymentId, WAIT)).toEqual({ status: 'Success' });
  });

  it('lets a deployment wait while AWS is away, and takes the report in afterwards', async () => {
    const { deploymentId } = await deployGroup(clients, groupId);
    await clouds.stopAws();
    await waitFor(() => clouds.log.some((line) => line.includes('the deployment waits')), {
      timeoutMs: 20_000,
    });
    await clouds.startAws();
    await report(deploymentId);
    expect(await waitForDeployment(clients, groupId, deploymentId, WAIT)).toEqual({ status: 'Success' });
    expect(clouds.log.filter((line) => line.includes('the deployment waits'))).toHaveLength(1);
  });

  it('takes in the report that came while our cloud was stopped', async () => {
    const { deploymentId } = await deployGroup(clients, groupId);
    await clouds.stopHybrid();
    await report(deploymentId);
    await clouds.startHybrid();
    clients = clouds.clients();
    expect(await waitForDeployment(clients, groupId, deploymentId, WAIT)).toEqual({ status: 'Success' });
  });

  it('follows a reset in the same way', async () => {
    const { deploymentId } = await deployGroup(clients, groupId);
    await report(deploymentId);
    await waitForDeployment(clients, groupId, deploymentId, WAIT);
    const reset = await clients.greengrass.send(new ResetDeploymentsCommand({ GroupId: groupId }));
    await report(reset.DeploymentId ?? '');
    expect(await waitForDeployment(clients, groupId, reset.DeploymentId ?? '', WAIT)).toEqual({
      status: 'Success',
    });
  });
});

describe('a hybrid cloud that leaves functions alone to AWS', () => {
  it('has its own things and shadows, and deploys code from AWS Lambda', async () => {
    const clouds = await TwoClouds.start(['lambda']);
    try {
      const { mqtt, https, caFile } = clouds.hybrid;
      const { lambda } = clouds.clients();
      const clients: Clients = { ...clouds.ours(), lambda };
      const { groupId } = await bootstrapCore(clients, {
        ...{ iotHost: mqtt.host, mqttPort: mqtt.port, ggHost: https.host, httpsPort: https.port, caFile },
        ...{ groupName: 'group', coreName: 'core', root: join(clouds.folder, 'greengrass') },
      });
      const { FunctionArn = '' } = await lambda.send(
        new CreateFunctionCommand({
          ...{ FunctionName: 'double', Runtime: 'python3.8', Handler: 'main.handler', Publish: true },
          Code: { ZipFile: await zipOf({ 'main.py': 'x = 1\n' }) },
          Role: 'arn:aws:iam::123456789012:role/any',
        }),
      );
      const configuration = { MemorySize: 65536, Timeout: 5 };
      const { LatestVersionArn = '' } = await clients.greengrass.send(
        new CreateFunctionDefinitionCommand({
          InitialVersion: {
            Functions: [{ Id: 'double', FunctionArn, FunctionConfiguration: configuration }],
          },
        }),
      );
      await changeGroup(clients, groupId, { FunctionDefinitionVersionArn: LatestVersionArn });
      const { deploymentId: DeploymentId } = await deployGroup(clients, groupId);
      const status = new GetDeploymentStatusCommand({ GroupId: groupId, DeploymentId });
      expect((await clients.greengrass.send(status)).DeploymentStatus).toBe('InProgress');
      expect(mqtt).not.toEqual(clouds.aws.mqtt);
    } finally {
      await clouds.close();
    }
  });
});
