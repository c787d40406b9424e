/** A secret's way: from Secrets Manager by a deployment to the functions that have the resource, and to no others. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateResourceDefinitionCommand } from '@aws-sdk/client-greengrass';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { changeGroup } from '../../greengrass/cli/index.js';
import type { Device } from '../../greengrass/dev/device.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';

const SOURCE = `
import json
import greengrasssdk
secrets = greengrasssdk.client('secretsmanager')
client = greengrasssdk.client('iot-data')
def handler(event, context):
    try:
        answer = secrets.get_secret_value(**event['ask'])
        answer.pop('CreatedDate', None)
    except Exception as error:
        answer = {'error': str(error)}
    client.publish(topic='answer', payload=json.dumps({'token': event['token'], 'answer': answer}))
`;

describeAsRoot('secrets of a group', () => {
  let system: TestSystem;
  let secrets: SecretsManagerClient;
  let device: Device;
  let arn: string;
  let functions: { trusted: string; other: string };

  beforeAll(async () => {
    system = await startSystem(['asker']);
    const { api, region, accessKeyId, secretAccessKey } = system.cloud.info;
    secrets = new SecretsManagerClient({
      endpoint: api,
      region,
      credentials: { accessKeyId, secretAccessKey },
    });
    const made = await secrets.send(
      new CreateSecretCommand({ Name: 'greengrass-door', SecretString: 'open sesame' }),
    );
    arn = made.ARN ?? '';
    await greengrassd(system.root, 'start');
    const source = { handler: 'main.handler', files: { 'main.py': SOURCE } };
    functions = {
      trusted: await publishFunction(system, { name: 'trusted', ...source }),
      other: await publishFunction(system, { name: 'other', ...source }),
    };
  });
  afterAll(async () => {
    secrets?.destroy();
    await system?.close();
  });

  async function deploySecret(labels: string[] = []) {
    const thing = `arn:aws:iot:us-east-1:${system.cloud.info.accountId}:thing/asker`;
    const common = { Pinned: false, MemorySize: 65_536, Timeout: 10 };
    await defineGroup(system, {
      functions: [
        {
          arn: functions.trusted,
          configuration: {
            ...common,
            Environment: { ResourceAccessPolicies: [{ ResourceId: 'door', Permission: 'ro' }] },
          },
        },
        { arn: functions.other, configuration: common },
      ],
      subscriptions: [
        [thing, 'ask/trusted', functions.trusted],
        [thing, 'ask/other', functions.other],
        [functions.trusted, 'answer', thing],
        [functions.other, 'answer', thing],
      ],
    });
    const resources = await system.clients.greengrass.send(
      new CreateResourceDefinitionCommand({
        InitialVersion: {
          Resources: [
            {
              Id: 'door',
              Name: 'door',
              ResourceDataContainer: {
                SecretsManagerSecretResourceData: {
                  ARN: arn,
                  AdditionalStagingLabelsToDownload: labels,
                },
              },
            },
          ],
        },
      }),
    );
    const version = await changeGroup(system.clients, system.groupId, {
      ResourceDefinitionVersionArn: resources.LatestVersionArn ?? '',
    });
    return deploy(system, version);
  }

  let count = 0;
  async function ask(who: 'trusted' | 'other', request: object): Promise<Record<string, unknown>> {
    const token = `t${++count}`;
    await device.publish(`ask/${who}`, JSON.stringify({ token, ask: request }));
    const isMine = (payload: Buffer) => (JSON.parse(payload.toString()) as { token: string }).token === token;
    const payload = await device.message('answer', isMine, 30_000);
    return (JSON.parse(payload.toString()) as { answer: Record<string, unknown> }).answer;
  }

  it('reaches the function that has the resource, by name and ARN; no other', async () => {
    expect(await deploySecret()).toMatchObject({ DeploymentStatus: 'Success' });
    device = await system.device('asker');
    await device.subscribe('answer');
    const current = { ARN: arn, Name: 'greengrass-door', SecretString: 'open sesame' };
    expect(await ask('trusted', { SecretId: 'greengrass-door' })).toMatchObject(current);
    expect(await ask('trusted', { SecretId: arn, VersionStage: 'AWSCURRENT' })).toMatchObject(current);
    expect(await ask('other', { SecretId: arn })).toEqual({ error: expect.stringContaining('401') });
    expect(await ask('trusted', { SecretId: 'greengrass-window' })).toEqual({
      error: expect.stringContaining('404'),
    });
    expect(await ask('trusted', { SecretId: arn, VersionStage: 'AWSPREVIOUS' })).toEqual({
      error: expect.stringContaining('404'),
    });
  });

  it('stands nowhere in the clear: not on the disk of the core, not in the cloud, not in a log', () => {
    const found: string[] = [];
    for (const entry of readdirSync(system.folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      if (readFileSync(path).includes('open sesame')) found.push(path);
    }
    expect(found).toEqual([]);
  });

  it('changes with a deployment and not before; the other labels come along where asked for', async () => {
    await secrets.send(new PutSecretValueCommand({ SecretId: arn, SecretBinary: Buffer.from([0, 255, 7]) }));
    expect(await ask('trusted', { SecretId: arn })).toMatchObject({ SecretString: 'open sesame' });
    expect(await deploySecret(['AWSPREVIOUS'])).toMatchObject({ DeploymentStatus: 'Success' });
    expect(await ask('trusted', { SecretId: arn })).toMatchObject({ SecretBinary: 'AP8H' });
    expect(await ask('trusted', { SecretId: arn, VersionStage: 'AWSPREVIOUS' })).toMatchObject({
      SecretString: 'open sesame',
    });
  });

  it('is there after a restart of the core without the cloud', async () => {
    await device.close();
    await system.cloud.stop();
    await greengrassd(system.root, 'restart');
    device = await system.deviceAgain('asker');
    await device.subscribe('answer');
    expect(await ask('trusted', { SecretId: arn })).toMatchObject({ SecretBinary: 'AP8H' });
  });
});

describeAsRoot('a secret that is not there', () => {
  it('fails the deployment and is named', async () => {
    const system = await startSystem();
    try {
      const { api, region, accessKeyId, secretAccessKey, accountId } = system.cloud.info;
      const client = new SecretsManagerClient({
        endpoint: api,
        region,
        credentials: { accessKeyId, secretAccessKey },
      });
      const { ARN = '' } = await client.send(
        new CreateSecretCommand({ Name: 'greengrass-gone', SecretString: 'x' }),
      );
      await client.send(new DeleteSecretCommand({ SecretId: ARN, ForceDeleteWithoutRecovery: true }));
      client.destroy();
      const resources = await system.clients.greengrass.send(
        new CreateResourceDefinitionCommand({
          InitialVersion: {
            Resources: [ARN, `arn:aws:secretsmanager:us-east-1:${accountId}:secret:never-AbCdEf`].map(
              (arn, index) => ({
                Id: `r${index}`,
                Name: `r${index}`,
                ResourceDataContainer: { SecretsManagerSecretResourceData: { ARN: arn } },
              }),
            ),
          },
        }),
      );
      const version = await changeGroup(system.clients, system.groupId, {
        ResourceDefinitionVersionArn: resources.LatestVersionArn ?? '',
      });
      const outcome = await deploy(system, version);
      expect(outcome.DeploymentStatus).toBe('Failure');
      expect(outcome.ErrorDetails?.map(({ DetailedErrorCode }) => DetailedErrorCode)).toEqual([
        'SECRET_NOT_FOUND_ERROR',
        'SECRET_NOT_FOUND_ERROR',
      ]);
      expect(outcome.ErrorMessage).toContain(ARN);
    } finally {
      await system.close();
    }
  });
});
