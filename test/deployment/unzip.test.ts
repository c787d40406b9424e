/** Code of functions from hostile hands: nothing of it lands outside its folder, and nothing of it half. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { unzip } from '../../greengrass/core/deployment/unzip.js';
import { DeploymentError } from '../../greengrass/core/errors.js';
import { type ZipEntry, zipOf } from './zip.js';

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-unzip-'));
  folder = join(root, 'lambda', 'code');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const LIMITS = { maxEntries: 20, maxBytes: 10_000 };

/** Unpacks the bytes; answers the error's code, or `ok`. */
async function outcomeOf(zip: Buffer): Promise<string> {
  const file = join(root, 'code.zip');
  writeFileSync(file, zip);
  try {
    await unzip(file, folder, 'fn', LIMITS);
    return 'ok';
  } catch (error) {
    if (!(error instanceof DeploymentError)) throw error;
    expect(error.stage).toBe('artifacts');
    expect(error.message).toMatch(/^the code of fn was refused: /);
    return error.code;
  }
}

/** Everything below the temp folder, but the zip itself. */
function leftovers(): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name !== 'code.zip')
    .sort();
}

describe('a good zip', () => {
  it.each([true, false])(
    'is unpacked with its folders and executable bits (deflated: %p)',
    async (deflate) => {
      const entries: ZipEntry[] = [
        { name: 'main.py', data: 'print(1)', deflate },
        { name: 'lib/', mode: 0o040755 },
        { name: 'lib/deep/er/x.bin', data: Buffer.alloc(5000, 7), mode: 0o100755, deflate },
        { name: 'empty', deflate },
        { name: 'dos', data: 'no mode', mode: 0, deflate },
        { name: 'a..b/...', data: 'dots are names', deflate },
      ];
      expect(await outcomeOf(zipOf(entries))).toBe('ok');
      expect(readFileSync(join(folder, 'main.py'), 'utf8')).toBe('print(1)');
      expect(readFileSync(join(folder, 'lib/deep/er/x.bin'))).toEqual(Buffer.alloc(5000, 7));
      expect(readFileSync(join(folder, 'a..b/...'), 'utf8')).toBe('dots are names');
      const modes = ['.', 'main.py', 'lib', 'lib/deep', 'lib/deep/er/x.bin', 'dos'].map(
        (name) => lstatSync(join(folder, name)).mode & 0o7777,
      );
      expect(modes).toEqual([0o755, 0o644, 0o755, 0o755, 0o755, 0o644]);
    },
  );

  it('replaces what was there', async () => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'old'), '');
    expect(await outcomeOf(zipOf([{ name: 'new', data: '1' }]))).toBe('ok');
    expect(leftovers()).toEqual(['lambda', 'lambda/code', 'lambda/code/new']);
  });

  it('loses its setuid, setgid and sticky bits', async () => {
    expect(await outcomeOf(zipOf([{ name: 'su', data: 'x', mode: 0o107777 }]))).toBe('ok');
    expect(lstatSync(join(folder, 'su')).mode & 0o7777).toBe(0o755);
  });

  it('may be empty', async () => {
    expect(await outcomeOf(zipOf([]))).toBe('ok');
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a zip is refused, and the old code stays, where', () => {
  const refusals: Array<[string, ZipEntry[], string]> = [
    ['an entry climbs out', [{ name: '../x', data: '1' }], 'ArtifactUnsafe'],
    ['an entry climbs out from inside', [{ name: 'a/../../x', data: '1' }], 'ArtifactUnsafe'],
    ['an entry goes up and stays inside', [{ name: 'a/../x', data: '1' }], 'ArtifactUnsafe'],
    ['an entry is absolute', [{ name: '/tmp/x', data: '1' }], 'ArtifactUnsafe'],
    ['an entry has a drive', [{ name: 'C:/x', data: '1' }], 'ArtifactUnsafe'],
    ['an entry has backslashes', [{ name: '..\\x', data: '1' }], 'ArtifactUnsafe'],
    ['an entry has a null byte', [{ name: 'x\0.py', data: '1' }], 'ArtifactUnsafe'],
    ['an entry has no name', [{ name: '', data: '1' }], 'ArtifactUnsafe'],
    ['an entry is the folder itself', [{ name: './', data: '' }], 'ArtifactUnsafe'],
    ['an entry has an empty level', [{ name: 'a//x', data: '1' }], 'ArtifactUnsafe'],
    ['a folder climbs out', [{ name: '../d/', mode: 0o040755 }], 'ArtifactUnsafe'],
    ['a name is too long', [{ name: 'x/'.repeat(600), data: '1' }], 'ArtifactUnsafe'],
    ['a level is longer than any file name', [{ name: 'x'.repeat(300), data: '1' }], 'ArtifactUnsafe'],
    ['an entry is a link', [{ name: 'l', data: '/etc/passwd', mode: 0o120777 }], 'ArtifactUnsafe'],
    [
      'a link is followed by a file below it',
      [
        { name: 'l', data: '..', mode: 0o120777 },
        { name: 'l/x', data: '1' },
      ],
      'ArtifactUnsafe',
    ],
    ['an entry is a device', [{ name: 'd', mode: 0o020666 }], 'ArtifactUnsafe'],
    ['an entry is a pipe', [{ name: 'p', mode: 0o010666 }], 'ArtifactUnsafe'],
    [
      'a name is there twice',
      [
        { name: 'x', data: '1' },
        { name: 'x', data: '2' },
      ],
      'ArtifactUnsafe',
    ],
    [
      'a file and a folder have one name',
      [
        { name: 'x', data: '1' },
        { name: 'x/', mode: 0o040755 },
      ],
      'ArtifactUnsafe',
    ],
    [
      'a file lies below a file',
      [
        { name: 'x', data: '1' },
        { name: 'x/y', data: '2' },
      ],
      'ArtifactUnsafe',
    ],
    [
      'a file lies where a folder is',
      [
        { name: 'x/y', data: '1' },
        { name: 'x', data: '2' },
      ],
      'ArtifactUnsafe',
    ],
    ['an entry is encrypted', [{ name: 'x', data: '1', claims: { flags: 0x801 } }], 'ArtifactUnsafe'],
    [
      'a size is a lie (more comes out)',
      [{ name: 'x', data: 'x'.repeat(5000), deflate: true, claims: { size: 10 } }],
      'ArtifactUnsafe',
    ],
    [
      'a size is a lie (less comes out)',
      [{ name: 'x', data: 'x', deflate: true, claims: { size: 100 } }],
      'ArtifactUnsafe',
    ],
    [
      'more bytes come out than may, at a thousandth of the size',
      [{ name: 'bomb', data: Buffer.alloc(1_000_000), deflate: true }],
      'ArtifactTooLarge',
    ],
    [
      'files are too large together',
      [1, 2, 3].map((n) => ({ name: `f${n}`, data: Buffer.alloc(4000), deflate: true })),
      'ArtifactTooLarge',
    ],
    [
      'there are too many entries',
      Array.from({ length: 21 }, (_, n) => ({ name: `f${n}` })),
      'ArtifactTooLarge',
    ],
    [
      'the data lies outside the file',
      [{ name: 'x', data: 'x', claims: { compressedSize: 99_999 } }],
      'ArtifactUnsafe',
    ],
  ];

  it.each(refusals)('%s', async (_what, entries, code) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'old'), '');
    expect(await outcomeOf(zipOf([{ name: 'first', data: 'good' }, ...entries]))).toBe(code);
    expect(leftovers()).toEqual(['lambda', 'lambda/code', 'lambda/code/old']);
  });

  it.each([
    ['no zip', Buffer.from('#!/bin/sh\necho hello\n')],
    ['empty', Buffer.alloc(0)],
    ['cut off', zipOf([{ name: 'x', data: 'x'.repeat(100) }]).subarray(0, 120)],
  ])('the file is %s', async (_what, bytes) => {
    expect(await outcomeOf(bytes)).toBe('ArtifactUnsafe');
    expect(existsSync(folder)).toBe(false);
  });
});

