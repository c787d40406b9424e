/** A group's whole life by gg's API verbs alone, against the API on a real socket. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { Cloud } from '../cloud-api/harness.js';
import { type Environment, environmentOf, ggHere, runGg, useEnvironment } from './gg.js';

let cloud: Cloud;
let env: Environment;

beforeAll(async () => {
  cloud = await Cloud.start();
  env = environmentOf(cloud);
  useEnvironment(env);
});
afterAll(() => cloud.stop());

/** The answer as an object; fails with what gg said where it failed. */
async function gg(...args: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await ggHere(env, ...args);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out === '' ? {} : (JSON.parse(out) as Record<string, unknown>);
}

/** A member that has to be text. */
const text = (answer: Record<string, unknown>, member: string) => String(answer[member]);

const account = 'arn:aws:lambda:us-east-1:123456789012:function';

describe('a life cycle', () => {
  it('goes from definitions to a deployment and back to nothing', async () => {
    const file = join(cloud.folder, 'subscriptions.json');
    const subscription = { Id: 's', Source: 'cloud', Subject: 'a/#', Target: `${account}:f:1` };
    writeFileSync(file, JSON.stringify([subscription]));

    const functions = await gg(
      'create-function-definition',
      ...['--name', 'functions', '--tags', 'place=attic,owner=me'],
    );
    const functionsId = text(functions, 'Id');
    const functionsVersion = await gg(
      'create-function-definition-version',
      ...['--function-definition-id', functionsId, '--functions'],
      `Id=f,FunctionArn=${account}:f:1,FunctionConfiguration={Pinned=true,MemorySize=16384,Timeout=3}`,
    );
    const versionId = text(functionsVersion, 'Version');
    expect(
      await gg(
        'get-function-definition-version',
        ...['--function-definition-id', functionsId, '--function-definition-version-id', versionId],
      ),
    ).toMatchObject({
      Id: functionsId,
      Definition: { Functions: [{ Id: 'f', FunctionConfiguration: { Pinned: true, Timeout: 3 } }] },
    });

    const core = {
      Id: 'c',
      ThingArn: 'arn:aws:iot:us-east-1:123456789012:thing/attic',
      CertificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`,
    };
    const cores = await gg('create-core-definition', '--initial-version', JSON.stringify({ Cores: [core] }));

    const subscriptions = await gg('create-subscription-definition', '--name', 'subscriptions');
    const subscriptionsVersion = await gg(
      'create-subscription-definition-version',
      ...['--subscription-definition-id', text(subscriptions, 'Id'), '--subscriptions', `file://${file}`],
    );

    const group = await gg('create-group', '--name', 'attic', '--tags', '{"a": "b"}');
    const groupId = text(group, 'Id');
    const version = await gg(
      'create-group-version',
      ...['--group-id', groupId, '--function-definition-version-arn', text(functionsVersion, 'Arn')],
      ...['--subscription-definition-version-arn', text(subscriptionsVersion, 'Arn')],
      ...['--core-definition-version-arn', text(cores, 'LatestVersionArn')],
    );

    const groupArn = text(group, 'Arn');
    await gg('tag-resource', '--resource-arn', groupArn, '--tags', 'c=d,e=f');
    await gg('untag-resource', '--resource-arn', groupArn, '--tag-keys', 'a', 'c');
    expect(await gg('list-tags-for-resource', '--resource-arn', groupArn)).toEqual({ tags: { e: 'f' } });

    await gg('update-group', '--group-id', groupId, '--name', 'cellar');
    expect(await gg('get-group', '--group-id', groupId)).toMatchObject({
      Name: 'cellar',
      LatestVersion: version.Version,
      tags: { e: 'f' },
    });

    const deployment = await gg(
      'create-deployment',
      ...['--group-id', groupId, '--group-version-id', text(version, 'Version')],
      ...['--deployment-type', 'NewDeployment'],
    );
    const deploymentId = text(deployment, 'DeploymentId');
    expect(cloud.deployer.deployed.map((each) => each.deploymentId)).toEqual([deploymentId]);
    const status = await gg('get-deployment-status', '--group-id', groupId, '--deployment-id', deploymentId);
    expect(status).toMatchObject({ DeploymentStatus: 'InProgress', DeploymentType: 'NewDeployment' });

    const reset = await gg('reset-deployments', '--group-id', groupId, '--force');
    expect(cloud.deployer.resets).toMatchObject([
      { deploymentId: reset.DeploymentId, type: 'ForceResetDeployment' },
    ]);
    expect((await gg('list-deployments', '--group-id', groupId)).Deployments).toHaveLength(2);

    expect(await gg('delete-group', '--group-id', groupId)).toEqual({});
    expect(await gg('list-groups')).toEqual({ Groups: [] });
  });

  it('prints no line of the SDK where it is surprised, and the number that the service sent', async () => {
    const groupId = text(await gg('create-group', '--name', 'expiry'), 'Id');
    const { out, ...ended } = await runGg(
      env,
      'update-group-certificate-configuration',
      ...['--group-id', groupId, '--certificate-expiry-in-milliseconds', '700000000'],
    );
    expect(ended).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({ CertificateExpiryInMilliseconds: 700000000, GroupId: groupId });
  });
});

