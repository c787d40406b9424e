/** Secrets of AWS Secrets Manager, read for deployments. */
import {
  CreateSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { AwsClients } from '../../greengrass/cloud/aws/clients.js';
import { AwsSecrets } from '../../greengrass/cloud/aws/secrets.js';
import { TwoClouds } from './two-clouds.js';

describe('secrets at AWS Secrets Manager', () => {
  let clouds: TwoClouds;
  let atAws: SecretsManagerClient;
  let clients: AwsClients;
  let secrets: AwsSecrets;

  beforeAll(async () => {
    clouds = await TwoClouds.start();
    const { api: endpoint, region, accessKeyId, secretAccessKey } = clouds.aws;
    atAws = new SecretsManagerClient({ endpoint, region, credentials: { accessKeyId, secretAccessKey } });
    clients = new AwsClients(clouds.config());
    secrets = new AwsSecrets(clients);
  });

  afterAll(async () => {
    clients.destroy();
    atAws.destroy();
    await clouds.close();
  });

  it('reads a text by name, by ARN and by staging label, always as it is now', async () => {
    const Name = 'greengrass-door';
    const { ARN = '' } = await atAws.send(new CreateSecretCommand({ Name, SecretString: 'one' }));
    expect(await secrets.value(Name)).toMatchObject({
      arn: ARN,
      name: Name,
      text: 'one',
      stages: ['AWSCURRENT'],
    });
    await atAws.send(new PutSecretValueCommand({ SecretId: Name, SecretString: 'two' }));
    expect(await secrets.value(ARN)).toMatchObject({ text: 'two' });
    expect(await secrets.value(ARN, 'AWSPREVIOUS')).toMatchObject({ text: 'one' });
  });

  it('reads bytes', async () => {
    const SecretBinary = Buffer.from([0, 255, 7]);
    await atAws.send(new CreateSecretCommand({ Name: 'greengrass-bytes', SecretBinary }));
    const value = await secrets.value('greengrass-bytes');
    expect(Buffer.from(value?.binary ?? [])).toEqual(SecretBinary);
    expect(value?.text).toBeUndefined();
  });

  it('knows of secrets and versions that are not there', async () => {
    expect(await secrets.value('greengrass-nothing')).toBeUndefined();
    expect(await secrets.value('greengrass-door', 'NOBODY')).toBeUndefined();
  });

  it('says who could not be asked, without a value', async () => {
    const wrong = new AwsClients(
      clouds.config({ credentials: { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA', secretAccessKey: 'x' } }),
    );
    await expect(new AwsSecrets(wrong).value('greengrass-door')).rejects.toThrow(
      /^AWS Secrets Manager \(.*\) does not accept the credentials for GetSecretValue for secret greengrass-door/,
    );
    wrong.destroy();
  });
});
