/** The load generator: compiled when it is needed, run on the second processor. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { check, z } from '../../../greengrass/lib/check.js';
import { PACKAGE_ROOT } from '../../../greengrass/lib/package-root.js';

import { onProcessor } from './processor.js';

const SOURCE = join(PACKAGE_ROOT, 'test', 'bench', 'router', 'load.c');

/** Path of the program; undefined where there is no C compiler or no OpenSSL to build with. */
export function buildLoad(folder: string): string | undefined {
  const program = join(folder, 'load');
  try {
    execFileSync('cc', ['-O2', '-o', program, SOURCE, '-lssl', '-lcrypto'], { stdio: 'pipe' });
  } catch {
    return undefined;
  }
  return existsSync(program) ? program : undefined;
}

const result = z.object({
  perSecond: z.number(),
  sent: z.number(),
  received: z.number(),
  expected: z.number(),
  acked: z.number(),
  misordered: z.number(),
  closed: z.number(),
  p50Us: z.number(),
  p99Us: z.number(),
  /** Share of a processor that the generator itself needed. */
  ownCpuShare: z.number(),
});
export type MessageResult = z.output<typeof result>;
const connectResult = z.object({ perSecond: z.number(), done: z.number(), resumed: z.number() });

export interface LoadTarget {
  readonly program: string;
  readonly certs: string;
  readonly port: number;
}

export interface MessageLoad {
  readonly pubs: number;
  readonly subs: number;
  readonly shape: 'pairs' | 'in' | 'out';
  readonly qos: 0 | 1;
  readonly size: number;
  /** Messages of one publisher that are under way at once. */
  readonly window: number;
  readonly seconds: number;
  /** Messages a second over all publishers; 0: as many as the windows allow. */
  readonly rate?: number;
  /** 1: look for work without a pause, for exact latencies. */
  readonly spin?: 0 | 1;
}

/** `onPhase` is called when the measured time begins and ends. */
export async function runMessages(
  target: LoadTarget,
  load: MessageLoad,
  onPhase: (phase: 'measuring' | 'measured') => void = () => undefined,
): Promise<MessageResult> {
  const child = startLoad(target, { mode: 'messages', ...load });
  let last = '';
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes('"measuring"')) onPhase('measuring');
    if (line.includes('"measured"')) onPhase('measured');
    last = line;
  }
  return check(result, JSON.parse(last), 'load generator');
}

export async function runConnects(
  target: LoadTarget,
  load: { readonly parallel: number; readonly seconds: number; readonly resume: 0 | 1 },
): Promise<z.output<typeof connectResult>> {
  const child = startLoad(target, { mode: 'connect', ...load });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return check(connectResult, JSON.parse(line), 'load generator');
}

/** Connections that say nothing; resolves when all are there. */
export async function holdIdle(target: LoadTarget, count: number): Promise<{ release(): Promise<void> }> {
  const child = startLoad(target, { mode: 'idle', count });
  await once(createInterface({ input: child.stdout }), 'line');
  return {
    async release() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

function startLoad({ program, certs, port }: LoadTarget, options: object) {
  const args = Object.entries({ port, certs, ...options }).map(([name, value]) => `${name}=${value}`);
  return spawn('nice', [...onProcessor(1), program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
}
