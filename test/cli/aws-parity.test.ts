/**
 * gg beside AWS's own command line (version 2), where that is installed: the same words, the same cloud, and the same
 * output to the byte, refusals and exit codes included.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { verbNames } from '../../greengrass/cli/api/verbs.js';
import { Cloud } from '../cloud-api/harness.js';
import { AwsCli, awsIsThere } from './aws-cli.js';
import { type Environment, environmentOf, ggHere, runGg, useEnvironment } from './gg.js';

const describeWithAws = awsIsThere ? describe : describe.skip;

let cloud: Cloud;
let env: Environment;
let aws: AwsCli;
/** Words in capitals of the lines below, and what they stand for. */
const known = new Map<string, string>();

async function made(...args: string[]): Promise<Record<string, string>> {
  const { code, out, err } = await ggHere(env, ...args);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as Record<string, string>;
}

async function seed(): Promise<void> {
  const functions = [
    {
      Id: 'f',
      FunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:f:1',
      FunctionConfiguration: { MemorySize: 16384 },
    },
    {
      Id: 'g',
      FunctionArn: 'arn:aws:lambda:us-east-1:123456789012:function:g:1',
      FunctionConfiguration: {
        Pinned: true,
        MemorySize: 65536,
        Environment: { Variables: { A: 'ä', B: 'x y' }, AccessSysfs: false },
      },
    },
  ];
  const file = join(cloud.folder, 'functions.json');
  writeFileSync(file, JSON.stringify(functions));
  const definition = await made('create-function-definition', '--name', 'functions', '--tags', 'b=1,a=2');
  const version = await made(
    'create-function-definition-version',
    ...['--function-definition-id', definition.Id ?? '', '--functions', `file://${file}`],
  );
  const group = await made('create-group', '--name', 'attic', '--tags', 'z=1');
  for (const name of ['cellar', 'garden']) await made('create-group', '--name', name);
  await made(
    'create-group-version',
    ...['--group-id', group.Id ?? '', '--function-definition-version-arn', version.Arn ?? ''],
  );
  await made('create-group-certificate-authority', '--group-id', group.Id ?? '');
  known.set('GROUP', group.Id ?? '').set('ARN', group.Arn ?? '');
  known.set('FUNCTIONS', definition.Id ?? '').set('VERSION', version.Version ?? '');
}

/** What gg answers, and what AWS's command line answers. */
function both(line: string) {
  const words = line.split(' ').map((word) => known.get(word) ?? word);
  return Promise.all([ggHere(env, ...words), aws.run(env, ...words)]);
}

describeWithAws('gg prints what aws greengrass prints', () => {
  beforeAll(async () => {
    cloud = await Cloud.start();
    env = environmentOf(cloud);
    useEnvironment(env);
    aws = await AwsCli.start();
    await seed();
  });
  afterAll(async () => {
    await aws.stop();
    await cloud.stop();
  });

  it('as a process of its own too', async () => {
    const words = ['get-group', '--group-id', known.get('GROUP') ?? '', '--output', 'table'];
    expect(await runGg(env, ...words)).toEqual(await aws.run(env, ...words));
    const refused = ['get-group', '--group-id', 'none'];
    expect(await runGg(env, ...refused)).toEqual(await aws.run(env, ...refused));
  });

  it.each([
    'get-function-definition --function-definition-id FUNCTIONS',
    'get-function-definition-version --function-definition-id FUNCTIONS --function-definition-version-id VERSION',
    'get-group --group-id GROUP',
    'get-group-certificate-configuration --group-id GROUP',
    'list-core-definitions',
    'list-deployments --group-id GROUP',
    'list-function-definition-versions --function-definition-id FUNCTIONS',
    'list-function-definitions --no-paginate',
    'list-group-certificate-authorities --group-id GROUP',
    'list-group-versions --group-id GROUP --page-size 1',
    'list-groups',
    'list-groups --max-items 2',
    'list-groups --page-size 1 --max-items 2',
    'list-tags-for-resource --resource-arn ARN',
    'list-groups --page-size 2 --output text',
    'list-groups --max-items 1 --output text',
    'get-group --group-id GROUP --output text',
    'get-function-definition-version --function-definition-id FUNCTIONS --function-definition-version-id VERSION --output text',
    'list-groups --output table',
    'list-deployments --group-id GROUP --output table',
    'get-function-definition-version --function-definition-id FUNCTIONS --function-definition-version-id VERSION --output table',
    'create-connector-definition-version --generate-cli-skeleton',
    'create-function-definition --generate-cli-skeleton output',
    'update-connectivity-info --generate-cli-skeleton',
    'list-groups --output yaml',
    'get-function-definition-version --function-definition-id FUNCTIONS --function-definition-version-id VERSION --output yaml',
  ])('%s', async (line) => {
    const [ours, theirs] = await both(line);
    expect(ours).toEqual(theirs);
    expect(ours.code).toBe(0);
  });

  it.each([
    'get-group --group-id none',
    'create-group --name a --initial-version CoreDefinitionVersionArn=x',
    'list-tags-for-resource --resource-arn arn',
  ])('and what it refuses: %s', async (line) => {
    const [ours, theirs] = await both(line);
    expect(ours).toEqual(theirs);
    expect(ours.code).toBe(254);
  });

  it.each([
    'get-group',
    'get-group --group-id a --unknown b',
    'create-group --name a --tags {',
    'create-group --name a --tags x',
    'create-group --name a --cli-input-json {"Foo":1}',
    'create-core-definition-version --core-definition-id a --cores Id=x',
    'list-groups --output xml',
  ])('and ends with the same code where the command line is wrong: %s', async (line) => {
    const [ours, theirs] = await both(line);
    expect([ours.code, ours.out]).toEqual([theirs.code, theirs.out]);
  });

  it('and either goes on where the other ended', async () => {
    const first = await ggHere(env, 'list-groups', '--page-size', '2', '--max-items', '1');
    const { NextToken } = JSON.parse(first.out) as { NextToken: string };
    const rest = ['list-groups', '--page-size', '2', '--starting-token', NextToken, '--max-items', '1'];
    const [ours, theirs] = await Promise.all([ggHere(env, ...rest), aws.run(env, ...rest)]);
    expect(ours).toEqual(theirs);
    const { NextToken: second } = JSON.parse(theirs.out) as { NextToken: string };
    const last = await ggHere(env, 'list-groups', '--starting-token', second);
    expect((JSON.parse(last.out) as { Groups: unknown[] }).Groups).toHaveLength(1);
  });

  it('and knows the same verbs', async () => {
    const { err } = await aws.run(env, 'no-such-verb');
    expect(verbNames().filter((verb) => !new RegExp(`\\b${verb}\\b`).test(err))).toEqual([]);
  });
});
