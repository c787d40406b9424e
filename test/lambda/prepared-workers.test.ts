/** Workers that stand ready: used once, never seen before, bounded, gone with their function. */
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { preparedWorkersFor } from '../../greengrass/core/lambda/prepared-workers.js';
import { EXECUTABLE_RUNTIME } from '../../greengrass/model/function-config.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

const PYTHON = `
import os, sys, time
loaded = time.time()
print('loaded')
def handler(event, context):
    print('handled gate=%s stdin=%r' % (os.environ.get('_GG_GATE'), os.read(0, 1)))
`;
const NODE = `
console.log('loaded');
exports.handler = (event, context, callback) => { console.log('handled gate=' + process.env._GG_GATE); callback(); };
`;

describe('the number of prepared workers', () => {
  it.each([
    [128, 0],
    [1024, 2],
    [64 * 1024, 8],
  ])('with %d MB of memory it is %d', (mb, expected) => {
    expect(preparedWorkersFor(mb * 2 ** 20)).toBe(expected);
  });
});

describeAsRoot('prepared workers', () => {
  let bench: FunctionBench;
  beforeEach(async () => {
    bench = await startFunctions({ preparedWorkers: 2, idleMs: 1 });
  });
  afterEach(() => bench.close(), 30_000);

  const ready = (count: number) =>
    waitFor(() => bench.functions.prepared === count, { what: `${count} prepared` });
  const says = (text: string) => waitFor(() => bench.entries.some(({ message }) => message.includes(text)));
  const bundles = () => {
    const folder = join(bench.folder, 'state/workers');
    return existsSync(folder) ? readdirSync(folder) : [];
  };
  const pidOf = (bundle: string) =>
    Number(readFileSync(join(bench.folder, 'state/workers', bundle, 'pid'), 'utf8'));

  it.each([
    ['python3.11', { 'main.py': PYTHON }],
    ['nodejs20.x', { 'main.js': NODE }],
  ])(
    '%s: the code is loaded when work comes, not before; another one is prepared then',
    async (runtime, files) => {
      const f = bench.define('f', files, { runtime });
      await bench.deploy(f);
      await ready(1);
      expect(bench.functions.workers()).toEqual([]);
      expect(bench.entries).toEqual([]);
      const [bundle] = bundles();
      bench.deliver(f, 't', '{}');
      await says('loaded');
      await says(runtime.startsWith('python') ? "handled gate=None stdin=b''" : 'handled gate=undefined');
      await waitFor(() => bench.functions.workers().length === 0);
      await ready(1);
      expect(bundles()).not.toContain(bundle);
    },
  );

  it('there are no more than the limit, for those who were last in need', async () => {
    const functions = ['a', 'b', 'c'].map((name) => bench.define(name, { 'main.py': PYTHON }));
    await bench.deploy(...functions);
    await ready(2);
    for (const f of functions) {
      bench.entries.length = 0;
      bench.deliver(f, 't', '{}');
      await says('handled');
    }
    await waitFor(() => bench.functions.workers().length === 0);
    await ready(2);
    await waitFor(() => bundles().length === 2, { what: 'no bundle beside the two that stand ready' });
  });

  it('a function that needed two at once gets a second one, but no place of another function', async () => {
    const slow = PYTHON.replace("    print('handled", "    time.sleep(0.5)\n    print('handled");
    const [f, g] = ['f', 'g'].map((name) => bench.define(name, { 'main.py': slow }));
    if (!f || !g) throw new Error('two functions');
    const twoAtOnce = async () => {
      bench.entries.length = 0;
      bench.deliver(f, 't', '{}');
      bench.deliver(f, 't', '{}');
      await waitFor(() => bench.entries.filter(({ message }) => message.includes('handled')).length === 2);
      await waitFor(() => bench.functions.workers().length === 0);
    };
    await bench.deploy(f, g);
    await ready(2);
    const before = bundles();
    await twoAtOnce();
    await ready(2);
    // One of the two that stood ready was used, the other one is that of `g` and still stands.
    expect(bundles().filter((bundle) => before.includes(bundle))).toHaveLength(1);
    await bench.deploy(f);
    await ready(1);
    await twoAtOnce();
    await ready(2);
  });

  it('one that was killed meanwhile is replaced by a usual start', async () => {
    const f = bench.define('f', { 'main.py': PYTHON });
    await bench.deploy(f);
    await ready(1);
    process.kill(pidOf(bundles()[0] as string), 'SIGKILL');
    bench.deliver(f, 't', '{}');
    await says('handled');
  });

  it('they go with their function, and leave nothing', async () => {
    const f = bench.define('f', { 'main.py': PYTHON });
    await bench.deploy(f);
    await ready(1);
    const files = readdirSync('/proc/self/fd').length;
    const changed = { ...f, mounts: [{ source: '/usr/share', destination: '/data', readOnly: true }] };
    const [before] = bundles();
    await bench.deploy(changed);
    expect(bundles()).not.toContain(before);
    // That of the changed function is made in the background.
    await ready(1);
    await bench.deploy();
    expect(bundles()).toEqual([]);
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(files);
  });

  it.each([EXECUTABLE_RUNTIME, 'provided.al2023'])('%s waits in a shell', async (runtime) => {
    const f = bench.define(
      'f',
      { bootstrap: '#!/bin/sh\ntrap "exit 0" TERM\necho "begun with $# $1"\nsleep 1000 &\nwait\n' },
      {
        runtime,
        handler: 'bootstrap',
        execArgs: ['two words'],
      },
    );
    chmodSync(join(f.codeFolder, 'bootstrap'), 0o755);
    await bench.deploy(f);
    await ready(1);
    expect(bench.entries).toEqual([]);
    bench.deliver(f, 't', '{}');
    await says('begun with 1 two words');
  });
});
