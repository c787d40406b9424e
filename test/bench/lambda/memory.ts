/** Memory of the daemon's part for functions: 200 on-demand functions deployed, and 25 of them with a worker. */
import { readFileSync } from 'node:fs';
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

export async function memory(): Promise<Figure[]> {
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
    ];
  } finally {
    await bench.close();
  }
}
