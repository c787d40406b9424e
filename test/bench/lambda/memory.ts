/**
 * Memory of the daemon's part for functions: 200 on-demand functions deployed, and 25 of them with a worker. Memory of the
 * worker processes: resident, and their share of it where pages are common (PSS).
 */
import { readdirSync, readFileSync } from 'node:fs';
import { startFunctions } from '../../support/functions.js';
import { waitFor } from '../../support/wait-for.js';
import type { Figure } from '../run.js';

const DEPLOYED = 200;
const BUSY = 25;

function residentMb(): number {
  globalThis.gc?.();
  const kb = /^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kb) / 1024;
}

interface Resident {
  readonly rssMb: number;
  readonly pssMb: number;
}

/** Everything below this process: workers and what holds their containers. */
function descendants(pid = process.pid): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    // It has just ended.
    return [];
  }
}

function residentOf(pids: readonly number[]): Resident {
  let rss = 0;
  let pss = 0;
  for (const pid of pids) {
    try {
      const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      rss += Number(/^Rss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
      pss += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0);
    } catch {
      // It has just ended.
    }
  }
  return { rssMb: rss / 1024, pssMb: pss / 1024 };
}

const RUNTIMES = { python: 'python3.11', nodejs: 'nodejs20.x' } as const;
const PREPARED = 8;

/** Eight prepared workers of one language, nothing else: what each of them holds. */
async function prepared(language: keyof typeof RUNTIMES): Promise<Resident> {
  const bench = await startFunctions({ preparedWorkers: PREPARED });
  try {
    const functions = Array.from({ length: PREPARED }, (_, n) =>
      bench.define(
        `p${n}`,
        { 'main.py': 'def handler(event, context): pass\n', 'main.js': 'exports.handler = () => {};\n' },
        { runtime: RUNTIMES[language] },
      ),
    );
    const before = new Set(descendants());
    await bench.deploy(...functions);
    await waitFor(() => bench.functions.prepared === PREPARED, { timeoutMs: 60_000 });
    const { rssMb, pssMb } = residentOf(descendants().filter((pid) => !before.has(pid)));
    return { rssMb: rssMb / PREPARED, pssMb: pssMb / PREPARED };
  } finally {
    await bench.close();
  }
}

export async function memory(): Promise<Figure[]> {
  const figures = await daemonMemory();
  for (const language of ['python', 'nodejs'] as const) {
    const { rssMb, pssMb } = await prepared(language);
    figures.push(
      { name: `a prepared ${language} worker (8 of them), RSS`, unit: 'MB', value: rssMb, runs: 1 },
      { name: `a prepared ${language} worker (8 of them), PSS`, unit: 'MB', value: pssMb, runs: 1 },
    );
  }
  return figures;
}

async function daemonMemory(): Promise<Figure[]> {
  const bench = await startFunctions({ preparedWorkers: 0 });
  try {
    const handler = { 'main.py': 'import time\ndef handler(event, context):\n    time.sleep(event)\n' };
    // One before the measurement: what every daemon has loaded anyway.
    const first = bench.define('first', handler);
    await bench.deploy(first);
    bench.deliver(first, 't', '0');
    await waitFor(() => bench.functions.workers()[0]?.WorkerState === 'Waiting');
    const before = residentMb();
    const functions = Array.from({ length: DEPLOYED }, (_, n) => bench.define(`f${n}`, handler));
    await bench.deploy(first, ...functions);
    const idle = residentMb();
    for (const f of functions.slice(0, BUSY - 1)) bench.deliver(f, 't', '5');
    await waitFor(
      () => bench.functions.workers().filter((w) => w.WorkerState === 'Working').length === BUSY - 1,
      {
        timeoutMs: 60_000,
      },
    );
    const busy = residentMb();
    const workers = residentOf(descendants());
    return [
      {
        name: 'daemon: memory for each deployed, idle on-demand function',
        unit: 'KB',
        value: ((idle - before) * 1024) / DEPLOYED,
        runs: 1,
      },
      {
        name: 'daemon: memory for each worker',
        unit: 'KB',
        value: ((busy - idle) * 1024) / (BUSY - 1),
        runs: 1,
      },
      { name: 'a busy python worker (25 of them), RSS', unit: 'MB', value: workers.rssMb / BUSY, runs: 1 },
      { name: 'a busy python worker (25 of them), PSS', unit: 'MB', value: workers.pssMb / BUSY, runs: 1 },
    ];
  } finally {
    await bench.close();
  }
}
