/**
 * A function's runtime name → interpreter on this device and command line. V1 looks the interpreter up by the literal
 * name (`python3.7`); where that one is not installed, another version of the same language serves, with a warning.
 */
import { accessSync, constants, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXECUTABLE_RUNTIME } from '../../model/function-config.js';
import { DeploymentError } from '../errors.js';
import type { DeployedFunction } from './deployed-function.js';

/** V1's places. */
const FOLDERS = ['/usr/bin', '/usr/local/bin'] as const;

export interface RuntimeCommand {
  /** Program and arguments as the worker sees them. */
  readonly argv: readonly string[];
  /** Set where another interpreter than the named one serves. */
  readonly warning?: string;
}

interface Language {
  readonly pattern: RegExp;
  /** Names that may serve in place of the literal one, best first. */
  readonly substitutes: (runtime: string) => string[];
  readonly install: (runtime: string) => string;
  readonly script: string;
  readonly flags: readonly string[];
}

const LANGUAGES: readonly Language[] = [
  {
    pattern: /^python2\.7$/,
    substitutes: () => ['python2.7', 'python2'],
    install: () => 'install Python 2.7 as /usr/local/bin/python2.7',
    script: 'python/lambda_runtime.py',
    flags: ['-u'],
  },
  {
    pattern: /^python3\.\d+$/,
    substitutes: (runtime) => [runtime, 'python3', ...installed(/^python3\.\d+$/)],
    install: (runtime) => `install ${runtime} or any Python 3, for example: apt-get install python3`,
    script: 'python/lambda_runtime.py',
    flags: ['-u'],
  },
  {
    pattern: /^nodejs\d+(\.\w+)?$/,
    substitutes: (runtime) => [runtime, 'node', 'nodejs', ...installed(/^nodejs\d+(\.\w+)?$/)],
    install: () => 'install Node.js so that /usr/bin/node or /usr/local/bin/node exists',
    script: 'nodejs/lambda_nodejs_runtime.js',
    flags: [],
  },
];

function installed(pattern: RegExp): string[] {
  return FOLDERS.flatMap((folder) => {
    try {
      return readdirSync(folder).filter((name) => pattern.test(name));
    } catch {
      return [];
    }
  }).sort();
}

/** Where the worker finds code and runtimes: in its container, or on the host. */
export interface WorkerPaths {
  readonly code: string;
  readonly runtimes: string;
}

export function workerPaths(deployed: DeployedFunction, runtimesFolder: string): WorkerPaths {
  return deployed.isolation === 'GreengrassContainer'
    ? { code: '/lambda', runtimes: '/runtime' }
    : { code: deployed.codeFolder, runtimes: runtimesFolder };
}

/** Throws DeploymentError where nothing on this device can run the function. */
export function runtimeCommand(deployed: DeployedFunction, runtimesFolder: string): RuntimeCommand {
  const { arn, runtime, handler, execArgs } = deployed;
  const paths = workerPaths(deployed, runtimesFolder);
  if (runtime === EXECUTABLE_RUNTIME) return { argv: [join(paths.code, handler), ...execArgs] };
  const language = LANGUAGES.find(({ pattern }) => pattern.test(runtime));
  if (!language) {
    throw new DeploymentError(
      'InterpreterNotFound',
      `unable to create worker process for ${arn}. the runtime ${runtime} is not supported; supported are python2.7, python3.x, nodejs<version>.x and ${EXECUTABLE_RUNTIME}`,
    );
  }
  const interpreter = find(language.substitutes(runtime));
  if (!interpreter) {
    throw new DeploymentError(
      'InterpreterNotFound',
      `unable to create worker process for ${arn}. cannot find executable ${runtime} under any of the provided paths [${FOLDERS.join(' ')}]: ${language.install(runtime)}`,
    );
  }
  const script = join(paths.runtimes, language.script);
  const argv = [interpreter, ...language.flags, script, `--handler=${handler}`, ...execArgs];
  if (basename(interpreter) === runtime) return { argv };
  return { argv, warning: `${runtime} is not installed; ${interpreter} serves in its place` };
}

function find(names: readonly string[]): string | undefined {
  for (const name of names) {
    for (const folder of FOLDERS) {
      const path = join(folder, name);
      if (isRunnableByAll(path)) return path;
    }
  }
  return undefined;
}

/** The function's user, not root, will run it: every folder on the real path must be open to others. */
function isRunnableByAll(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    let at = realpathSync(path);
    for (;;) {
      if ((statSync(at).mode & 0o001) === 0) return false;
      if (at === '/') return true;
      at = dirname(at);
    }
  } catch {
    return false;
  }
}
