/**
 * A function's runtime name → interpreter on this device and command line. The core's configuration may say which
 * interpreter serves a name. Otherwise it is the one of that very name, as in V1; where that is not installed, another
 * version of the same language serves. Whoever serves under another name is told with a warning.
 */
import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EXECUTABLE_RUNTIME } from '../../model/function-config.js';
import { DeploymentError } from '../errors.js';
import { isCustomRuntime } from './custom-runtime.js';
import type { DeployedFunction } from './deployed-function.js';
import { FOLDERS, findInterpreter, installed, javaPrograms, javaRelease } from './interpreters.js';
import { foreignMachine } from './program-machine.js';

export interface RuntimeCommand {
  /** Program and arguments as the worker sees them. */
  readonly argv: readonly string[];
  /** The runtime speaks frames with the core. */
  readonly hasDoor?: boolean;
  /** Set where another interpreter than the named one serves, or a program is for another machine. */
  readonly warning?: string;
}

/** Runtime name → name or absolute path of the interpreter (config.json, `runtime.interpreters`). */
export type InterpreterMap = Readonly<Record<string, string>>;

interface Language {
  readonly pattern: RegExp;
  /** Names that may serve in place of the literal one, best first. */
  readonly substitutes: (runtime: string) => string[];
  readonly install: (runtime: string) => string;
  /** What stands between interpreter and `--handler`. */
  readonly script: (deployed: DeployedFunction, paths: WorkerPaths, interpreter: string) => string[];
  /** The runtime speaks frames with the core. */
  readonly hasDoor: boolean;
  /** Part of the runtimes that is there only where it could be built. */
  readonly needs?: string;
}

const python = (_deployed: DeployedFunction, { runtimes }: WorkerPaths) => [
  '-u',
  join(runtimes, 'python/lambda_runtime.py'),
];

const JAVA_RUNTIME = 'java/greengrass-java-runtime.jar';

const LANGUAGES: readonly Language[] = [
  {
    pattern: /^python2\.7$/,
    substitutes: () => ['python2.7', 'python2'],
    install: () => 'install Python 2.7 as /usr/local/bin/python2.7',
    script: python,
    hasDoor: true,
  },
  {
    pattern: /^python3\.\d+$/,
    substitutes: (runtime) => [runtime, 'python3', ...installed(/^python3\.\d+$/)],
    install: (runtime) => `install ${runtime} or any Python 3, for example: apt-get install python3`,
    script: python,
    hasDoor: true,
  },
  {
    pattern: /^nodejs\d+(\.\w+)?$/,
    substitutes: (runtime) => [runtime, 'node', 'nodejs', ...installed(/^nodejs\d+(\.\w+)?$/)],
    install: () => 'install Node.js so that /usr/bin/node or /usr/local/bin/node exists',
    script: (_deployed, { runtimes }) => [join(runtimes, 'nodejs/lambda_nodejs_runtime.js')],
    hasDoor: true,
  },
  {
    pattern: /^java\d+(\.al2)?$/,
    substitutes: (runtime) => [runtime, ...javaPrograms(releaseOf(runtime))],
    install: (runtime) =>
      `install Java ${releaseOf(runtime)} or newer, for example: apt-get install default-jre-headless`,
    script: javaArguments,
    hasDoor: false,
    needs: JAVA_RUNTIME,
  },
];

const SUPPORTED = [
  'python2.7',
  'python3.x',
  'nodejs<version>.x',
  'java<version>',
  'provided[.al2|.al2023]',
  EXECUTABLE_RUNTIME,
];

function releaseOf(runtime: string): number {
  return Number.parseInt(runtime.slice('java'.length), 10);
}

