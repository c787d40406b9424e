/** The only importer of child_process: start, signal, kill after a delay, wait. No shell, ever. */
import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';

export type { ChildProcess, SpawnOptions };

/** How a process ended: exactly one of the two is set. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Starts `file` with `args`; no shell stands between. Rejects where the file can't be executed. */
export function start(file: string, args: readonly string[], options: SpawnOptions): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...args], { ...options, shell: false });
    child.once('spawn', () => resolve(child));
    child.once('error', (error) =>
      reject(new Error(`could not start ${file}: ${error.message}`, { cause: error })),
    );
  });
}

/** Resolves when the process has ended and its pipes are closed. */
export function waitForExit(child: ChildProcess): Promise<Exit> {
  if (child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve({ code: child.exitCode, signal: child.signalCode });
  }
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
}

/** SIGTERM, then SIGKILL after `graceMs`; resolves with how it ended. */
export async function stop(child: ChildProcess, graceMs: number): Promise<Exit> {
  const ended = waitForExit(child);
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  try {
    return await ended;
  } finally {
    clearTimeout(timer);
  }
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a short program to its end and gives back what it printed; a code other than 0 is a result, not an error. */
export function run(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; timeoutMs?: number; input?: string } = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      [...args],
      {
        cwd: options.cwd,
        env: options.env,
        timeout: options.timeoutMs ?? 60_000,
        maxBuffer: 16 * 1024 * 1024,
        encoding: 'utf8',
      },
      (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') {
          reject(new Error(`could not run ${file}: ${error.message}`, { cause: error }));
          return;
        }
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
      },
    );
    // A program may end before it has read its input; how it ended is told by its code.
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}
