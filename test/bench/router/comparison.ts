/** One broker after the other under the same load: medians of several rounds. */
import { type BrokerName, type RunningBroker, startBroker } from './brokers.js';
import { type Fixture, IDLE_CLIENTS } from './fixture.js';
import { holdIdle, type LoadTarget, type MessageResult, runConnects, runMessages } from './load.js';
import type { Scenario } from './scenarios.js';

interface Measured extends MessageResult {
  /** Microseconds of the broker's processor for one delivered message. */
  readonly cpuUs: number;
}

/** What one scenario gave, by broker: medians. */
export interface Row {
  readonly scenario: string;
  readonly goal: string;
  readonly brokers: Partial<Record<BrokerName, Record<string, number>>>;
}

/** What all comparisons share. */
export interface Lab {
  readonly names: readonly BrokerName[];
  readonly fixture: Fixture;
  /** The load generator. */
  readonly program: string;
  readonly runs: number;
  readonly seconds: number;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

async function measure(name: BrokerName, lab: Lab, { load }: Scenario): Promise<Measured> {
  const broker = await startBroker(name, lab.fixture);
  let cpu = 0;
  try {
    const result = await runMessages(targetOf(lab, broker), load, (phase) => {
      cpu = phase === 'measuring' ? broker.cpuSeconds() : broker.cpuSeconds() - cpu;
    });
    return { ...result, cpuUs: (cpu * 1e6) / (result.perSecond * load.seconds) };
  } finally {
    await broker.stop();
  }
}

/** All brokers in turn, several times over. */
export async function compareMessages(lab: Lab, one: Scenario): Promise<Row> {
  const runs = new Map<BrokerName, Measured[]>(lab.names.map((name) => [name, []]));
  for (let run = 0; run < lab.runs; run++) {
    for (const name of lab.names) runs.get(name)?.push(await measure(name, lab, one));
  }
  const brokers: Row['brokers'] = {};
  for (const [name, list] of runs) {
    const of = (member: keyof Measured) => Number(median(list.map((result) => result[member])).toFixed(2));
    brokers[name] = {
      perSecond: Math.round(of('perSecond')),
      ...{ p50Us: of('p50Us'), p99Us: of('p99Us'), cpuUs: of('cpuUs'), generatorCpu: of('ownCpuShare') },
      lost: list.reduce((sum, { expected, received }) => sum + expected - received, 0),
      misordered: list.reduce((sum, { misordered }) => sum + misordered, 0),
    };
  }
  const goal = one.goal === undefined ? `latency <= ${one.latencyGoal}x` : `>= ${one.goal}x`;
  return { scenario: one.name, goal, brokers };
}

/** Connections a second: TLS handshake, CONNECT, CONNACK, 50 at a time. */
export async function compareConnects(lab: Lab, resume: 0 | 1): Promise<Row> {
  const rates = new Map<BrokerName, number[]>(lab.names.map((name) => [name, []]));
  const shares = new Map<BrokerName, number>();
  for (let run = 0; run < lab.runs; run++) {
    for (const name of lab.names) {
      const broker = await startBroker(name, lab.fixture);
      const load = { parallel: 50, seconds: lab.seconds, resume };
      const { perSecond, resumed, done } = await runConnects(targetOf(lab, broker), load);
      rates.get(name)?.push(perSecond);
      shares.set(name, resumed / done);
      await broker.stop();
    }
  }
  const brokers: Row['brokers'] = {};
  for (const [name, list] of rates) {
    brokers[name] = { perSecond: Math.round(median(list)), resumedShare: shares.get(name) ?? 0 };
  }
  const kind = resume ? 'resumed' : 'full handshake';
  return { scenario: `connections a second, 50 at a time, ${kind}`, goal: '>= 0.95x', brokers };
}

/** Memory that each of many devices costs which are connected and say nothing. */
export async function compareIdle(lab: Lab): Promise<Row> {
  const brokers: Row['brokers'] = {};
  for (const name of lab.names) {
    const broker = await startBroker(name, lab.fixture);
    const before = broker.residentBytes();
    const held = await holdIdle(targetOf(lab, broker), IDLE_CLIENTS);
    const kilobytes = (broker.residentBytes() - before) / 1024 / IDLE_CLIENTS;
    brokers[name] = { kilobytes: Number(kilobytes.toFixed(1)) };
    await held.release();
    await broker.stop();
  }
  return { scenario: `memory of an idle device, ${IDLE_CLIENTS} of them`, goal: '< 70 KB', brokers };
}

function targetOf({ program, fixture }: Lab, { port }: RunningBroker): LoadTarget {
  return { program, certs: fixture.folder, port };
}
