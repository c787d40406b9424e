import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkInput } from '../../greengrass/cli/api/input-check.js';
import { parseShorthand, ShorthandError } from '../../greengrass/cli/api/shorthand.js';
import { optionValue } from '../../greengrass/cli/api/values.js';
import { findVerb } from '../../greengrass/cli/api/verbs.js';

const folder = mkdtempSync(join(tmpdir(), 'gg-values-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function value(verb: string, option: string, ...words: string[]): unknown {
  const found = findVerb(verb)?.options.find(({ name }) => name === option);
  if (!found) throw new Error(`${verb} has no --${option}`);
  return optionValue(found, words);
}

describe('shorthand', () => {
  const parse = (text: string) => parseShorthand(text, (path) => `<${path}>`);

  it.each([
    ['a=b', { a: 'b' }],
    ['a=b,c=d', { a: 'b', c: 'd' }],
    ['a=b,c', { a: ['b', 'c'] }],
    ['a=b,c,d=e', { a: ['b', 'c'], d: 'e' }],
    ['a=,b=c', { a: '', b: 'c' }],
    ['a=[x,[y,z],{k=v}]', { a: ['x', ['y', 'z'], { k: 'v' }] }],
    ['a={b=c,d={e=f}}', { a: { b: 'c', d: { e: 'f' } } }],
    [`a="x,y",b='q=r'`, { a: 'x,y', b: 'q=r' }],
    ['a=x\\,y,b=z', { a: 'x,y', b: 'z' }],
    ['a = b , c = d', { a: 'b', c: 'd' }],
    ['Arn=arn:aws:lambda:us-east-1:1:function:f:1', { Arn: 'arn:aws:lambda:us-east-1:1:function:f:1' }],
    ['a=b=c', { a: 'b=c' }],
    ['a="a\\"b"', { a: 'a"b' }],
    ['Source=cloud,Subject=a/#', { Source: 'cloud', Subject: 'a/#' }],
    ['a@=file,b=file', { a: '<file>', b: 'file' }],
    ['a=[],b={}', { a: [], b: {} }],
    ['__proto__=x', Object.fromEntries([['__proto__', 'x']])],
  ])('%s', (text, expected) => {
    expect(parse(text)).toEqual(expected);
  });

  it.each(['', 'a', 'a=,', 'a=b,', 'a=[x', 'a={b=c', 'a="x', 'a=x]', 'a=b,[c]'])('refuses %j', (text) => {
    expect(() => parse(text)).toThrow(ShorthandError);
  });

  it('shows the place', () => {
    expect(() => parse('a=b,a=c')).toThrow(/the key "a" stands there twice.*\na=b,a=c\n {4}\^$/);
  });
});

describe('values', () => {
  it('are words, several words, or a JSON list for lists of text', () => {
    expect(value('get-group', 'group-id', '{not json}')).toBe('{not json}');
    expect(value('untag-resource', 'tag-keys', 'a', 'b')).toEqual(['a', 'b']);
    expect(value('untag-resource', 'tag-keys', '["a", "b"]')).toEqual(['a', 'b']);
  });

  it('are shorthand or JSON for structures, with the types of the shape', () => {
    const functions = [
      {
        Id: 'f',
        FunctionConfiguration: { Pinned: true, Timeout: 3, Environment: { Variables: { A: '1' } } },
      },
      { Id: 'g' },
    ];
    const words = [
      'Id=f,FunctionConfiguration={Pinned=true,Timeout=3,Environment={Variables={A=1}}}',
      '{"Id": "g"}',
    ];
    expect(value('create-function-definition-version', 'functions', ...words)).toEqual(functions);
    const text = JSON.stringify(functions);
    expect(value('create-function-definition-version', 'functions', text)).toEqual(functions);
    expect(value('create-group', 'tags', 'a=b,c=d')).toEqual({ a: 'b', c: 'd' });
    expect(value('create-core-definition', 'initial-version', 'Cores=[{Id=c,SyncShadow=True}]')).toEqual({
      Cores: [{ Id: 'c', SyncShadow: true }],
    });
    expect(value('create-core-definition', 'initial-version', 'Cores={Id=c}')).toEqual({
      Cores: [{ Id: 'c' }],
    });
  });

  it('are read from files, whole or in shorthand', () => {
    const file = join(folder, 'cores.json');
    writeFileSync(file, '[{"Id": "c"}]');
    expect(value('create-core-definition-version', 'cores', `file://${file}`)).toEqual([{ Id: 'c' }]);
    writeFileSync(file, 'text\n');
    expect(value('create-group', 'name', `fileb://${file}`)).toBe('text\n');
    expect(value('create-group', 'tags', `a@=file://${file},b=file://${file}`)).toEqual({
      a: 'text\n',
      b: `file://${file}`,
    });
  });

  it.each([
    [['create-group', 'tags', '{"a"'], /^--tags: is not valid JSON/],
    [['create-group', 'tags', 'a'], /^--tags: neither JSON nor shorthand .*expected "="/],
    [
      ['create-group', 'name', 'file:///no/such'],
      /^--name: cannot read \/no\/such \(there is no such file\)/,
    ],
    [
      ['create-function-definition-version', 'functions', 'FunctionConfiguration={Timeout=soon}'],
      /^--functions: "soon" must be a number$/,
    ],
  ] as const)('that are wrong name the option: %j', ([verb, option, word], message) => {
    expect(() => value(verb, option, word)).toThrow(message);
  });
});

describe('the check of a request', () => {
  it('takes what fits', () => {
    const input = { Name: 'g', tags: { a: 'b' }, InitialVersion: { CoreDefinitionVersionArn: 'arn' } };
    expect(checkInput('CreateGroup', input)).toEqual(input);
  });

  it('names what is missing, unknown and of the wrong type, each with its place', () => {
    const functions = [{ FunctionConfiguration: { Timeout: '3', Memory: 1 } }];
    const broken = () => checkInput('CreateFunctionDefinitionVersion', { Functions: functions });
    expect(broken).toThrow(/^Parameter validation failed: /);
    expect(broken).toThrow(/FunctionDefinitionId: is required/);
    expect(broken).toThrow(/Functions\.0\.Id: is required/);
    expect(broken).toThrow(/Functions\.0\.FunctionConfiguration\.Timeout: .*number/);
    expect(broken).toThrow(/FunctionConfiguration: unknown parameter Memory, must be one of: EncodingType, /);
  });
});
