/**
 * Nothing leaks: after many cold starts, with crashes and kills among them, processes, mounts, control groups, open files,
 * bundles and tokens are what they were. 100 starts; COLD_STARTS=1000 for more.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupId } from '../../greengrass/core/isolation/place.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

const STARTS = Number(process.env.COLD_STARTS ?? 100);

/** Ends as the event says, in the handler. */
const PYTHON = `
import os, signal
def handler(event, context):
    if event == 'exit': os._exit(1)
    if event == 'segfault': os.kill(os.getpid(), signal.SIGSEGV)
    if event == 'children':
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                while True: signal.pause()
        os._exit(0)
    if event == 'memory': return len(bytearray(200 << 20))
    if event == 'loop':
        while True: pass
    print('well')
`;
const ENDS = ['well', 'exit', 'segfault', 'well', 'children', 'memory', 'kill', 'well', 'loop', 'stop'];

interface Census {
  readonly openFiles: number;
  readonly mounts: number;
  readonly groups: number;
  readonly bundles: number;
  readonly processes: number;
}

describeAsRoot('after many cold starts', () => {
  let bench: FunctionBench;
  beforeAll(async () => {
    bench = await startFunctions({ idleMs: 1, preparedWorkers: 2 });
  });
  afterAll(() => bench.close(), 30_000);

  function census(): Census {
    const id = cgroupId(join(bench.folder, 'state'));
    const groups = readdirSync('/sys/fs/cgroup', { recursive: false, encoding: 'utf8' }).flatMap(
      (controller) => foldersIn(join('/sys/fs/cgroup', controller, `greengrass-${id}`)),
    );
    return {
      openFiles: readdirSync('/proc/self/fd').length,
      mounts: readFileSync('/proc/mounts', 'utf8').split('\n').length,
      groups: groups.length + foldersIn(`/sys/fs/cgroup/greengrass-${id}`).length,
      bundles:
        foldersIn(join(bench.folder, 'state/workers')).length +
        foldersIn(join(bench.folder, 'state/oci')).length,
      processes: readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isOurs(name)).length,
    };
  }

  /** Processes of the functions' user: nobody else has it. */
  function isOurs(pid: string): boolean {
    try {
      return /^Uid:\t64077\t/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  }

  it(`${STARTS} of them, everything is as it was`, async () => {
    const f = bench.define(
      'f',
      { 'main.py': PYTHON },
      { timeoutMs: 200, uid: 64077, gid: 64077, memoryKb: 65536 },
    );
    await bench.deploy(f);
    const idle = () => bench.functions.workers().length === 0 && bench.functions.waiting === 0;
    const working = () => bench.functions.workers().some(({ WorkerState }) => WorkerState === 'Working');
    const created = () => bench.lines.filter(({ msg }) => msg === 'Created worker.').length;
    /** Without the function: what is prepared for it has gone, and the kernel has put away who ended. */
    const quiet = async () => {
      await waitFor(idle, { timeoutMs: 20_000 });
      await bench.deploy();
      await waitFor(() => census().processes === 0);
      return census();
    };
    // The first ones open what stays open (host files, libraries of the test itself).
    let before: Census | undefined;
    let memoryBefore = 0;
    for (let n = 0; n < STARTS; n++) {
      if (n === ENDS.length) {
        before = await quiet();
        await bench.deploy(f);
        memoryBefore = process.memoryUsage().rss;
      }
      const end = ENDS[n % ENDS.length] as string;
      const count = created();
      bench.deliver(f, 't', JSON.stringify(end === 'kill' ? 'loop' : end));
      if (end === 'kill') {
        await waitFor(() => created() > count && working(), { timeoutMs: 20_000 });
        const pid = Number(bench.functions.workers()[0]?.ProcessId);
        if (pid > 0) process.kill(pid, 'SIGKILL');
      }
      if (end === 'stop') await bench.deploy().then(() => bench.deploy(f));
      await waitFor(() => created() > count || end === 'stop', { timeoutMs: 20_000, intervalMs: 2 });
      await waitFor(idle, { timeoutMs: 20_000, intervalMs: 2, what: `start ${n} (${end}) to be over` });
      bench.entries.length = 0;
    }
    expect(await quiet()).toEqual(before);
    expect(before).toMatchObject({ groups: 0, bundles: 0, processes: 0 });
    // What is kept for each worker would be seen: a worker's objects are some tens of KB.
    expect((process.memoryUsage().rss - memoryBefore) / 2 ** 20).toBeLessThan(100);
  }, 1_200_000);
});

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}
