/** `greengrassd start` on a host without protection of links. What the kernel says is put over by a bind mount of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';

const PROGRAM = fileURLToPath(new URL('../../greengrass/core/bin/greengrassd.js', import.meta.url));
const REFUSAL = /insecure OS configuration: No hardlink\/softlink protection enabled.*-i/s;

describeAsRoot('greengrassd', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'greengrass-links-'));
    for (const folder of ['config', 'certs']) mkdirSync(join(root, folder));
    // Behind the check there is nothing to start.
    writeFileSync(join(root, 'config/config.json'), '{');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** What `start` prints where the kernel says `hardlinks` and `symlinks`. */
  async function start(hardlinks: string, symlinks: string, ...options: string[]): Promise<string> {
    const mounts = Object.entries({ hardlinks, symlinks }).map(([name, value]) => {
      const file = join(root, name);
      writeFileSync(file, `${value}\n`);
      return `mount --bind ${file} /proc/sys/fs/protected_${name}`;
    });
    const command = [...mounts, `exec "$@"`].join(' && ');
    const args = [
      '-m',
      'sh',
      '-c',
      command,
      'sh',
      process.execPath,
      PROGRAM,
      '--root',
      root,
      ...options,
      'start',
    ];
    const { code, stdout, stderr } = await run('unshare', args, { timeoutMs: 30_000 });
    expect(code).toBe(1);
    return `${stdout}${stderr}`;
  }

  it.each([
    ['0', '0'],
    ['0', '1'],
    ['1', '0'],
  ])('refuses to start with hard links %s and symbolic links %s', async (hardlinks, symlinks) => {
    expect(await start(hardlinks, symlinks)).toMatch(REFUSAL);
  });

  it.each([
    ['with both protected', '1', []],
    ['with -i, whatever the host has', '0', ['-i']],
  ])('goes on %s', async (_what, value, options) => {
    const printed = await start(value, value, ...options);
    expect(printed).toContain('Validating hardlink/softlink protection');
    expect(printed).not.toMatch(REFUSAL);
    expect(printed).toMatch(/config\.json/);
  });
});
