/** The whole product, as its user meets it: real programs, real sockets, real certificates, real containers. */
import { fileURLToPath } from 'node:url';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';

describeAsRoot('npm start -- --once', () => {
  it('plays the journey, says a line for each hop, leaves nothing and exits 0', async () => {
    const program = fileURLToPath(new URL('../../greengrass/dev/start.js', import.meta.url));
    const { code, stdout, stderr } = await run(process.execPath, [program, '--once'], { timeoutMs: 110_000 });
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const hops = stdout
      .trim()
      .split('\n')
      .map((line) => /^ *[\d.]+s {2}(.{15})/.exec(line)?.[1]?.trim());
    expect(hops).toEqual([
      'cloud',
      'registry',
      'lambda',
      'core',
      'deployment',
      'discovery',
      'pinned',
      'python',
      'node',
      'binary',
      'cloud → device',
      'resource',
      'shadow',
      'shadow → SDK',
      'no route',
      'stop',
    ]);
  }, 120_000);
});
