/** Local resources of a group → what a worker gets: paths behind links, groups, permissions, and V1's refusals. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeploymentError } from '../../greengrass/core/errors.js';
import { resolveLocalResources } from '../../greengrass/core/resources/local-resources.js';
import type { GroupResource } from '../../greengrass/model/group.js';

const isRoot = process.getuid?.() === 0;
const WHO = { uid: 64001, gid: 64001 };

/** Files have owners here: only root can give them. */
(isRoot ? describe : describe.skip)('local resources', () => {
  let folder: string;
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'greengrass-resources-')));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function made(name: string, mode: number, gid = 0): string {
    const path = join(folder, name);
    mkdirSync(path);
    chownSync(path, 0, gid);
    chmodSync(path, mode);
    return path;
  }

  const volume = (
    SourcePath: string,
    owner: { AutoAddGroupOwner?: boolean; GroupOwner?: string } = {},
  ): GroupResource => ({
    Id: 'r',
    Name: 'r',
    Type: 'LOCAL_VOLUME',
    Data: { SourcePath, DestinationPath: '/dest', GroupOwnerSetting: owner },
  });
  const device = (SourcePath: string, owner: { AutoAddGroupOwner?: boolean } = {}): GroupResource => ({
    Id: 'r',
    Name: 'r',
    Type: 'LOCAL_DEVICE',
    Data: { SourcePath, GroupOwnerSetting: owner },
  });
  const given = (resource: GroupResource, Permission?: 'ro' | 'rw', who = WHO) =>
    resolveLocalResources([resource], [{ ResourceId: 'r', ...(Permission ? { Permission } : {}) }], who);

  function refusal(act: () => unknown): string {
    try {
      act();
    } catch (error) {
      expect(error).toBeInstanceOf(DeploymentError);
      return (error as Error).message;
    }
    throw new Error('nothing was refused');
  }

  it('are read-only where the policy says nothing', () => {
    const source = made('v', 0o755);
    expect(given(volume(source))).toEqual({
      mounts: [{ source, destination: '/dest', readOnly: true }],
      devices: [],
      additionalGids: [],
    });
    chmodSync(source, 0o777);
    expect(given(volume(source), 'rw').mounts[0]?.readOnly).toBe(false);
  });

  it('are what lies behind a link, and are refused by that', () => {
    const source = made('v', 0o755);
    symlinkSync(source, join(folder, 'link'));
    expect(given(volume(join(folder, 'link'))).mounts[0]?.source).toBe(source);
    symlinkSync('/sys/kernel', join(folder, 'trap'));
    expect(refusal(() => given(volume(join(folder, 'trap'))))).toMatch(/Accessing \/sys is prohibited/);
    symlinkSync('/etc', join(folder, 'device'));
    expect(refusal(() => given(device(join(folder, 'device'))))).toMatch(
      /Device resource path should begin with \/dev, but got: \/etc/,
    );
  });

  it.each<[string, number, 'ro' | 'rw', boolean]>([
    ['others may read', 0o704, 'ro', true],
    ['others may read, rw was asked', 0o704, 'rw', false],
    ['others may read and write', 0o706, 'rw', true],
    ['only the owner may', 0o700, 'ro', false],
    ['only the group may', 0o770, 'rw', false],
  ])('ordinary permissions decide: %s', (_what, mode, permission, isAllowed) => {
    const resource = volume(made('v', mode));
    if (isAllowed) expect(given(resource, permission).mounts).toHaveLength(1);
    else
      expect(refusal(() => given(resource, permission))).toBe(
        `Error while processing. group config is invalid: 64001 or [64001] don't have ${permission} permission on the file: ${folder}/v`,
      );
    expect(given(resource, permission, { uid: 0, gid: 0 }).mounts).toHaveLength(1);
  });

  it('the class of the function decides alone: a group that may not does not fall back to the others', () => {
    const resource = volume(made('v', 0o707, 64001));
    expect(refusal(() => given(resource))).toMatch(/don't have ro permission/);
  });

  it('add the group of the source, or the one that is named', () => {
    const source = made('v', 0o770, 64050);
    expect(given(volume(source, { AutoAddGroupOwner: true }), 'rw').additionalGids).toEqual([64050]);
    expect(given(volume(source, { GroupOwner: '64050' }), 'rw').additionalGids).toEqual([64050]);
    expect(refusal(() => given(volume(source, { GroupOwner: '64051' }), 'rw'))).toMatch(
      /64001 or \[64001 64051\] don't have rw permission/,
    );
    expect(given(volume(source, { GroupOwner: 'root' }), 'ro', { uid: 0, gid: 0 }).additionalGids).toEqual(
      [],
    );
    expect(refusal(() => given(volume(source, { GroupOwner: 'nobody-has-this' })))).toMatch(
      /there is no group "nobody-has-this"/,
    );
  });

  it('do not repeat a group, nor the own one', () => {
    const source = made('v', 0o770, 64001);
    expect(given(volume(source, { AutoAddGroupOwner: true }), 'rw').additionalGids).toEqual([]);
  });

  it('that are not there, or not in the group, fail the deployment with their name', () => {
    expect(refusal(() => given(volume(join(folder, 'nothing'))))).toMatch(/resource r: .*\/nothing: ENOENT/);
    expect(refusal(() => resolveLocalResources([], [{ ResourceId: 'other' }], WHO))).toMatch(
      /resource other is not in the group/,
    );
  });

  it('are device nodes and nothing else where they are devices', () => {
    expect(given(device('/dev/null'), 'rw').devices).toEqual([{ path: '/dev/null', readOnly: false }]);
    expect(given(device('/dev/null')).devices).toEqual([{ path: '/dev/null', readOnly: true }]);
    if (existsSync('/dev/shm'))
      expect(refusal(() => given(device('/dev/shm')))).toMatch(/\/dev\/shm is not a device/);
    expect(refusal(() => given(device('/dev/does-not-exist')))).toMatch(/ENOENT/);
    expect(given(device('/dev/null', { AutoAddGroupOwner: true })).additionalGids).toEqual([
      statSync('/dev/null').gid,
    ]);
  });

  it('of /proc are read-only, whatever was asked for', () => {
    expect(given(volume('/proc'), 'rw', { uid: 0, gid: 0 }).mounts[0]?.readOnly).toBe(true);
  });

  it('may be one source for several functions, with different permissions', () => {
    const source = made('v', 0o777);
    const resources = [volume(source)];
    const one = resolveLocalResources(resources, [{ ResourceId: 'r', Permission: 'rw' }], WHO);
    const two = resolveLocalResources(resources, [{ ResourceId: 'r' }], { uid: 64002, gid: 64002 });
    expect([one.mounts[0]?.readOnly, two.mounts[0]?.readOnly]).toEqual([false, true]);
  });

  it('leave secrets to the secret manager', () => {
    const secret = {
      Id: 'r',
      Name: 'r',
      Type: 'SECRETS_MANAGER_SECRET',
      Data: { ARN: 'arn:aws:secretsmanager:us-east-1:123456789012:secret:greengrass-x-abcdef' },
    } as unknown as GroupResource;
    expect(given(secret)).toEqual({ mounts: [], devices: [], additionalGids: [] });
  });

  it('may be a single file', () => {
    const path = join(folder, 'file');
    writeFileSync(path, '', { mode: 0o644 });
    expect(given(volume(path)).mounts).toEqual([{ source: path, destination: '/dest', readOnly: true }]);
  });
});
