/** What gg says about a deployment before it is made: the comparison of two group versions. */
import { EXPLANATIONS } from '../../greengrass/cli/explanations.js';
import { type GroupContent, NO_CONTENT } from '../../greengrass/cli/group-content.js';
import { type Change, compareGroups, planText } from '../../greengrass/cli/plan.js';
import { DEPLOYMENT_ERROR_CODES } from '../../greengrass/core/errors.js';

const LAMBDA = 'arn:aws:lambda:us-east-1:123456789012:function:';
const THING = 'arn:aws:iot:us-east-1:123456789012:thing/';
const f = (name: string, FunctionConfiguration = {}) => ({
  Id: name,
  FunctionArn: `${LAMBDA}${name}`,
  FunctionConfiguration,
});
const device = (name: string, certificate = 'a') => ({
  Id: name,
  ThingArn: `${THING}${name}`,
  CertificateArn: certificate,
});
const brief = (changes: readonly Change[]) =>
  changes.map(({ effect, what, name, why }) => [
    effect,
    what,
    name.split(':').slice(6).join(':') || name,
    why,
  ]);
const group = (parts: Partial<GroupContent>): GroupContent => ({ ...NO_CONTENT, ...parts });

describe('the plan of a deployment', () => {
  it('names functions that start, stop, restart, are replaced, and counts those that are not touched', () => {
    const before = group({
      functions: [f('keep:1'), f('change:1', { MemorySize: 1 }), f('old:1'), f('gone:1')],
    });
    const after = group({
      functions: [f('keep:1'), f('change:1', { MemorySize: 2, Pinned: true }), f('old:2'), f('new:1')],
    });
    const { changes, kept } = compareGroups(before, after);
    expect(brief(changes)).toEqual([
      ['restarts', 'function', 'change:1', 'MemorySize, Pinned'],
      ['replaces', 'function', 'old:2', `in place of ${LAMBDA}old:1`],
      ['starts', 'function', 'new:1', undefined],
      ['stops', 'function', 'gone:1', undefined],
    ]);
    expect(kept.functions).toBe(1);
  });

  it('knows that a resource, or a default of the group, changes the functions that use it', () => {
    const uses = (id: string) => ({ Environment: { ResourceAccessPolicies: [{ ResourceId: id }] } });
    const functions = [f('a:1', uses('disk')), f('b:1', uses('other'))];
    const disk = (path: string) => ({
      Id: 'disk',
      Name: 'disk',
      ResourceDataContainer: { LocalVolumeResourceData: { SourcePath: path } },
    });
    const before = group({ functions, resources: [disk('/a')] });
    expect(brief(compareGroups(before, group({ functions, resources: [disk('/b')] })).changes)).toEqual([
      ['restarts', 'function', 'a:1', 'resource disk'],
      ['changes', 'resource', 'disk', 'ResourceDataContainer'],
    ]);
    const defaults = { Execution: { IsolationMode: 'NoContainer' as const } };
    const { changes } = compareGroups(before, { ...before, defaults });
    expect(changes.map(({ why }) => why)).toEqual(Array(2).fill('DefaultConfig of the group'));
  });

  it('tells which devices are cut off: those that leave, and those with another certificate', () => {
    const { changes, kept } = compareGroups(
      group({ devices: [device('stays'), device('leaves'), device('renewed', 'old')] }),
      group({ devices: [device('stays'), device('renewed', 'new'), device('comes')] }),
    );
    expect(brief(changes)).toEqual([
      ['cuts', 'device', `${THING}renewed`, 'CertificateArn'],
      ['adds', 'device', `${THING}comes`, undefined],
      ['cuts', 'device', `${THING}leaves`, undefined],
    ]);
    expect(kept.devices).toBe(1);
  });

  it('is the same whatever the ids of subscriptions are, and says where only the deployment can tell', () => {
    const s = (Id: string, Subject: string) => ({ Id, Source: 'cloud', Subject, Target: 'x' });
    const { changes, kept, notes } = compareGroups(
      group({ subscriptions: [s('1', 'a'), s('2', 'b')], functions: [f('live:prod')] }),
      group({ subscriptions: [s('9', 'b'), s('8', 'c')], functions: [f('live:prod')] }),
    );
    expect(brief(changes)).toEqual([
      ['adds', 'subscription', 'cloud ─ c → x', undefined],
      ['removes', 'subscription', 'cloud ─ a → x', undefined],
    ]);
    expect(kept.subscriptions).toBe(1);
    expect(notes).toEqual([expect.stringContaining(`${LAMBDA}live:prod is named by an alias`)]);
  });

  it('says of secrets and models that they are read when it is deployed, also by the same version', () => {
    const resource = (Name: string, ResourceDataContainer: object) => ({
      Id: Name,
      Name,
      ResourceDataContainer,
    });
    const same = group({
      resources: [
        resource('door', { SecretsManagerSecretResourceData: { ARN: 'arn' } }),
        resource('eyes', { S3MachineLearningModelResourceData: { S3Uri: 's3://models/eyes.zip' } }),
        resource('disk', { LocalVolumeResourceData: { SourcePath: '/a' } }),
      ],
    });
    const { changes, notes } = compareGroups(same, same);
    expect(changes).toEqual([]);
    expect(notes).toEqual([
      expect.stringContaining('resource door is a secret'),
      expect.stringContaining('resource eyes is a model'),
    ]);
  });

  it('is told in words', () => {
    const plan = {
      groupId: 'g',
      nextVersion: 'v2',
      ...compareGroups(NO_CONTENT, group({ functions: [f('a:1')] })),
    };
    expect(planText(plan)).toBe(
      `Nothing is deployed. Version v2 would:\n  starts   function ${LAMBDA}a:1\nNot touched: 0 function(s), 0 device(s), 0 subscription(s).`,
    );
    expect(planText({ ...plan, deployedVersion: 'v1', changes: [] })).toMatch(
      /^Version v1 is deployed. Version v2 would:\n {2}change nothing\n/,
    );
  });
});

it('every code that a deployment can fail with on a core is explained, with advice', () => {
  expect(Object.keys(EXPLANATIONS)).toEqual(expect.arrayContaining(Object.keys(DEPLOYMENT_ERROR_CODES)));
  for (const { meaning, advice } of Object.values(EXPLANATIONS)) expect([meaning, advice]).not.toContain('');
});
