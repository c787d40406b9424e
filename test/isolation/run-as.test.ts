/** Who a function runs as, and V1's refusals. */
import { readFileSync } from 'node:fs';
import { DeploymentError } from '../../greengrass/core/errors.js';
import { resolveRunAs } from '../../greengrass/core/isolation/run-as.js';

const functionArn = 'arn:aws:lambda:us-east-1:123456789012:function:f:1';
const idOf = (file: string, name: string): number | undefined => {
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${name}:`));
  return line === undefined ? undefined : Number(line.split(':')[2]);
};

it('is the uid and gid that the group gives', () => {
  expect(resolveRunAs({ Uid: 64001, Gid: 64002 }, { functionArn, allowRoot: false })).toEqual({
    uid: 64001,
    gid: 64002,
  });
});

it.each([
  ['uid', { Uid: 0, Gid: 64001 }],
  ['gid', { Uid: 64001, Gid: 0 }],
])('is root, by its %s, only where the core allows it', (_what, runAs) => {
  const refused = () => resolveRunAs(runAs, { functionArn, allowRoot: false });
  expect(refused).toThrow(DeploymentError);
  expect(refused).toThrow(
    `lambda(s) [${functionArn}] are configured to run as root while Greengrass is not configured to run lambdas with root permissions`,
  );
  expect(resolveRunAs(runAs, { functionArn, allowRoot: true })).toEqual({ uid: runAs.Uid, gid: runAs.Gid });
});

it.each([
  ['user', '/etc/passwd', 'ggc_user', { Gid: 64001 }, 'uid'],
  ['group', '/etc/group', 'ggc_group', { Uid: 64001 }, 'gid'],
] as const)(
  'is the %s of Greengrass by default, or says how to make it',
  (kind, file, name, runAs, member) => {
    const id = idOf(file, name);
    const resolve = () => resolveRunAs(runAs, { functionArn, allowRoot: false });
    if (id === undefined) expect(resolve).toThrow(new RegExp(`unknown ${kind} ${name}\\. Make it \\(add`));
    else expect(resolve()[member]).toBe(id);
  },
);
