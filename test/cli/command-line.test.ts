import { parseCommandLine } from '../../greengrass/cli/api/command-line.js';
import { inputSkeleton, outputSkeleton } from '../../greengrass/cli/api/skeleton.js';
import { splitVerb } from '../../greengrass/cli/api/split-verb.js';
import { verbHelp } from '../../greengrass/cli/api/verb-help.js';
import { findVerb, type Verb } from '../../greengrass/cli/api/verbs.js';

function verb(name: string): Verb {
  const found = findVerb(name);
  if (!found) throw new Error(`no verb ${name}`);
  return found;
}

const parse = (line: string, env: NodeJS.ProcessEnv = {}) => {
  const [name = '', ...argv] = line.split(' ');
  return parseCommandLine(verb(name), argv, env);
};

describe('a command line', () => {
  it('gives the request, where it goes and how the answer is printed', () => {
    const line =
      'create-group --name=a=b --endpoint-url http://h --region r --profile p --ready-file f --output text';
    expect(parse(line)).toEqual({
      kind: 'call',
      input: { Name: 'a=b' },
      connect: { endpoint: 'http://h', region: 'r', profile: 'p', readyFile: 'f' },
      output: 'text',
    });
  });

  it('knows flags, their opposites and lists of words', () => {
    expect(parse('reset-deployments --group-id g --force')).toMatchObject({
      input: { GroupId: 'g', Force: true },
    });
    expect(parse('reset-deployments --no-force --group-id g')).toMatchObject({
      input: { GroupId: 'g', Force: false },
    });
    expect(parse('untag-resource --tag-keys a b c --resource-arn arn')).toMatchObject({
      input: { ResourceArn: 'arn', TagKeys: ['a', 'b', 'c'] },
    });
  });

  it('takes the request from JSON, and options over it', () => {
    expect(parse('create-group --cli-input-json {"Name":"a","AmznClientToken":"t"} --name b')).toMatchObject({
      input: { Name: 'b', AmznClientToken: 't' },
    });
  });

  it('takes the format from the environment where it is one of ours', () => {
    expect(parse('list-groups', { AWS_DEFAULT_OUTPUT: 'table' })).toMatchObject({ output: 'table' });
    expect(parse('list-groups', { AWS_DEFAULT_OUTPUT: 'yaml-stream' })).toMatchObject({ output: 'json' });
  });

  it('pages lists unless told not to', () => {
    expect(parse('list-groups')).toMatchObject({ pages: {} });
    expect(parse('list-groups --max-items 3 --page-size 2 --starting-token t')).toMatchObject({
      pages: { maxItems: 3, pageSize: '2', startingToken: 't' },
    });
    expect(parse('list-groups --no-paginate')).not.toHaveProperty('pages');
    expect(parse('list-groups --next-token t')).not.toHaveProperty('pages');
    expect(parse('get-group --group-id g --no-paginate')).not.toHaveProperty('pages');
  });

  it.each([
    ['create-group', 'the following arguments are required: --name'],
    ['create-group --name', '--name: expected one value'],
    ['untag-resource --resource-arn a --tag-keys', '--tag-keys: expected at least one value'],
    ['create-group --name a --foo b extra', 'Unknown options: --foo, b, extra'],
    ['create-group --name a --output xml', '--output: must be one of json, table, text, yaml, but is "xml"'],
    ['reset-deployments --group-id g --force=yes', '--force: takes no value'],
    ['list-groups --max-items 0', '--max-items: must be a whole number from 1 on, but is "0"'],
    ['list-groups --max-items many', '--max-items: must be a whole number from 1 on, but is "many"'],
    ['list-groups --no-paginate --max-items 1', '--max-items: cannot stand with --no-paginate'],
    ['get-group --group-id g --max-items 1', 'Unknown options: --max-items, 1'],
    ['list-groups --cli-input-json []', "--cli-input-json: must be a JSON object of the request's members"],
    ['list-groups --cli-input-json {', '--cli-input-json: is not valid JSON'],
    ['list-groups --query Groups', '--query: gg has no such option: gg prints the whole answer'],
    [
      'create-group --cli-input-json {"Nam":1}',
      'Parameter validation failed: Name: is required; unknown parameter Nam, must be one of: AmznClientToken, ',
    ],
  ])('is refused with the option and the rule: %s', (line, message) => {
    expect(() => parse(line)).toThrow(message);
  });
});

describe('the verb', () => {
  it.each([
    ['list-groups --output text', 'list-groups', ['--output', 'text']],
    ['--region r --output text list-groups --x', 'list-groups', ['--x', '--region', 'r', '--output', 'text']],
    ['help list-groups', 'list-groups', ['--help']],
    ['deploy --group list-groups', undefined, ['deploy', '--group', 'list-groups']],
    ['--help', undefined, ['--help']],
  ])('is found in %s', (line, name, rest) => {
    const split = splitVerb(line.split(' '));
    expect([split.verb?.name, split.rest]).toEqual([name, rest]);
  });
});

describe('skeleton and help', () => {
  it('show every member once', () => {
    expect(inputSkeleton('CreateSoftwareUpdateJobRequest')).toEqual({
      AmznClientToken: '',
      S3UrlSignerRole: '',
      SoftwareToUpdate: 'core',
      UpdateAgentLogLevel: 'NONE',
      UpdateTargets: [''],
      UpdateTargetsArchitecture: 'armv6l',
      UpdateTargetsOperatingSystem: 'ubuntu',
    });
    expect(outputSkeleton('ListTagsForResourceResponse')).toEqual({ tags: { KeyName: '' } });
    expect(outputSkeleton('CreateDeploymentResponse')).toEqual({
      DeploymentArn: 'DeploymentArn',
      DeploymentId: 'DeploymentId',
    });
    expect(parse('create-group --generate-cli-skeleton')).toEqual({ kind: 'skeleton', of: 'input' });
    expect(parse('create-group --generate-cli-skeleton output')).toEqual({ kind: 'skeleton', of: 'output' });
  });

  it('name what is required first', () => {
    const help = verbHelp(verb('untag-resource'));
    expect(help).toMatch(/^Usage: gg untag-resource --resource-arn TEXT --tag-keys WORD … \[options\]\n/);
    expect(help).not.toContain('--max-items');
    expect(verbHelp(verb('list-groups'))).toContain('--max-items N');
    expect(parse('create-group help')).toEqual({ kind: 'help' });
    expect(parse('create-group --name a --help')).toEqual({ kind: 'help' });
  });
});
