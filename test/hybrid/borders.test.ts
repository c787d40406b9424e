/** What a hybrid cloud refuses, and what it says where AWS refuses it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateSoftwareUpdateJobCommand, ListGroupsCommand } from '@aws-sdk/client-greengrass';
import { CreateKeysAndCertificateCommand, CreateThingCommand, ListThingsCommand } from '@aws-sdk/client-iot';
import { ListFunctionsCommand } from '@aws-sdk/client-lambda';
import { AwsClients } from '../../greengrass/cloud/aws/clients.js';
import { AwsLambdas } from '../../greengrass/cloud/aws/lambdas.js';
import { AwsThings } from '../../greengrass/cloud/aws/things.js';
import { ArtifactFolder } from '../../greengrass/cloud/store/artifact-folder.js';
import { openStore } from '../../greengrass/cloud/store/open-store.js';
import { discover } from '../../greengrass/dev/device.js';
import { refusalOf } from '../cloud-api/harness.js';
import { TwoClouds } from './two-clouds.js';

describe('the borders of a hybrid cloud', () => {
  let clouds: TwoClouds;

  beforeAll(async () => {
    clouds = await TwoClouds.start(['iot', 'lambda']);
  });

  afterAll(() => clouds.close());

  it("runs under AWS's account and tells AWS IoT's address for MQTT", () => {
    const { aws, hybrid } = clouds;
    expect(hybrid.accountId).toBe(aws.accountId);
    expect(hybrid.mqtt).toEqual(aws.mqtt);
  });

  it('refuses the operations of services that are AWS’s, and names AWS', async () => {
    const { iot, lambda, greengrass } = clouds.ours();
    const named = {
      status: 400,
      message: expect.stringMatching(/AWS IoT is AWS's own.*Send this.*account \d{12}/),
    };
    expect(await refusalOf(iot.send(new CreateThingCommand({ thingName: 'x' })))).toMatchObject(named);
    expect(await refusalOf(iot.send(new ListThingsCommand({})))).toMatchObject(named);
    expect(await refusalOf(lambda.send(new ListFunctionsCommand({})))).toMatchObject({
      message: expect.stringContaining('AWS Lambda is'),
    });
    expect((await greengrass.send(new ListGroupsCommand({}))).Groups).toEqual([]);
  });

  it('writes down who tried', async () => {
    const { iot } = clouds.ours();
    await refusalOf(iot.send(new CreateThingCommand({ thingName: 'audited' })));
    const { store } = await openStore({ dataFolder: join(clouds.folder, 'hybrid'), isBeside: true });
    const entries = await store.audit.list({ operation: 'CreateThing', limit: 10 });
    await store.close();
    expect(entries).toContainEqual(
      expect.objectContaining({
        ...{ service: 'iot', resource: '/things/audited', status: 400 },
        ...{ errorType: 'InvalidRequestException', accessKeyId: clouds.hybrid.accessKeyId },
      }),
    );
  });

  it('tells devices to come again while AWS is away', async () => {
    const { https, caFile } = clouds.hybrid;
    const keys = await clouds.clients().iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    await clouds.stopAws();
    const credentials = {
      ...{ thingName: 'lamp', certPem: keys.certificatePem ?? '', keyPem: keys.keyPair?.PrivateKey ?? '' },
      caPem: readFileSync(caFile, 'utf8'),
    };
    try {
      await expect(discover(credentials, https.host, https.port)).rejects.toThrow(
        'answered 503: {"errorMessage":"Service unavailable"}',
      );
      expect(clouds.log.join('')).toContain('AWS could not be asked');
    } finally {
      await clouds.startAws();
    }
    await expect(discover(credentials, https.host, https.port)).rejects.toThrow(/answered 40[134]/);
  });

  it('refuses software updates, whose jobs would be where no core looks', async () => {
    const update = new CreateSoftwareUpdateJobCommand({
      ...{ SoftwareToUpdate: 'core', UpdateTargets: ['core'], UpdateTargetsArchitecture: 'x86_64' },
      ...{ UpdateTargetsOperatingSystem: 'ubuntu', S3UrlSignerRole: 'arn:aws:iam::123456789012:role/any' },
    });
    expect(await refusalOf(clouds.ours().greengrass.send(update))).toMatchObject({
      message: expect.stringContaining("jobs are AWS IoT's"),
    });
  });

  it('leaves the rest of what AWS keeps alone', async () => {
    const clients = new AwsClients(clouds.config());
    const things = new AwsThings(clients, clouds.config());
    await expect(things.create()).rejects.toThrow(/leaves CreateThing to AWS: do it there/);
    clients.destroy();
  });

  it.each<[string, object]>([
    ['a wrong secret', { secretAccessKey: 'wrong' }],
    ['an unknown key', { accessKeyId: 'AKIAAAAAAAAAAAAAAAAA' }],
  ])('does not start with %s, and says whose credentials and where', async (_what, change) => {
    const { accessKeyId, secretAccessKey } = clouds.aws;
    await clouds.stopHybrid();
    const credentials = { accessKeyId, secretAccessKey, ...change };
    const wrong = clouds.startHybrid({ use: ['iot'], credentials });
    await expect(wrong).rejects.toThrow(
      /^AWS IoT \(http:.*\) does not accept the credentials for DescribeEndpoint.*Correct "credentials"/,
    );
    await expect(wrong).rejects.not.toThrow(secretAccessKey);
    await clouds.startHybrid({ use: ['iot', 'lambda'] });
  });

  it('does not start under another account than before', async () => {
    await clouds.stopHybrid();
    await expect(clouds.startHybrid({ accountId: '111122223333' })).rejects.toThrow(
      /was made with account id \d{12}, but the configuration says 111122223333/,
    );
    await clouds.startHybrid({ use: ['iot', 'lambda'] });
  });

  it('does not start in another region than that of AWS', async () => {
    await clouds.stopHybrid();
    await expect(clouds.startHybrid({ region: 'eu-west-1' })).rejects.toThrow(
      /start with --region eu-west-1/,
    );
    await clouds.startHybrid({ use: ['iot', 'lambda'] });
  });

  it('ends what is under way when it stops', async () => {
    // Nobody answers there.
    const clients = new AwsClients(clouds.config({ endpoints: { lambda: 'http://192.0.2.1:9' } }));
    const lambdas = new AwsLambdas(clients, clouds.config(), new ArtifactFolder(clouds.folder));
    const asked = lambdas.find('double', '1');
    clients.destroy();
    await expect(asked).rejects.toThrow(/AWS Lambda \(http:\/\/192\.0\.2\.1:9\) did not answer GetFunction/);
  });
});
