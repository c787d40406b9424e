/** Starts and stops the real programs, as an operator would: greengrass-cloud and greengrassd as processes. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkJson, z } from '../lib/check.js';
import { type ChildProcess, run, start, stop } from '../lib/subprocess.js';

const CLOUD = fileURLToPath(new URL('../cloud/bin/greengrass-cloud.js', import.meta.url));
const GREENGRASSD = fileURLToPath(new URL('../core/bin/greengrassd.js', import.meta.url));

/** What greengrass-cloud writes to its ready file. */
const readyFile = z.object({
  pid: z.number(),
  api: z.string(),
  mqtt: z.object({ host: z.string(), port: z.number() }),
  https: z.object({ host: z.string(), port: z.number() }),
  caFile: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  region: z.string(),
  accountId: z.string(),
});
export type CloudInfo = z.output<typeof readyFile>;

export interface RunningCloud {
  readonly info: CloudInfo;
  readonly process: ChildProcess;
  readonly readyFile: string;
  stop(): Promise<void>;
}

/** Starts greengrass-cloud on free ports (or the given ones), with `more` options, and waits for its ready file. */
export async function startCloud(
  folder: string,
  ports: { api?: number; mqtt?: number; https?: number } = {},
  more: readonly string[] = [],
): Promise<RunningCloud> {
  mkdirSync(folder, { recursive: true });
  const ready = join(folder, 'ready.json');
  const child = await start(
    process.execPath,
    [
      CLOUD,
      'start',
      ...['--data', folder],
      ...['--api-port', String(ports.api ?? 0)],
      ...['--mqtt-port', String(ports.mqtt ?? 0)],
      ...['--https-port', String(ports.https ?? 0)],
      ...['--ready-file', ready],
      ...more,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const errors: string[] = [];
  child.stderr?.on('data', (chunk: Buffer) => {
    errors.push(chunk.toString('utf8'));
    if (errors.length > 200) errors.shift();
  });
  const deadline = Date.now() + 30_000;
  for (;;) {
    const info = readReady(ready, child.pid);
    if (info)
      return { info, process: child, readyFile: ready, stop: async () => void (await stop(child, 10_000)) };
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`greengrass-cloud did not start:\n${errors.join('').trim()}`);
    }
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

function readReady(file: string, pid: number | undefined): CloudInfo | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  const info = checkJson(readyFile, text, file);
  return info.pid === pid ? info : undefined;
}

/** Runs `greengrassd --root DIR <verb>`; answers what it printed. Throws where it fails. */
export async function greengrassd(
  root: string,
  verb: 'start' | 'stop' | 'restart' | 'status',
): Promise<string> {
  const insecure = isLinkProtected() ? [] : ['-i'];
  const { code, stdout, stderr } = await run(
    process.execPath,
    [GREENGRASSD, '--root', root, ...insecure, verb],
    {
      timeoutMs: 120_000,
    },
  );
  if (code !== 0) throw new Error(`greengrassd ${verb} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** Whether the core would start here without `-i`. A demonstration may go without; a device should not. */
export function isLinkProtected(): boolean {
  return ['protected_hardlinks', 'protected_symlinks'].every((name) => {
    try {
      return readFileSync(`/proc/sys/fs/${name}`, 'utf8').trim() === '1';
    } catch {
      return false;
    }
  });
}

/** A TCP port of 127.0.0.1 that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
