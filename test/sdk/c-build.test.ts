/** The build of the C library: for this machine beside its sources, for another one in a folder of its own. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { run } from '../../greengrass/lib/subprocess.js';

const FOLDER = join(PACKAGE_ROOT, 'greengrass/runtimes/executable');
const NAME = 'libaws-greengrass-core-sdk-c.so';
/** A machine that nobody has here. */
const MACHINE = 'or1k';

const hasCompiler = (await run('cc', ['--version']).catch(() => undefined))?.code === 0;

(hasCompiler ? describe : describe.skip)('the build of the C library', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-cc-'));
  });
  afterAll(() => {
    for (const path of [folder, join(FOLDER, MACHINE)]) rmSync(path, { recursive: true, force: true });
  });

  const build = (compiler?: string) =>
    run(process.execPath, [join(PACKAGE_ROOT, 'greengrass/dev/native.mjs')], {
      env: { ...process.env, CC: compiler ?? '' },
    });

  it("takes the machine's own compiler, and makes what this machine can load", async () => {
    expect(await build()).toMatchObject({ code: 0 });
    const head = readFileSync(join(FOLDER, NAME)).subarray(0, 20);
    const own = readFileSync(process.execPath).subarray(0, 20);
    expect([head.toString('latin1', 0, 4), head.readUInt16LE(18)]).toEqual([
      '\u007fELF',
      own.readUInt16LE(18),
    ]);
  });

  it('leaves that alone where CC names a compiler for another machine', async () => {
    const compiler = join(folder, `${MACHINE}-cc`);
    writeFileSync(
      compiler,
      `#!/bin/sh\n[ "$1" = -dumpmachine ] && echo ${MACHINE}-linux-gnu && exit\nexec cc "$@"\n`,
    );
    chmodSync(compiler, 0o755);
    const before = statSync(join(FOLDER, NAME)).mtimeMs;
    expect(await build(compiler)).toMatchObject({ code: 0 });
    expect(existsSync(join(FOLDER, MACHINE, NAME))).toBe(true);
    expect(statSync(join(FOLDER, NAME)).mtimeMs).toBe(before);
  });

  it('says what is left out where there is no compiler, and goes on', async () => {
    const { code, stdout } = await build(join(folder, 'no-such-cc'));
    expect(code).toBe(0);
    expect(stdout).toMatch(/Not built here: executables that use the C SDK .*no-such-cc/);
  });
});
