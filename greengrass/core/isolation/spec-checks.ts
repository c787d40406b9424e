/** What a worker must not be able to ask for, checked before anything is made: small named checks, all run. */
import type { WorkerSpec } from './worker-process.js';

type SpecCheck = (spec: WorkerSpec) => string[];

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Places that the container makes itself. */
const TAKEN = ['/', '/proc', '/sys', '/dev', '/lambda', '/runtime', '/tmp', '/run'];
/** Nothing may be mounted below these either; V1 allows the host's /dev/shm. */
const CLOSED = /^\/(proc|sys|lambda|runtime|dev(?!\/shm$))\//;
const MAX_ID = 2 ** 32 - 2;

function isPlainPath(path: string): boolean {
  return (
    path.startsWith('/') &&
    !path.includes('\0') &&
    !path.split('/').some((part) => part === '..' || part === '.')
  );
}

const workerIdIsUuid: SpecCheck = ({ workerId }) =>
  UUID.test(workerId) ? [] : [`worker id "${workerId}" is no UUID`];

const pathsArePlain: SpecCheck = ({ argv, codeFolder, runtimeFolder, mounts, devices }) =>
  [
    argv[0] ?? '',
    codeFolder,
    runtimeFolder,
    ...mounts.flatMap((m) => [m.source, m.destination]),
    ...devices.map((d) => d.path),
  ]
    .filter((path) => !isPlainPath(path))
    .map((path) => `"${path}" must be an absolute path without "." and ".."`);

const mountsLeaveSystemPlacesAlone: SpecCheck = ({ mounts }) =>
  mounts
    .map(({ destination }) => (destination.length > 1 ? destination.replace(/\/+$/, '') : destination))
    .filter((destination) => TAKEN.includes(destination) || CLOSED.test(destination))
    .map((destination) => `a volume can't be mounted at ${destination}`);

const environmentIsClean: SpecCheck = ({ env }) =>
  Object.entries(env)
    .filter(([name, value]) => name === '' || /[=\0]/.test(name) || value.includes('\0'))
    .map(([name]) => `environment variable "${name}" has a name or value that can't be set`);

/** Outside of a container a shell sets the environment. */
const namesAreIdentifiers: SpecCheck = ({ env, isolation }) =>
  isolation === 'GreengrassContainer'
    ? []
    : Object.keys(env)
        .filter((name) => name !== '' && !/[=\0]/.test(name) && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        .map((name) => `environment variable "${name}" must be letters, digits and _ without a container`);

const idsAreNumbers: SpecCheck = ({ uid, gid, additionalGids }) =>
  [uid, gid, ...additionalGids]
    .filter((id) => !Number.isInteger(id) || id < 0 || id > MAX_ID)
    .map((id) => `${id} is no user or group id`);

const devicesLieInDev: SpecCheck = ({ devices }) =>
  devices
    .filter(({ path }) => !path.startsWith('/dev/'))
    .map(({ path }) => `device ${path} is not under /dev`);

const CHECKS: readonly SpecCheck[] = [
  workerIdIsUuid,
  pathsArePlain,
  mountsLeaveSystemPlacesAlone,
  environmentIsClean,
  namesAreIdentifiers,
  idsAreNumbers,
  devicesLieInDev,
];

/** Throws with all that is wrong. */
export function checkSpec(spec: WorkerSpec): void {
  const problems = CHECKS.flatMap((specCheck) => specCheck(spec));
  if (problems.length > 0)
    throw new Error(`function ${spec.functionArn} can't be isolated: ${problems.join('; ')}`);
}
