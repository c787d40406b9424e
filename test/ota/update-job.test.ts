/** What the agent reads in a job, and which versions it takes. */
import { refusalOf, updateJobOf } from '../../greengrass/core/ota/update-job.js';
import { compareSoftwareVersions, isSoftwareVersion } from '../../greengrass/model/software-version.js';

const DIGEST = 'a'.repeat(64);
const document = (more: object = {}, software: object = {}) => ({
  ...{
    operation: 'greengrass-software-update',
    software: 'core',
    version: '2.0.0',
    operatingSystem: 'ubuntu',
  },
  ...{ architecture: 'x86_64', logLevel: 'ERROR' },
  package: {
    ...{
      path: `/greengrass/jobs/j/software/${DIGEST}`,
      version: '2.0.0',
      sha256: DIGEST,
      size: 1,
      signature: 's',
    },
    ...software,
  },
  ...more,
});
function job(more: object = {}, software: object = {}) {
  const read = updateJobOf(document(more, software));
  if (!read || read instanceof Error) throw new Error(`not read: ${read?.message}`);
  return read;
}

describe('a job', () => {
  it.each([undefined, null, 'text', {}, { operation: 'reboot' }, []])('%j is left to others', (other) => {
    expect(updateJobOf(other)).toBeUndefined();
  });

  it.each<[string, object, object]>([
    ['a path to elsewhere', {}, { path: '/greengrass/groups/g/deployments/d' }],
    ['a path with dots', {}, { path: `/greengrass/jobs/../software/${DIGEST}` }],
    ['a version that is a path', { version: '../../x' }, {}],
    ['a digest that is none', {}, { sha256: '../x' }],
    ['unknown software', { software: 'all' }, {}],
    ['no package', { package: undefined }, {}],
  ])('with %s is rejected', (_what, more, software) => {
    expect(updateJobOf(document(more, software))).toBeInstanceOf(Error);
  });

  it('is done where it is for this machine and newer', () => {
    expect(refusalOf(job(), '1.9.9', 'x64')).toBeUndefined();
    expect(refusalOf(job({ architecture: 'armv6l' }), '1.9.9', 'arm')).toBeUndefined();
  });

  it.each([
    [job(), '2.0.1', 'x64', 'version 2.0.0 is older than 2.0.1, which runs'],
    [job(), '1.0.0', 'arm64', 'the update is for x86_64, but this core is aarch64'],
    [job({}, { version: '1.9.0' }), '1.0.0', 'x64', 'the job speaks of version 2.0.0, its package of 1.9.0'],
  ])('is not done otherwise', (refused, runs, arch, why) => {
    expect(refusalOf(refused, runs, arch)).toBe(why);
  });
});

describe('versions', () => {
  it('are ordered as numbers, what comes before a release before it', () => {
    const ordered = [
      '0.9.0',
      '1.0.0-beta',
      '1.0.0-rc.2',
      '1.0.0-rc.10',
      '1.0.0',
      '1.0.9',
      '1.0.10',
      '1.10.0',
      '2.0.0',
    ];
    const mixed = [...ordered].reverse().sort(compareSoftwareVersions);
    expect(mixed).toEqual(ordered);
    expect(compareSoftwareVersions('1.2.3', '1.2.3')).toBe(0);
  });

  it.each(['', '1', '1.2', 'v1.2.3', '1.2.3/..', '1.2.3-', '1.2.3-a/b', ' 1.2.3', '1.2.3\n'])(
    '%j is none',
    (text) => {
      expect(isSoftwareVersion(text)).toBe(false);
    },
  );
});
