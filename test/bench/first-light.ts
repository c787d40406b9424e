/**
 * What a first deployment costs: time of the whole journey, cold start of a container function split into its parts, memory
 * of the daemon at rest. Run as root: `npm run bench`.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Isolation } from '../../greengrass/core/isolation/isolation.js';
import type { WorkerSpec } from '../../greengrass/core/isolation/worker-process.js';
import { play } from '../../greengrass/dev/journey.js';
import { Started } from '../../greengrass/dev/started.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { run } from '../../greengrass/lib/subprocess.js';
import type { Figure } from './run.js';

const ROUNDS = 30;

/** Journeys from `npm start`'s program being executed to its last hop, in seconds. */
async function journeyTimes(): Promise<Figure> {
  const program = fileURLToPath(new URL('../../greengrass/dev/start.js', import.meta.url));
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const { code, stdout } = await run(process.execPath, [program, '--once'], { timeoutMs: 120_000 });
    if (code !== 0) throw new Error(`npm start -- --once failed:\n${stdout}`);
    const last = stdout.split('\n').find((line) => line.includes('no route')) ?? '';
    times.push(Number.parseFloat(last));
  }
  return {
    name: 'npm start (warm node_modules) to the last hop',
    unit: 's',
    value: median(times),
    runs: times.length,
  };
}

/** A worker's life is measured until it says the first thing that its kind can say. */
async function coldStarts(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-bench-'));
  mkdirSync(join(folder, 'code'));
  const isolation = new Isolation({
    hiddenPaths: [],
    stateFolder: join(folder, 'state'),
    logger: silentLogger(),
  });
  await isolation.probe();
  const door = await openDoor();
  const spec = (argv: string[], isolationMode: WorkerSpec['isolation'], round: number): WorkerSpec => ({
    workerId: `00000000-0000-4000-8000-${String(round).padStart(12, '0')}`,
    functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:bench:1',
    isolation: isolationMode,
    argv,
    env: {
      PATH: '/usr/bin:/bin',
      PYTHONPATH: isolationMode === 'NoContainer' ? join(folder, 'code') : '/lambda',
      MY_FUNCTION_ARN: 'arn:aws:lambda:us-east-1:123456789012:function:bench:1',
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'token',
      ENCODING_TYPE: 'json',
      GGC_MAX_INTERFACE_VERSION: '1.5',
      GG_DAEMON_PORT: String(door.port),
    },
    uid: 64001,
    gid: 64001,
    additionalGids: [],
    memoryKb: 131072,
    codeFolder: join(folder, 'code'),
    runtimeFolder: join(PACKAGE_ROOT, 'greengrass/runtimes'),
    accessSysfs: false,
    mounts: [],
    devices: [],
  });
  let round = 0;
  const untilExit = async (argv: string[], mode: WorkerSpec['isolation']) => {
    const start = performance.now();
    const worker = await isolation.start(spec(argv, mode, ++round));
    for (const log of Object.values(worker.logs)) log.resume();
    await worker.exited;
    return performance.now() - start;
  };
  const untilWork = async (argv: string[]) => {
    const start = performance.now();
    const asked = door.next();
    const worker = await isolation.start(spec(argv, 'GreengrassContainer', ++round));
    for (const log of Object.values(worker.logs)) log.resume();
    await asked;
    const time = performance.now() - start;
    await worker.stop(0);
    return time;
  };
  const plainSpawn = async () => {
    const start = performance.now();
    await run('/bin/true', []);
    return performance.now() - start;
  };
  const bareInterpreter = async (program: string, args: string[]) => {
    const start = performance.now();
    await run(program, args);
    return performance.now() - start;
  };
  // A handler that is there in every Python and Node.js, so that only the runtime is measured.
  const python = ['/usr/bin/python3', '-u', '/runtime/python/lambda_runtime.py', '--handler=json.dumps'];
  try {
    const rows: Array<[string, () => Promise<number>]> = [
      ['floor: spawn of /bin/true', plainSpawn],
      ['container of /bin/true, start to clean end', () => untilExit(['/bin/true'], 'GreengrassContainer')],
      ['floor: python3 -c pass', () => bareInterpreter('/usr/bin/python3', ['-c', 'pass'])],
      [
        'container of python3 -c pass',
        () => untilExit(['/usr/bin/python3', '-c', 'pass'], 'GreengrassContainer'),
      ],
      ['container with the Python runtime, start to first request for work', () => untilWork(python)],
    ];
    const figures: Figure[] = [];
    for (const [name, measure] of rows) {
      const times: number[] = [];
      for (let count = 0; count < ROUNDS; count++) times.push(await measure());
      figures.push({ name, unit: 'ms', value: median(times), runs: ROUNDS });
    }
    return figures;
  } finally {
    door.close();
    await isolation.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Stands where the core's IPC server stands and notes when a worker asks for work. */
async function openDoor() {
  let onRequest: () => void = () => {};
  const server = createServer((_request, _response) => onRequest());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    next: () =>
      new Promise<void>((resolve) => {
        onRequest = resolve;
      }),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Resident memory of the daemon with the example group, when its messages have been quiet for a while. */
async function daemonMemory(): Promise<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-bench-'));
  const started = new Started();
  try {
    await play(folder, () => {}, started);
    await new Promise((wake) => setTimeout(wake, 10_000));
    const pid = readFileSync(join(folder, 'run', 'greengrassd.pid'), 'utf8').trim();
    const kb = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    return { name: 'greengrassd at rest with the example group, RSS', unit: 'MB', value: kb / 1024, runs: 1 };
  } finally {
    await started.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export async function firstLight(): Promise<Figure[]> {
  return [await journeyTimes(), ...(await coldStarts()), await daemonMemory()];
}
