/**
 * Cold start of an on-demand function in a container: from the message to the handler's first line, with a prepared
 * container (of a function with resources too: they are looked at once more) and without. Floor: the bare interpreter, from its spawn to its end.
 */
import { run } from '../../../greengrass/lib/subprocess.js';
import { type FunctionBench, startFunctions } from '../../support/functions.js';
import { waitFor } from '../../support/wait-for.js';
import type { Figure } from '../run.js';

const ROUNDS = 30;
/** The row before lets its next worker be prepared, which is not to be measured with this one. */
const SETTLE_MS = 300;

const HANDLERS = {
  'main.py': "import os\ndef handler(event, context):\n    os.write(1, b'begun\\n')\n",
  'main.js':
    "exports.handler = (event, context, callback) => { require('fs').writeSync(1, 'begun\\n'); callback(); };\n",
};
const RUNTIMES = { python: 'python3.11', nodejs: 'nodejs20.x' } as const;
const PROGRAMS = {
  python: ['/usr/bin/python3', '-c', 'pass'],
  nodejs: ['/usr/bin/node', '-e', '0'],
} as const;
type Language = keyof typeof RUNTIMES;

async function bare(language: Language): Promise<number> {
  const [program, ...args] = PROGRAMS[language];
  const start = performance.now();
  await run(program, args);
  return performance.now() - start;
}

class ColdFunction {
  private constructor(
    private readonly bench: FunctionBench,
    private readonly deployed: ReturnType<FunctionBench['define']>,
    private readonly isPrepared: boolean,
  ) {}

  static async create(language: Language, isPrepared: boolean, hasResources = false): Promise<ColdFunction> {
    const bench = await startFunctions({ idleMs: 1, preparedWorkers: isPrepared ? 1 : 0 });
    const f = bench.define('f', HANDLERS, {
      runtime: RUNTIMES[language],
      mounts: hasResources ? [{ source: '/var/tmp', destination: '/data', readOnly: true }] : [],
      devices: hasResources ? [{ path: '/dev/null', readOnly: false }] : [],
    });
    await bench.deploy(f);
    return new ColdFunction(bench, f, isPrepared);
  }

  async start(): Promise<number> {
    const { bench, deployed } = this;
    await waitFor(() => bench.functions.workers().length === 0);
    if (this.isPrepared) await waitFor(() => bench.functions.prepared === 1);
    bench.entries.length = 0;
    const start = performance.now();
    bench.deliver(deployed, 't', '{}');
    while (!bench.entries.some(({ message }) => message.includes('begun'))) {
      await new Promise((wake) => setImmediate(wake));
      if (performance.now() - start > 10_000) throw new Error(JSON.stringify(bench.entries));
    }
    return performance.now() - start;
  }

  close(): Promise<void> {
    return this.bench.close();
  }
}

export async function coldStarts(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const language of ['python', 'nodejs'] as const) {
    const prepared = await ColdFunction.create(language, true);
    const resources = await ColdFunction.create(language, true, true);
    const plain = await ColdFunction.create(language, false);
    const rows: ReadonlyArray<readonly [string, () => Promise<number>]> = [
      [`floor: bare ${language}, spawn to end`, () => bare(language)],
      [`cold start of a ${language} function, prepared container`, () => prepared.start()],
      [
        `cold start of a ${language} function with a volume and a device, prepared container`,
        () => resources.start(),
      ],
      [`cold start of a ${language} function, nothing prepared`, () => plain.start()],
    ];
    const values = rows.map((): number[] => []);
    // Side by side, so that what else the machine does meets all of them; the first round warms the caches.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [index, [, measure]] of rows.entries()) {
        await new Promise((wake) => setTimeout(wake, SETTLE_MS));
        const value = await measure();
        if (round > 0) values[index]?.push(value);
      }
    }
    for (const [index, [name]] of rows.entries()) {
      const sorted = (values[index] ?? []).toSorted((a, b) => a - b);
      figures.push({ name, unit: 'ms', value: sorted[Math.floor(sorted.length / 2)] ?? 0, runs: ROUNDS });
    }
    await prepared.close();
    await resources.close();
    await plain.close();
  }
  return figures;
}
