/** Starts and stops the real programs, as an operator would: greengrass-cloud and greengrassd as processes. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readyFile } from '../cli/connect.js';
import { checkJson, z } from '../lib/check.js';
import { type ChildProcess, run, start, stop } from '../lib/subprocess.js';

const CLOUD = fileURLToPath(new URL('../cloud/bin/greengrass-cloud.js', import.meta.url));
const GREENGRASSD = fileURLToPath(new URL('../core/bin/greengrassd.js', import.meta.url));

const wholeReadyFile = readyFile.extend({ pid: z.number(), accountId: z.string() });
export type CloudInfo = z.output<typeof wholeReadyFile>;

export interface RunningCloud {
  readonly info: CloudInfo;
  readonly process: ChildProcess;
  readonly readyFile: string;
  stop(): Promise<void>;
}

/**
 * Starts greengrass-cloud on free ports (or the given ones), with `more` options, and waits for its ready file. Not on
 * port 0: a test that starts it again on the same ports might find that somebody else was given one meanwhile.
 */
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
      ...['--api-port', String(ports.api ?? (await freePort()))],
      ...['--mqtt-port', String(ports.mqtt ?? (await freePort()))],
      ...['--https-port', String(ports.https ?? (await freePort()))],
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
  const deadline = Date.now() + 60_000;
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
  const info = checkJson(wholeReadyFile, text, file);
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

/** Below the range that Linux takes ports from by itself (32768 on): nobody is given one of these by chance. */
const FIRST_PORT = 11_000;
const LAST_PORT = 31_999;
/** Each process has its own part of them, so that two that run at the same time are never given the same port. */
const PORTS_OF_A_PROCESS = 100;
const PARTS = Math.floor((LAST_PORT - FIRST_PORT + 1) / PORTS_OF_A_PROCESS);
let nextPort = Math.floor(Math.random() * PORTS_OF_A_PROCESS);

/**
 * A TCP port that is free now, and that stays free while its program starts, or stops and starts again: it is given
 * to no other process and not to this one before a hundred others.
 */
export async function freePort(): Promise<number> {
  const first = FIRST_PORT + (process.pid % PARTS) * PORTS_OF_A_PROCESS;
  for (let tries = 0; tries < PORTS_OF_A_PROCESS; tries++) {
    const port = first + (nextPort++ % PORTS_OF_A_PROCESS);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port from ${first} to ${first + PORTS_OF_A_PROCESS - 1}: stop what uses them`);
}

/** Tried on all addresses: a server on any of them would be in the way. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
