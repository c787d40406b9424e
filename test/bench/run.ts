/** `npm run bench`: runs the benchmarks, prints a table, writes bench-results/<name>.json. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';

export interface Figure {
  readonly name: string;
  readonly unit: string;
  /** Median where there was more than one run. */
  readonly value: number;
  readonly runs: number;
}

/** By name; each is loaded when it is wanted. */
const BENCHMARKS: Readonly<Record<string, () => Promise<Figure[]>>> = {
  'first-light': async () => (await import('./first-light.js')).firstLight(),
  cloud: async () => (await import('./cloud.js')).cloud(),
  router: async () => (await import('./router/all.js')).router(),
  deploy: async () => (await import('./deploy/main.js')).deployments(),
  'cold-starts': async () => (await import('./lambda/cold-starts.js')).coldStarts(),
  invocations: async () => (await import('./lambda/invocations.js')).invocations(),
  'round-trips': async () => (await import('./lambda/round-trips.js')).roundTrips(),
  'function-memory': async () => (await import('./lambda/memory.js')).memory(),
  spooler: async () => (await import('./spooler.js')).spooler(),
  shadow: async () => (await import('./shadow.js')).shadow(),
};

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  const machine = {
    node: process.version,
    kernel: release(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
  process.stdout.write(`${JSON.stringify(machine)}\n`);
  for (const [name, benchmark] of Object.entries(BENCHMARKS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const figures = await benchmark();
    process.stdout.write(`\n${name}\n`);
    for (const { name: what, unit, value, runs } of figures) {
      process.stdout.write(`  ${what.padEnd(70)} ${value.toFixed(1).padStart(8)} ${unit}  (${runs})\n`);
    }
    const folder = join(PACKAGE_ROOT, 'bench-results');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify({ machine, figures }, null, 2)}\n`);
  }
}

await main();
