/** What becomes of work when the function that has it is replaced, changed, removed, or put back. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { describeAsRoot } from '../support/as-root.js';
import { arnOf, type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

/** Notes the start and the end of each item in a file; an item that says `wait` goes on when the gate is there. */
const WORKER = `
import json, os, time
FOLDER = os.environ['FOLDER']
def note(text):
    with open(os.path.join(FOLDER, 'notes'), 'a') as notes:
        notes.write(text + '\\n')
def handler(event, context):
    note('%s begins %d' % (os.environ['NAME'], event['n']))
    while event.get('wait') and not os.path.exists(os.path.join(FOLDER, 'gate')):
        time.sleep(0.01)
    note('%s ends %d' % (os.environ['NAME'], event['n']))
`;

describeAsRoot('work of a function', () => {
  let bench: FunctionBench;
  let shared: string;
  const notes = () => {
    const file = join(shared, 'notes');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  };
  const version = (number: number, overrides: Partial<DeployedFunction> = {}): DeployedFunction => {
    const name = overrides.environment?.NAME ?? `v${number}`;
    return bench.define(
      'work',
      { 'main.py': WORKER },
      {
        arn: arnOf('work', number),
        isolation: 'NoContainer',
        pinned: true,
        timeoutMs: 60_000,
        ...overrides,
        environment: { FOLDER: shared, NAME: name },
      },
    );
  };
  const send = (to: DeployedFunction, n: number, wait = false) =>
    expect(bench.deliver(to, 'work', JSON.stringify({ n, wait }))).toBe(true);
  const open = () => writeFileSync(join(shared, 'gate'), '');

  beforeEach(async () => {
    bench = await startFunctions();
    shared = join(bench.folder, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o777);
  });
  afterEach(() => bench.close());

  it.each([
    ['changed', 1],
    ['replaced by a newer version', 2],
  ])(
    'finishes in the old process, and goes on in order in the new one, when it is %s',
    async (_what, next) => {
      const old = version(1);
      await bench.deploy(old);
      send(old, 1, true);
      send(old, 2);
      await waitFor(() => notes().includes('v1 begins 1'));
      const successor = version(next, { environment: { NAME: 'new' } });
      const plan = await bench.functions.prepare([successor]);
      const applying = bench.functions.apply(plan);
      send(successor, 3);
      open();
      await (await applying).commit();
      await waitFor(() => notes().includes('new ends 3'));
      expect(notes()).toEqual([
        'v1 begins 1',
        'v1 ends 1',
        ...['new begins 2', 'new ends 2', 'new begins 3', 'new ends 3'],
      ]);
    },
  );

  it('that does not come to its end in time is done by the new one, before what waits', async () => {
    const old = version(1);
    await bench.deploy(old);
    send(old, 1, true);
    send(old, 2);
    await waitFor(() => notes().includes('v1 begins 1'));
    const applying = bench.deploy(version(2, { environment: { NAME: 'new' } }));
    await applying;
    open();
    await waitFor(() => notes().includes('new ends 2'));
    expect(notes()).toEqual(['v1 begins 1', 'new begins 1', 'new ends 1', 'new begins 2', 'new ends 2']);
  });

  it('goes back to the old one with a rollback, which runs as it ran before', async () => {
    const old = version(1, { pinned: false });
    await bench.deploy(old);
    const applied = await bench.functions.apply(
      await bench.functions.prepare([version(2, { environment: { NAME: 'new' } })]),
    );
    send(version(2), 1, true);
    send(version(2), 2);
    await waitFor(() => notes().includes('new begins 1'));
    const back = applied.rollback();
    open();
    await back;
    await waitFor(() => notes().includes('v1 ends 2'));
    expect(notes()).toEqual(['new begins 1', 'new ends 1', 'v1 begins 2', 'v1 ends 2']);
  });

  it('comes to its end before a function that was removed is stopped', async () => {
    const old = version(1);
    await bench.deploy(old);
    send(old, 1, true);
    await waitFor(() => notes().includes('v1 begins 1'));
    const removal = bench.deploy();
    open();
    await removal;
    expect(notes()).toEqual(['v1 begins 1', 'v1 ends 1']);
    expect(bench.functions.workers()).toEqual([]);
  });

  it('a rollback restores the command line that isolation decided', async () => {
    const old = version(1);
    await bench.deploy(old);
    const inside = version(1, { isolation: 'GreengrassContainer', handler: 'missing.handler' });
    const applied = await bench.functions.apply(await bench.functions.prepare([inside]));
    await waitFor(() => applied.unhealthy().length > 0);
    await applied.rollback();
    send(old, 1);
    await waitFor(() => notes().includes('v1 ends 1'));
  });
});