describe('any zip', () => {
  it('writes below its folder only, or is refused and writes nothing', async () => {
    const part = fc.constantFrom('a', 'b', '..', '.', '', '\\', 'C:', ' ', '~');
    const entry = fc.record({
      name: fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
      data: fc.string({ maxLength: 20 }),
      mode: fc.constantFrom(0, 0o100644, 0o100755, 0o120777, 0o040755),
      deflate: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 4 }), async (entries) => {
        const outcome = await outcomeOf(zipOf(entries));
        const outside = leftovers().filter((name) => name !== 'lambda' && !name.startsWith('lambda/code'));
        expect(outside).toEqual([]);
        if (outcome !== 'ok') expect(existsSync(folder)).toBe(false);
        rmSync(join(root, 'lambda'), { recursive: true, force: true });
      }),
      { numRuns: 120 },
    );
  });

  it('with damaged bytes is unpacked or refused, nothing else', async () => {
    const good = zipOf([
      { name: 'main.py', data: 'print(1)'.repeat(20), deflate: true },
      { name: 'lib/x', data: 'x' },
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (changes) => {
          const bytes = Buffer.from(good);
          for (const [at, value] of changes) bytes[at] = value;
          expect(['ok', 'ArtifactUnsafe', 'ArtifactTooLarge']).toContain(await outcomeOf(bytes));
          const outside = leftovers().filter((name) => name !== 'lambda' && !name.startsWith('lambda/code'));
          expect(outside).toEqual([]);
          rmSync(join(root, 'lambda'), { recursive: true, force: true });
        },
      ),
      { numRuns: 120 },
    );
  });
});
