/**
 * `node dist/test/bench/router/main.js [part of a scenario's name]`: our local MQTT server with the router behind it,
 * Mosquitto and plain aedes, all with mutual TLS and the rights of a table of 1,000 routes, one after the other in each
 * round. RUNS=5 and SECONDS=3 by default. Broker on the first processor, generator on the second.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../../greengrass/lib/package-root.js';
import { type BrokerName, hasMosquitto, startBroker } from './brokers.js';
import { type Fixture, IDLE_CLIENTS, makeFixture } from './fixture.js';
import {
  buildLoad,
  holdIdle,
  type LoadTarget,
  type MessageResult,
  runConnects,
  runMessages,
} from './load.js';
import { type Scenario, scenarios } from './scenarios.js';

const RUNS = Number(process.env.RUNS ?? 5);
const SECONDS = Number(process.env.SECONDS ?? 3);

interface Measured extends MessageResult {
  /** Microseconds of the broker's processor for one delivered message. */
  readonly cpuUs: number;
}
type Row = Record<string, unknown>;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

async function measure(
  name: BrokerName,
  fixture: Fixture,
  program: string,
  { load }: Scenario,
): Promise<Measured> {
  const broker = await startBroker(name, fixture);
  let cpu = 0;
  try {
    const target = { program, certs: fixture.folder, port: broker.port };
    const result = await runMessages(target, load, (phase) => {
      cpu = phase === 'measuring' ? broker.cpuSeconds() : broker.cpuSeconds() - cpu;
    });
    return { ...result, cpuUs: (cpu * 1e6) / (result.perSecond * load.seconds) };
  } finally {
    await broker.stop();
  }
}

async function scenario(
  names: readonly BrokerName[],
  fixture: Fixture,
  program: string,
  one: Scenario,
): Promise<Row> {
  const runs = new Map<BrokerName, Measured[]>(names.map((name) => [name, []]));
  for (let run = 0; run < RUNS; run++) {
    for (const name of names) runs.get(name)?.push(await measure(name, fixture, program, one));
  }
  const row: Row = { scenario: one.name, goal: one.goal ?? `<= ${one.latencyGoal}x latency` };
  for (const [name, list] of runs) {
    const of = (member: keyof Measured) => median(list.map((result) => result[member]));
    const lost = list.reduce((sum, { expected, received }) => sum + expected - received, 0);
    row[name] = {
      perSecond: Math.round(of('perSecond')),
      ...{ p50Us: of('p50Us'), p99Us: of('p99Us'), cpuUs: Number(of('cpuUs').toFixed(2)), lost },
      misordered: list.reduce((sum, { misordered }) => sum + misordered, 0),
      generatorCpu: Number(of('ownCpuShare').toFixed(2)),
    };
  }
  return row;
}

async function connections(names: readonly BrokerName[], fixture: Fixture, program: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const resume of [0, 1] as const) {
    const row: Row = {
      scenario: `connections a second, 50 at a time, ${resume ? 'resumed' : 'full handshake'}`,
    };
    const rates = new Map<BrokerName, number[]>(names.map((name) => [name, []]));
    let resumed = 0;
    for (let run = 0; run < RUNS; run++) {
      for (const name of names) {
        const broker = await startBroker(name, fixture);
        const target = { program, certs: fixture.folder, port: broker.port };
        const result = await runConnects(target, { parallel: 50, seconds: SECONDS, resume });
        rates.get(name)?.push(result.perSecond);
        if (name === 'greengrass') resumed = result.resumed / result.done;
        await broker.stop();
      }
    }
    for (const [name, list] of rates) row[name] = { perSecond: Math.round(median(list)) };
    row.resumedShare = Number(resumed.toFixed(2));
    rows.push(row);
  }
  const row: Row = { scenario: `memory of an idle device, ${IDLE_CLIENTS} of them` };
  for (const name of names.filter((name) => name !== 'mosquitto'))
    row[name] = await idle(name, fixture, program);
  return [...rows, row];
}

async function idle(name: BrokerName, fixture: Fixture, program: string): Promise<Row> {
  const broker = await startBroker(name, fixture);
  const before = broker.residentBytes();
  const target: LoadTarget = { program, certs: fixture.folder, port: broker.port };
  const held = await holdIdle(target, IDLE_CLIENTS);
  const kilobytes = (broker.residentBytes() - before) / 1024 / IDLE_CLIENTS;
  await held.release();
  await broker.stop();
  return { kilobytes: Number(kilobytes.toFixed(1)) };
}

async function main(): Promise<void> {
  const wanted = process.argv[2] ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'gg-bench-'));
  try {
    const program = buildLoad(folder);
    if (program === undefined) {
      process.stdout.write('skipped: the generator needs cc and OpenSSL (apt-get install gcc libssl-dev)\n');
      return;
    }
    if (!hasMosquitto()) process.stdout.write('without Mosquitto: apt-get install mosquitto\n');
    const names: BrokerName[] = hasMosquitto()
      ? ['greengrass', 'mosquitto', 'aedes']
      : ['greengrass', 'aedes'];
    const only = process.env.BROKERS?.split(',');
    const chosen = names.filter((name) => !only || only.includes(name));
    const fixture = makeFixture(folder);
    const machine = { node: process.version, kernel: release(), cpu: cpus()[0]?.model, load: loadavg()[0] };
    process.stdout.write(`${JSON.stringify(machine)}\n`);
    const rows: Row[] = [];
    for (const one of scenarios(SECONDS)) {
      if (!one.name.includes(wanted)) continue;
      rows.push(await scenario(chosen, fixture, program, one));
      process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
    }
    if ('connections'.includes(wanted)) {
      for (const row of await connections(chosen, fixture, program)) {
        rows.push(row);
        process.stdout.write(`${JSON.stringify(row)}\n`);
      }
    }
    const results = join(PACKAGE_ROOT, 'bench-results');
    mkdirSync(results, { recursive: true });
    writeFileSync(join(results, 'router.json'), `${JSON.stringify({ machine, rows }, null, 2)}\n`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

await main();
