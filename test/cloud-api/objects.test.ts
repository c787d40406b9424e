/** What stands in for S3: addresses in all forms that S3 has, and a folder that nobody gets out of. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { ObjectError, ObjectFolder, parseObjectUri } from '../../greengrass/cloud/api/objects.js';

describe('the address of an object', () => {
  const expected = { bucket: 'my.bucket-1', key: 'a/b c.json' };
  it.each([
    's3://my.bucket-1/a/b c.json',
    'https://my.bucket-1.s3.amazonaws.com/a/b%20c.json',
    'https://my.bucket-1.s3.eu-west-1.amazonaws.com/a/b%20c.json',
    'https://my.bucket-1.s3-eu-west-1.amazonaws.com/a/b%20c.json',
    'https://my.bucket-1.s3.cn-north-1.amazonaws.com.cn/a/b%20c.json',
    'https://s3.amazonaws.com/my.bucket-1/a/b%20c.json',
    'https://s3.eu-west-1.amazonaws.com/my.bucket-1/a/b%20c.json',
    'https://s3-eu-west-1.amazonaws.com/my.bucket-1/a/b%20c.json',
  ])('is %s', (uri) => {
    expect(parseObjectUri(uri)).toEqual(expected);
  });

  it.each([
    '',
    'fleet/a.json',
    'file:///etc/passwd',
    's3://fleet',
    's3://fleet/',
    's3://../etc/passwd',
    's3://.hidden/a',
    's3://UPPER/a',
    'https://example.org/fleet/a.json',
    'https://s3.amazonaws.com.example.org/fleet/a',
    'https://fleet.s3.amazonaws.com/',
    'https://fleet.s3.amazonaws.com/%zz',
  ])('is not "%s"', (uri) => {
    expect(parseObjectUri(uri)).toBeUndefined();
  });
});

describe('the folder of objects', () => {
  let root = '';
  let folder: ObjectFolder;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'gg-objects-'));
    const bucket = join(root, 'objects', 'fleet');
    await mkdir(join(bucket, 'folder'), { recursive: true });
    await writeFile(join(bucket, 'folder', 'a.json'), '12345');
    // Beside the bucket and beside the folder: secrets of whoever.
    await mkdir(join(root, 'objects-2'), { recursive: true });
    await writeFile(join(root, 'outside.json'), 'secret');
    await writeFile(join(root, 'objects-2', 'outside.json'), 'secret');
    await symlink(join(root, 'outside.json'), join(bucket, 'link'));
    await symlink(root, join(bucket, 'up'));
    await symlink('loop', join(bucket, 'loop'));
    await symlink(join(bucket, 'folder', 'a.json'), join(bucket, 'latest'));
    await symlink(join(root, 'objects-2'), join(root, 'objects', 'beside'));
    folder = new ObjectFolder(join(root, 'objects'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it('gives the bytes, up to a size', async () => {
    expect((await folder.read('s3://fleet/folder/a.json', 5)).toString()).toBe('12345');
    await expect(folder.read('s3://fleet/folder/a.json', 4)).rejects.toThrow(
      's3://fleet/folder/a.json has 5 bytes; at most 4 are read',
    );
    expect((await folder.read('s3://fleet/latest', 5)).toString()).toBe('12345');
  });

  it('may itself be reached by a link', async () => {
    await symlink(join(root, 'objects'), join(root, 'mount'));
    const linked = new ObjectFolder(join(root, 'mount'));
    expect((await linked.read('s3://fleet/folder/a.json', 9)).toString()).toBe('12345');
  });

  it.each([
    's3://fleet/none.json',
    's3://other/a.json',
    's3://fleet/folder',
    's3://fleet/folder/a.json/',
    's3://fleet/link',
    's3://fleet/up/outside.json',
    's3://fleet/loop',
    's3://beside/outside.json',
    's3://fleet/../../outside.json',
    's3://fleet/folder/../../../outside.json',
    's3://fleet//../../outside.json',
    's3://fleet/../../objects-2/outside.json',
    'https://fleet.s3.amazonaws.com/%2e%2e%2F%2E%2E/outside.json',
    'https://fleet.s3.amazonaws.com/folder/a.json%00',
    `s3://fleet/${'x/'.repeat(3000)}x`,
  ])('has no object %s, and says where it looked', async (uri) => {
    const read = folder.read(uri, 100);
    await expect(read).rejects.toBeInstanceOf(ObjectError);
    await expect(read).rejects.toThrow(/^bucket \S+ has no object .*: this service reads it from /s);
  });

  it('gives nothing from outside, whatever the key', async () => {
    const part = fc.constantFrom(
      '..',
      '.',
      '',
      'up',
      'link',
      'folder',
      'a.json',
      'outside.json',
      'objects-2',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 8 }), async (parts) => {
        const bytes = await folder.read(`s3://fleet/${parts.join('/')}`, 100).catch(() => Buffer.alloc(0));
        expect(bytes.toString()).not.toContain('secret');
      }),
      { numRuns: 500 },
    );
  });
});
