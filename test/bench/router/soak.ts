/**
 * `node dist/test/bench/router/soak.js [minutes]` (30 by default): 100 pairs with QoS 1 at half of the rate that the
 * broker can do, with a look at its memory every ten seconds. Nothing may be lost, and the memory must not grow.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningBroker, startBroker } from './brokers.js';
import { makeFixture } from './fixture.js';
import { buildLoad, type MessageLoad, runMessages } from './load.js';

const SAMPLE_MS = 10_000;
const PAIRS = { pubs: 100, subs: 100, shape: 'pairs', qos: 1, size: 256, window: 100 } as const;

async function soak(minutes: number, folder: string, program: string): Promise<void> {
  const broker = await startBroker('greengrass', makeFixture(folder));
  try {
    const target = { program, certs: folder, port: broker.port };
    const peak = await runMessages(target, { ...PAIRS, seconds: 5 });
    const rate = Math.floor(peak.perSecond / 2);
    const load: MessageLoad = { ...PAIRS, seconds: minutes * 60, rate };
    const { samples, stop } = watch(broker);
    const result = await runMessages(target, load);
    stop();
    const third = Math.ceil(samples.length / 3);
    const mean = (part: readonly number[]) =>
      part.reduce((sum, value) => sum + value, 0) / part.length / 2 ** 20;
    const row = {
      ...{ minutes, peakPerSecond: Math.round(peak.perSecond), ratePerSecond: rate },
      ...{ sent: result.sent, lost: result.expected - result.received, misordered: result.misordered },
      ...{ p50Us: result.p50Us, p99Us: result.p99Us },
      residentMiB: samples.map((bytes) => Math.round(bytes / 2 ** 20)),
      firstThirdMiB: Number(mean(samples.slice(0, third)).toFixed(1)),
      lastThirdMiB: Number(mean(samples.slice(-third)).toFixed(1)),
    };
    process.stdout.write(`${JSON.stringify(row)}\n`);
  } finally {
    await broker.stop();
  }
}

function watch(broker: RunningBroker): { readonly samples: number[]; stop(): void } {
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(broker.residentBytes()), SAMPLE_MS);
  return { samples, stop: () => clearInterval(timer) };
}

const folder = mkdtempSync(join(tmpdir(), 'gg-soak-'));
try {
  const program = buildLoad(folder);
  if (program === undefined)
    process.stdout.write('skipped: the generator needs cc and OpenSSL (libssl-dev)\n');
  else await soak(Number(process.argv[2] ?? 30), folder, program);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
