import fc from 'fast-check';
import { EMPTY_GROUP, type GroupDocument, groupDocument } from '../../greengrass/model/group.js';
import { checkGroup } from '../../greengrass/model/group-checks.js';

const THING = (name: string) => `arn:aws:iot:us-east-1:123456789012:thing/${name}`;
const CERT = `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`;
const FUNCTION = 'arn:aws:lambda:us-east-1:123456789012:function:f:1';

interface Parts {
  functions?: unknown[];
  subscriptions?: unknown[];
  resources?: unknown[];
  execution?: unknown;
  cores?: unknown[];
}

function group({ functions, subscriptions, resources, execution, cores }: Parts): GroupDocument {
  return groupDocument.parse({
    Cores: cores ?? [{ thingArn: THING('core'), certArn: CERT }],
    Devices: [{ thingArn: THING('d1'), certArn: CERT }],
    GroupDefinitions: {
      Lambdas: {
        Content: functions ?? [{ FunctionArn: FUNCTION, DeploymentConfiguration: { MemorySize: 16384 } }],
      },
      Subscriptions: { Content: subscriptions ?? [] },
      Resources: { Content: resources ?? [] },
      Logging: { Content: [] },
      ShadowSync: { Content: [] },
      ClientCertFingerprints: { Content: [] },
      ...(execution ? { DefaultFunctionExecution: execution } : {}),
    },
  });
}

const messages = (parts: Parts) => checkGroup(group(parts)).map(({ message }) => message);

describe('a group document', () => {
  it('with a subscription from the cloud to the cloud is refused: its messages would never come to rest', () => {
    expect(
      messages({ subscriptions: [{ Id: 's', Source: 'cloud', Subject: 'a', Target: 'cloud' }] }),
    ).toEqual([expect.stringMatching(/^Subscription is a loop\. ID is 's'/)]);
  });

  it('that is in order has no problems', () => {
    expect(
      messages({ subscriptions: [{ Id: 's', Source: THING('d1'), Subject: 'a/+', Target: FUNCTION }] }),
    ).toEqual([]);
  });

  it.each<[string, Parts, string]>([
    ['no core', { cores: [] }, 'You need a Greengrass Core in this Group before you can deploy.'],
    [
      'a container function without memory',
      { functions: [{ FunctionArn: FUNCTION }] },
      `MemorySize configuration for function with arn ${FUNCTION} is required in IsolationMode=GreengrassContainer.`,
    ],
    [
      'memory without a container',
      {
        execution: { IsolationMode: 'NoContainer' },
        functions: [{ FunctionArn: FUNCTION, DeploymentConfiguration: { MemorySize: 1024 } }],
      },
      `MemorySize configuration for function with arn ${FUNCTION} is not allowed in IsolationMode=NoContainer.`,
    ],
    [
      'sysfs without a container',
      {
        execution: { IsolationMode: 'NoContainer' },
        functions: [
          { FunctionArn: FUNCTION, DeploymentConfiguration: { Environment: { AccessSysfs: true } } },
        ],
      },
      `Access Sysfs configuration for function with arn ${FUNCTION} is not allowed in IsolationMode=NoContainer.`,
    ],
    [
      'a volume without a container',
      {
        execution: { IsolationMode: 'NoContainer' },
        resources: [
          { Id: 'v', Type: 'LOCAL_VOLUME', Data: { SourcePath: '/src', DestinationPath: '/dest' } },
        ],
        functions: [
          {
            FunctionArn: FUNCTION,
            DeploymentConfiguration: { Environment: { ResourceAccessPolicies: [{ ResourceId: 'v' }] } },
          },
        ],
      },
      `Function ${FUNCTION} refers to resource of type Local.Volume that is not allowed in IsolationMode=NoContainer.`,
    ],
    [
      'a volume of /sys',
      {
        resources: [
          { Id: 'v', Type: 'LOCAL_VOLUME', Data: { SourcePath: '/sys/x', DestinationPath: '/dest' } },
        ],
      },
      'Accessing /sys is prohibited',
    ],
    [
      'a device outside /dev',
      { resources: [{ Id: 'd', Type: 'LOCAL_DEVICE', Data: { SourcePath: '/etc/passwd' } }] },
      'Device resource path should begin with /dev, but got: /etc/passwd',
    ],
    [
      'a subscription with a source that is none',
      { subscriptions: [{ Id: 's1', Source: 'nobody', Subject: 'a', Target: 'cloud' }] },
      "Subscription source is invalid. ID is 's1' and Source is 'nobody'",
    ],
    [
      'a subscription with a target that is none',
      { subscriptions: [{ Id: 's1', Source: 'cloud', Subject: 'a', Target: '' }] },
      "Subscription target is invalid. ID is 's1' and Target is ''",
    ],
  ])("with %s is refused in V1's words", (_name, parts, expected) => {
    expect(messages(parts)).toContain(expected);
  });

  it('names parties that are not in the group', () => {
    const found = messages({
      subscriptions: [{ Id: 's', Source: THING('other'), Subject: 'a', Target: 'cloud' }],
    });
    expect(found.join()).toMatch(/not a member of the group.*other/);
  });

  it('refuses a subject with two single-level wildcards', () => {
    const found = messages({
      subscriptions: [{ Id: 's', Source: 'cloud', Subject: '+/a/+', Target: FUNCTION }],
    });
    expect(found.join()).toMatch(/more than one '\+'/);
  });

  it('that is {} is the empty group', () => {
    expect(groupDocument.parse({})).toEqual(EMPTY_GROUP);
  });

  it('is parsed or refused, whatever it holds, and never blows up the checks', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (lambdas, subscriptions) => {
        const result = groupDocument.safeParse({
          Cores: [{ thingArn: 'x', certArn: 'y' }],
          GroupDefinitions: { Lambdas: { Content: lambdas }, Subscriptions: { Content: subscriptions } },
        });
        if (result.success) expect(Array.isArray(checkGroup(result.data))).toBe(true);
      }),
    );
  });
});
