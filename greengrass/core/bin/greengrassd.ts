#!/usr/bin/env node
/**
 * greengrassd: start | stop | restart | status | --version, with V1's texts and files. Starts the daemon process,
 * waits until it is healthy, prints its PID. Exit codes: 0 done, 1 failed, 2 wrong command line; `status` answers 3
 * where no daemon runs, as service scripts do.
 */
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { z } from '../../lib/check.js';
import { unpackedRoot, VERSION } from '../../lib/package-root.js';
import { start as startProcess } from '../../lib/subprocess.js';
import type { CoreConfig } from '../../model/core-config.js';
import { PidFile } from '../pid-file.js';
import { readRootConfig } from '../root-config.js';

/** How long `start` waits for the daemon to say that it is ready. V1.11 announces the same. */
const START_WAIT = { ms: 70_000, text: '1m10s' };
/** How long `stop` waits: grace periods of all workers, then some. */
const STOP_WAIT_MS = 60_000;

/** What the daemon tells its starter, once. */
const startResult = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), unhealthy: z.array(z.string()) }),
  z.object({ kind: z.literal('failed'), reason: z.string() }),
]);

class Failure extends Error {}

interface Options {
  readonly root?: string;
  readonly i?: boolean;
}

/** `--root`, or the tree that this program was unpacked into: `<root>/ggc/packages/<version>`. */
function findRoot(option: string | undefined): string {
  if (option !== undefined) return resolve(option);
  const unpacked = unpackedRoot();
  if (unpacked !== undefined) return unpacked;
  throw new Failure(
    'The greengrass root is not known: this program does not lie in <root>/ggc/packages. Name it: greengrassd --root DIR start',
  );
}

/** V1 refuses to run functions on a system where links can be planted, unless `-i` is given. */
function checkLinkProtection(insecure: boolean): void {
  process.stdout.write('Validating hardlink/softlink protection\n');
  const isOn = (name: string) => {
    try {
      return readFileSync(`/proc/sys/fs/${name}`, 'utf8').trim() === '1';
    } catch {
      return false;
    }
  };
  if (insecure || (isOn('protected_hardlinks') && isOn('protected_symlinks'))) return;
  throw new Failure(
    'AWS Greengrass detected insecure OS configuration: No hardlink/softlink protection enabled.\n' +
      'Enable it: sysctl -w fs.protected_hardlinks=1 fs.protected_symlinks=1 (or start with -i to go without).',
  );
}

async function start(root: string, insecure: boolean): Promise<void> {
  process.stdout.write('Setting up greengrass daemon\n');
  if (process.getuid?.() !== 0) {
    throw new Failure(
      'greengrassd must run as root: it makes containers and cgroups for functions. Run: sudo greengrassd start',
    );
  }
  checkLinkProtection(insecure);
  const { config } = readRootConfig(root);
  const running = new PidFile(config.pidFileDirectory, root).running();
  if (running !== undefined) throw new Failure(`Greengrass daemon is already running with PID: ${running}`);
  process.stdout.write(`Waiting for up to ${START_WAIT.text} for Daemon to start\n`);
  const { pid, unhealthy } = await launch(root, config);
  if (unhealthy.length === 0) {
    process.stdout.write(`\nGreengrass successfully started with PID: ${pid}\n`);
    return;
  }
  process.stdout.write(
    `\nGreengrass daemon running with PID: ${pid}. Some system components failed to start. Check 'runtime.log' for errors.\n`,
  );
  for (const line of unhealthy) process.stdout.write(`  ${line}\n`);
}