describe('lists', () => {
  beforeAll(async () => {
    for (let index = 0; index < 5; index++)
      await gg('create-device-definition', '--name', `devices-${index}`);
  });

  const names = (answer: Record<string, unknown>) =>
    (answer.Definitions as Array<{ Name: string }>).map(({ Name }) => Name).sort();
  const all = [0, 1, 2, 3, 4].map((index) => `devices-${index}`);

  it('are read to their end, whatever the size of a page', async () => {
    const answer = await gg('list-device-definitions', '--page-size', '2');
    expect(names(answer)).toEqual(all);
    expect(Object.keys(answer)).toEqual(['Definitions']);
  });

  it('end after --max-items and go on at --starting-token, within a page and at its end', async () => {
    const found: string[] = [];
    let token: string[] = [];
    for (const count of ['1', '3']) {
      const part = await gg('list-device-definitions', '--page-size', '2', '--max-items', count, ...token);
      found.push(...names(part));
      expect(part.Definitions).toHaveLength(Number(count));
      token = ['--starting-token', text(part, 'NextToken')];
    }
    const rest = await gg('list-device-definitions', ...token);
    expect([...found, ...names(rest)].sort()).toEqual(all);
    expect(rest.NextToken).toBeUndefined();
  });

  it('come as one page with --no-paginate or where a page is asked for by hand', async () => {
    const first = await gg('list-device-definitions', '--max-results', '2');
    expect(first.Definitions).toHaveLength(2);
    const second = await gg(
      'list-device-definitions',
      '--no-paginate',
      '--next-token',
      text(first, 'NextToken'),
    );
    expect(second.Definitions).toHaveLength(3);
  });

  it('can be had as text, table and YAML', async () => {
    const [textual, table, yaml] = await Promise.all(
      ['text', 'table', 'yaml'].map(async (format) => {
        const { code, out } = await ggHere(env, '--output', format, 'list-device-definitions');
        expect(code).toBe(0);
        return out;
      }),
    );
    expect(textual?.split('\n')).toHaveLength(6);
    expect(textual).toMatch(/^DEFINITIONS\tarn:aws:greengrass:[^\t]+\t[^\n]+\tdevices-\d\n/);
    expect(table).toMatch(/^-+\n\| +ListDeviceDefinitions +\|\n/);
    expect(names(parse(yaml ?? '') as Record<string, unknown>)).toEqual(all);
  });
});

describe('failures', () => {
  it('of the service are told as AWS tells them, with 254', async () => {
    const { code, out, err } = await runGg(env, 'get-group', '--group-id', 'none');
    expect({ code, out }).toEqual({ code: 254, out: '' });
    expect(err).toMatch(/^\nAn error occurred \(\w+\) when calling the GetGroup operation: .+\n$/);
  });

  it('of the keys come from the service too', async () => {
    const wrong = { ...env, AWS_SECRET_ACCESS_KEY: 'wrong' };
    const { code, err } = await runGg(wrong, 'list-groups');
    expect(code).toBe(254);
    expect(err).toMatch(/when calling the ListGroups operation: /);
    expect(err).not.toContain('wrong');
  });

  it('of the way end with 255', async () => {
    const nowhere = { ...env, AWS_ENDPOINT_URL: 'http://127.0.0.1:1' };
    const { code, err } = await runGg(nowhere, 'list-groups');
    expect(code).toBe(255);
    expect(err).toMatch(/Could not connect to the endpoint URL: "http:\/\/127.0.0.1:1"/);
  });

  it('of the settings end with 253', async () => {
    const { AWS_ENDPOINT_URL: _gone, ...homeless } = env;
    const missing = await runGg(homeless, 'list-groups');
    expect(missing.code).toBe(253);
    expect(missing.err).toMatch(/the endpoint is not known: give --ready-file/);
    const noFile = await runGg(env, 'list-groups', '--ready-file', '/no/such');
    expect(noFile.code).toBe(253);
    expect(noFile.err).toMatch(/--ready-file: cannot read \/no\/such/);
  });

  it('of the command line end with 252, and nothing was sent', async () => {
    const { code, out, err } = await runGg(env, 'create-group', '--nam', 'x');
    expect({ code, out }).toEqual({ code: 252, out: '' });
    expect(err).toMatch(/^gg create-group: Unknown options: --nam, x\n"gg create-group --help"/);
  });

  it('of gg itself, its own command line end with 2', async () => {
    const { code, err } = await runGg(env, 'create-grup');
    expect(code).toBe(2);
    expect(err).toMatch(/unknown command 'create-grup'[\s\S]*gg --help/);
  });
});

describe('keys and endpoint', () => {
  it('come from a ready file, wherever the options stand', async () => {
    const file = join(cloud.folder, 'ready.json');
    const where = { host: '127.0.0.1', port: 1 };
    const ready = { api: cloud.url, mqtt: where, https: where, caFile: 'ca.pem', region: 'us-east-1' };
    writeFileSync(file, JSON.stringify({ ...ready, ...cloud.credentials }));
    const bare = { HOME: cloud.folder };
    expect(await runGg(bare, '--ready-file', file, 'list-groups')).toMatchObject({ code: 0, err: '' });
  });

  it('come from a profile in ~/.aws', async () => {
    const { accessKeyId, secretAccessKey } = cloud.credentials;
    mkdirSync(join(cloud.folder, '.aws'));
    writeFileSync(
      join(cloud.folder, '.aws', 'credentials'),
      `[attic]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`,
    );
    const args = ['list-groups', '--profile', 'attic', '--endpoint-url', cloud.url];
    expect(await runGg({ HOME: cloud.folder }, ...args)).toMatchObject({ code: 0, err: '' });
  });
});

it('gg deploy, an errand of its own, takes the same environment', async () => {
  const { code, err } = await runGg(env, 'deploy', '--group', 'nobody');
  expect({ code, err }).toEqual({ code: 1, err: 'there is no group "nobody": gg list-groups shows them\n' });
});