/** The JVM can't see the container's limit and would size itself by the whole machine. */
function javaArguments(
  { memoryKb }: DeployedFunction,
  { code, runtimes }: WorkerPaths,
  interpreter: string,
): string[] {
  const classes = [join(runtimes, JAVA_RUNTIME), code, `${code}/*`, `${code}/lib/*`];
  return [
    ...(memoryKb === undefined ? [] : [`-XX:MaxRAM=${memoryKb}k`]),
    // Log levels are file descriptors, which Java gives to nobody by their number.
    ...((javaRelease(interpreter) ?? 8) >= 9 ? ['--add-opens=java.base/java.io=ALL-UNNAMED'] : []),
    ...['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto', '-Djava.net.preferIPv4Stack=true'],
    ...['-cp', classes.join(':'), 'com.amazonaws.greengrass.runtime.LambdaRuntime'],
  ];
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
export function runtimeCommand(
  deployed: DeployedFunction,
  runtimesFolder: string,
  interpreters: InterpreterMap = {},
): RuntimeCommand {
  const { runtime, handler, execArgs } = deployed;
  const paths = workerPaths(deployed, runtimesFolder);
  if (runtime === EXECUTABLE_RUNTIME) return ownProgram(deployed, handler, paths);
  if (isCustomRuntime(runtime)) return ownProgram(deployed, 'bootstrap', paths);
  const language = LANGUAGES.find(({ pattern }) => pattern.test(runtime));
  if (!language)
    fail(deployed, `the runtime ${runtime} is not supported; supported are ${SUPPORTED.join(', ')}`);
  const interpreter = interpreterOf(deployed, language, interpreters[runtime]);
  if (language.needs !== undefined && !existsSync(join(runtimesFolder, language.needs))) {
    fail(
      deployed,
      `${join(runtimesFolder, language.needs)} is missing: install a Java compiler (apt-get install default-jdk-headless) and run node greengrass/dev/native.mjs`,
    );
  }
  const script = language.script(deployed, paths, interpreter);
  const argv = [interpreter, ...script, `--handler=${handler}`, ...execArgs];
  const command = language.hasDoor ? { argv, hasDoor: true } : { argv };
  if (isSame(interpreter, runtime)) return command;
  const why = interpreters[runtime] === undefined ? 'is not installed' : 'is mapped by runtime.interpreters';
  return { ...command, warning: `${runtime} ${why}; ${interpreter} serves in its place` };
}

function interpreterOf(
  deployed: DeployedFunction,
  { substitutes, install }: Language,
  mapped: string | undefined,
): string {
  const { runtime } = deployed;
  const found = findInterpreter(mapped === undefined ? substitutes(runtime) : [mapped]);
  if (found) return found;
  if (mapped !== undefined) {
    fail(
      deployed,
      `runtime.interpreters in config.json gives ${mapped} for ${runtime}, which is not there or not for everyone to run: install it or change the entry`,
    );
  }
  const places = FOLDERS.join(' ');
  return fail(
    deployed,
    `cannot find executable ${runtime} under any of the provided paths [${places}]: ${install(runtime)}`,
  );
}

function isSame(interpreter: string, runtime: string): boolean {
  if (basename(interpreter) === runtime) return true;
  return runtime.startsWith('java') && javaRelease(interpreter) === releaseOf(runtime);
}

function ownProgram(deployed: DeployedFunction, name: string, paths: WorkerPaths): RuntimeCommand {
  const argv = [program(deployed, name, paths), ...deployed.execArgs];
  const machine = foreignMachine(join(deployed.codeFolder, name));
  if (machine === undefined) return { argv };
  return { argv, warning: `${name} is a program for ${machine}, this device is ${process.arch}` };
}

/** A file of the function's own code, which must be there and executable. */
function program(deployed: DeployedFunction, name: string, { code }: WorkerPaths): string {
  const path = join(deployed.codeFolder, name);
  const stat = statSync(path, { throwIfNoEntry: false });
  const isInside = path.startsWith(`${deployed.codeFolder}/`);
  if (!isInside || !stat?.isFile()) {
    fail(
      deployed,
      `its code has no file ${name}, which ${deployed.runtime} runs: put it at the top of the zip`,
    );
  }
  if ((stat.mode & 0o001) === 0) {
    fail(deployed, `${name} is not executable: chmod +x ${name} before it is zipped`);
  }
  return join(code, name);
}

function fail({ arn }: DeployedFunction, reason: string): never {
  throw new DeploymentError('InterpreterNotFound', `unable to create worker process for ${arn}. ${reason}`);
}