/** Starts the daemon in a session of its own; what it prints before its logs are open goes to crash.log. */
async function launch(root: string, config: CoreConfig): Promise<{ pid: number; unhealthy: string[] }> {
  const logFolder = join(config.writeDirectory, 'var', 'log');
  mkdirSync(logFolder, { recursive: true, mode: 0o755 });
  const crashLog = openSync(join(logFolder, 'crash.log'), 'a', 0o600);
  const child = await startProcess(process.execPath, [fileURLToPath(new URL('daemon.js', import.meta.url))], {
    cwd: '/',
    detached: true,
    env: { ...process.env, GREENGRASS_ROOT: root },
    stdio: ['ignore', crashLog, crashLog, 'ipc'],
  });
  const pid = child.pid as number;
  try {
    const unhealthy = await new Promise<string[]>((resolveReady, reject) => {
      const timer = setTimeout(
        () => reject(new Failure(`The daemon did not start within ${START_WAIT.text}.`)),
        START_WAIT.ms,
      );
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        reject(
          new Failure(
            `The Greengrass daemon process with [pid = ${pid}] died (${signal ?? `exit code ${code}`}).`,
          ),
        );
      });
      child.once('message', (message) => {
        clearTimeout(timer);
        const result = startResult.safeParse(message);
        if (result.success && result.data.kind === 'ready') resolveReady(result.data.unhealthy);
        else
          reject(
            new Failure(
              result.success && result.data.kind === 'failed'
                ? result.data.reason
                : 'unclear answer of the daemon',
            ),
          );
      });
    });
    return { pid, unhealthy };
  } catch (error) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    throw new Failure(
      `Greengrass daemon failed to start: ${(error as Error).message}\nCheck ${join(logFolder, 'system/runtime.log')} and ${join(logFolder, 'crash.log')}.`,
    );
  } finally {
    child.removeAllListeners();
    if (child.connected) child.disconnect();
    child.unref();
  }
}

async function stop(root: string): Promise<void> {
  const { config } = readRootConfig(root);
  const pidFile = new PidFile(config.pidFileDirectory, root);
  const pid = pidFile.running();
  if (pid === undefined) {
    process.stdout.write('Greengrass daemon is not running\n');
    return;
  }
  process.stdout.write(`Stopping greengrass daemon of PID: ${pid}\nWaiting\n`);
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + STOP_WAIT_MS;
  // The file goes before the process: a start that follows must not meet it.
  while (pidFile.isDaemon(pid)) {
    if (Date.now() > deadline) {
      process.kill(pid, 'SIGKILL');
      throw new Failure(
        `The daemon did not stop within ${STOP_WAIT_MS / 1000} s and was killed; the next start cleans up.`,
      );
    }
    await new Promise((wake) => setTimeout(wake, 50));
  }
  process.stdout.write('Stopped greengrass daemon, exiting with success\n');
}

function status(root: string): void {
  const { config } = readRootConfig(root);
  const pid = new PidFile(config.pidFileDirectory, root).running();
  if (pid === undefined) {
    process.stdout.write('Greengrass daemon is not running\n');
    process.exitCode = 3;
    return;
  }
  process.stdout.write(`Greengrass daemon is running with PID: ${pid}\n`);
}

async function main(): Promise<void> {
  const program = new Command('greengrassd')
    .description('The AWS IoT Greengrass Version 1 core')
    .option('--root <dir>', 'greengrass root (default: the tree that this program lies in)')
    .option('-i', 'start although hardlink/softlink protection is off (insecure)')
    .version(VERSION, '--version', 'print the core version')
    .exitOverride();
  const options = () => program.opts<Options>();
  const root = () => findRoot(options().root);
  program
    .command('start')
    .description('start the daemon, wait until it is healthy, print its PID')
    .action(() => start(root(), options().i === true));
  program
    .command('stop')
    .description('stop the daemon and every worker')
    .action(() => stop(root()));
  program
    .command('restart')
    .description('stop, then start')
    .action(async () => {
      await stop(root());
      await start(root(), options().i === true);
    });
  program
    .command('status')
    .description('say whether the daemon runs')
    .action(() => status(root()));
  await program.parseAsync();
}

main().catch((error: Error) => {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    return;
  }
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
