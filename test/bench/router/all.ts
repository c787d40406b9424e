/**
 * Our local MQTT server with the router behind it, Mosquitto and plain aedes, all with mutual TLS and the rights of a
 * table of 1,000 routes: broker on the first processor, generator on the second.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Figure } from '../run.js';
import { type BrokerName, hasMosquitto } from './brokers.js';
import { compareConnects, compareIdle, compareMessages, type Lab, type Row } from './comparison.js';
import { makeFixture } from './fixture.js';
import { buildLoad } from './load.js';
import { raiseSession } from './processor.js';
import { scenarios } from './scenarios.js';

const UNITS: Readonly<Record<string, string>> = {
  perSecond: '/s',
  p50Us: 'µs, half',
  p99Us: 'µs, 99 of 100',
  cpuUs: 'µs of processor',
  kilobytes: 'KB',
  lost: 'lost',
};

export interface Settings {
  readonly runs: number;
  readonly seconds: number;
  /** Part of the names of the scenarios to run. */
  readonly wanted?: string;
  readonly brokers?: readonly string[];
}

/** `onRow` hears of each scenario when it is done. Answers nothing where the machine lacks what it takes. */
export async function compareAll(settings: Settings, onRow: (row: Row) => void): Promise<Row[]> {
  const { runs, seconds, wanted = '', brokers } = settings;
  const folder = mkdtempSync(join(tmpdir(), 'gg-bench-'));
  try {
    const program = buildLoad(folder);
    if (program === undefined) {
      process.stdout.write('skipped: the generator needs cc and OpenSSL (apt-get install gcc libssl-dev)\n');
      return [];
    }
    if (!hasMosquitto()) process.stdout.write('without Mosquitto: apt-get install mosquitto\n');
    const all: readonly BrokerName[] = ['greengrass', 'mosquitto', 'aedes'];
    const names = all.filter(
      (name) => (name !== 'mosquitto' || hasMosquitto()) && (brokers?.includes(name) ?? true),
    );
    raiseSession();
    const lab: Lab = { names, fixture: makeFixture(folder), program, runs, seconds };
    const rows: Row[] = [];
    const add = (row: Row) => {
      rows.push(row);
      onRow(row);
    };
    for (const one of scenarios(seconds)) if (one.name.includes(wanted)) add(await compareMessages(lab, one));
    if ('connections'.includes(wanted)) {
      for (const resume of [0, 1] as const) add(await compareConnects(lab, resume));
      add(await compareIdle(lab));
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** For `npm run bench`. */
export async function router(): Promise<Figure[]> {
  const runs = 5;
  const rows = await compareAll({ runs, seconds: 2 }, () => undefined);
  return rows.flatMap(({ scenario, brokers }) =>
    Object.entries(brokers).flatMap(([broker, values]) =>
      Object.entries(UNITS).flatMap(([member, unit]) => {
        const value = values[member];
        return value === undefined ? [] : [{ name: `${scenario}: ${broker}`, unit, value, runs }];
      }),
    ),
  );
}
