/** Archives of models: what tar and Python write comes out as it went in; what is hostile or broken does not come out. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { unpackInto } from '../../greengrass/core/deployment/unpack.js';
import { extractTarGz } from '../../greengrass/core/deployment/untar.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { paxOf, type TarMember, tarGzOf, tarOf } from './archives.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-untar-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const LIMITS = { maxEntries: 100, maxBytes: 1_000_000 };

async function unpack(archive: Buffer, limits = LIMITS): Promise<string> {
  const file = join(folder, 'archive');
  writeFileSync(file, archive);
  const target = join(folder, 'in', 'out');
  await unpackInto(target, 'model m', '.tar.gz archive', (temporary) =>
    extractTarGz(file, temporary, 'model m', limits),
  );
  return target;
}

describe('a .tar.gz', () => {
  it.each(['gnu', 'pax', 'ustar', 'posix'])(
    'that tar makes in the format %s comes out whole',
    async (format) => {
      const source = join(folder, 'source');
      const deep = join(source, 'a'.repeat(60), format === 'ustar' ? 'b' : 'b'.repeat(120));
      mkdirSync(deep, { recursive: true });
      writeFileSync(join(deep, 'weights-ü.bin'), Buffer.alloc(70_000, 7));
      writeFileSync(join(source, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 });
      writeFileSync(join(source, 'empty'), '');
      await run('ln', ['-s', 'run.sh', join(source, 'start')]);
      const file = join(folder, 'made.tar.gz');
      const { code, stderr } = await run('tar', [`--format=${format}`, '-czf', file, '-C', source, '.']);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const out = await unpack(readFileSync(file));
      const { stdout } = await run('diff', ['-r', source, out]);
      expect(stdout).toBe('');
      expect(statSync(join(out, 'run.sh')).mode & 0o777).toBe(0o755);
      expect(statSync(join(out, 'empty')).mode & 0o777).toBe(0o644);
      expect(readlinkSync(join(out, 'start'))).toBe('run.sh');
    },
  );

  it('loses setuid bits, and keeps names of pax headers and sizes in binary', async () => {
    const size = Buffer.alloc(12);
    size[0] = 0x80;
    size[11] = 5;
    const out = await unpack(
      tarGzOf([
        { name: 'g', type: 'g', data: paxOf({ comment: 'made by hand' }) },
        { name: 'x', type: 'x', data: paxOf({ path: 'long/name', mtime: '1.5' }) },
        { name: 'short', data: 'hello', mode: 0o6755 },
        { name: 'binary', data: 'world', sizeField: size },
      ]),
    );
    expect(readFileSync(join(out, 'long/name'), 'utf8')).toBe('hello');
    expect(statSync(join(out, 'long/name')).mode & 0o7777).toBe(0o755);
    expect(readFileSync(join(out, 'binary'), 'utf8')).toBe('world');
  });

  const hostile: Array<[string, TarMember[], RegExp]> = [
    ['climbs out', [{ name: '../../evil', data: 'x' }], /entry "\.\.\/\.\.\/evil" leads out of its folder/],
    ['climbs inside', [{ name: 'a/../b', data: 'x' }], /leads out of its folder/],
    ['is absolute', [{ name: '/etc/evil', data: 'x' }], /leads out of its folder/],
    [
      'climbs by a pax header',
      [
        { name: 'x', type: 'x', data: paxOf({ path: '../evil' }) },
        { name: 'good', data: 'x' },
      ],
      /"\.\.\/evil" leads out of its folder/,
    ],
    [
      'climbs by a long name',
      [
        { name: '././@LongLink', type: 'L', data: '/etc/evil\0' },
        { name: 'good', data: 'x' },
      ],
      /leads out of its folder/,
    ],
    [
      'has a link outside',
      [{ name: 'l', type: '2', target: '/etc' }],
      /link "l" leads out of its folder, to "\/etc"/,
    ],
    ['has a link up', [{ name: 'a/l', type: '2', target: '../..' }], /link "a\/l" leads out/],
    ['has a link up behind a name', [{ name: 'l', type: '2', target: 'a/../..' }], /leads out/],
    [
      'has links that add up to a way out',
      [
        { name: 'd/e/up', type: '2', target: '../..' },
        { name: 'out', type: '2', target: 'd/e/up/../../..' },
      ],
      /link "out" leads out/,
    ],
    [
      'writes through a link',
      [
        { name: 'l', type: '2', target: 'd' },
        { name: 'l/evil', data: 'x' },
      ],
      /can't be read|there twice/,
    ],
    [
      'has a link below a link',
      [
        { name: 'x/y/a', type: '2', target: '../..' },
        { name: 'x/y/a/b', type: '2', target: '../../../c' },
      ],
      /lies below another link/,
    ],
    ['has a hard link', [{ name: 'h', type: '1', target: 'a' }], /hard link or a special file/],
    ['has a device', [{ name: 'null', type: '3' }], /hard link or a special file/],
    ['has a pipe', [{ name: 'pipe', type: '6' }], /hard link or a special file/],
    [
      'has an entry twice',
      [
        { name: 'a', data: '1' },
        { name: './a', data: '2' },
      ],
      /"\.\/a" is there twice/,
    ],
    [
      'has a file for a folder',
      [
        { name: 'a', data: '1' },
        { name: 'a/b', data: '2' },
      ],
      /can't be read/,
    ],
    ['has a wrong check sum', [{ name: 'a', claims: { sum: 1 } }], /check sum/],
    ['claims more than there is', [{ name: 'a', data: 'x', claims: { size: 9_999 } }], /cut off/],
    [
      'has a damaged pax header',
      [{ name: 'x', type: 'x', data: '99 path=a\n' }],
      /extended header is damaged/,
    ],
    ['has a sparse file', [{ name: 'x', type: 'x', data: paxOf({ 'GNU.sparse.major': '1' }) }], /sparse/],
    [
      'has a huge pax header',
      [{ name: 'x', type: 'x', data: 'x'.repeat(70_000) }],
      /extended header is too large/,
    ],
  ];
  it.each(hostile)('that %s is refused and leaves nothing', async (_what, members, reason) => {
    const error = await unpack(tarGzOf(members)).then(
      () => undefined,
      (thrown: Error & { code?: string }) => thrown,
    );
    expect(error?.message).toMatch(/^model m was refused: /);
    expect(error?.message).toMatch(reason);
    expect(error?.code).toBe('ArtifactUnsafe');
    expect(readdirSync(join(folder, 'in'))).toEqual([]);
    expect(existsSync(join(folder, 'evil')) || existsSync('/etc/evil')).toBe(false);
  });

  it.each([
    ['no gzip', Buffer.from('hello')],
    ['nothing', Buffer.alloc(0)],
    ['cut off in the gzip', tarGzOf([{ name: 'a', data: 'x'.repeat(5000) }]).subarray(0, 60)],
    ['cut off in the tar', gzipSync(tarOf([{ name: 'a', data: 'x' }], { end: false }))],
  ])('that is %s is refused', async (_what, bytes) => {
    await expect(unpack(bytes)).rejects.toThrow(
      /^model m was refused: it can't be read as a \.tar\.gz archive/,
    );
  });

  it('is bounded in entries and in bytes that come out', async () => {
    const many = Array.from({ length: 101 }, (_entry, index) => ({ name: `f${index}` }));
    await expect(unpack(tarGzOf(many))).rejects.toMatchObject({ code: 'ArtifactTooLarge' });
    // A bomb: a megabyte and more in a few KB.
    const bomb = tarGzOf([{ name: 'zeros', data: Buffer.alloc(1_500_000) }]);
    expect(bomb.length).toBeLessThan(10_000);
    await expect(unpack(bomb)).rejects.toThrow('unpacks to more than 1000000 bytes');
    expect(readdirSync(join(folder, 'in'))).toEqual([]);
  });
});
