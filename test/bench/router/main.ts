/**
 * `[RUNS=5] [SECONDS=3] [BROKERS=greengrass,mosquitto,aedes] [NICE=-10] setsid -w node dist/test/bench/router/main.js
 * [part of a scenario's name]`: one line of JSON for each scenario, as soon as it is done.
 */
import { cpus, loadavg, release } from 'node:os';
import { compareAll } from './all.js';

const machine = { node: process.version, kernel: release(), cpu: cpus()[0]?.model, load: loadavg()[0] };
process.stdout.write(`${JSON.stringify(machine)}\n`);
const brokers = process.env.BROKERS?.split(',');
await compareAll(
  {
    runs: Number(process.env.RUNS ?? 5),
    seconds: Number(process.env.SECONDS ?? 3),
    wanted: process.argv[2] ?? '',
    ...(brokers ? { brokers } : {}),
  },
  (row) => process.stdout.write(`${JSON.stringify(row)}\n`),
);
