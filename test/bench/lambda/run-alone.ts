/** Runs the benchmarks of functions without the others: `node dist/test/bench/lambda/run-alone.js [name …]`. */
import { coldStarts } from './cold-starts.js';
import { invocations } from './invocations.js';
import { memory } from './memory.js';
import { roundTrips } from './round-trips.js';

const BENCHMARKS = { 'cold-starts': coldStarts, invocations, memory, 'round-trips': roundTrips };

for (const [name, benchmark] of Object.entries(BENCHMARKS)) {
  if (process.argv.length > 2 && !process.argv.includes(name)) continue;
  for (const { name: what, unit, value, runs } of await benchmark()) {
    process.stdout.write(`  ${what.padEnd(80)} ${value.toFixed(1).padStart(9)} ${unit}  (${runs})\n`);
  }
}
