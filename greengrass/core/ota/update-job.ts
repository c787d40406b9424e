/** What a job's document asks of the agent, and why the agent does not do it. Pure. */
import { check } from '../../lib/check.js';
import {
  compareSoftwareVersions,
  isSoftwareVersion,
  type SoftwareUpdateJob,
  softwareUpdateJob,
  UPDATE_OPERATION,
} from '../../model/software-version.js';

/** `uname -m` by Node.js' names. */
const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ['x86_64'],
  arm64: ['aarch64'],
  arm: ['armv7l', 'armv6l'],
};

/** Undefined where the job is somebody else's; an Error where it is ours and can't be read. */
export function updateJobOf(document: unknown): SoftwareUpdateJob | Error | undefined {
  const isOurs = (document as { operation?: unknown } | null | undefined)?.operation === UPDATE_OPERATION;
  if (!isOurs) return undefined;
  try {
    return check(softwareUpdateJob, document, 'the document of the job');
  } catch (error) {
    return error as Error;
  }
}

/** `runs`: the version that would be replaced. */
export function refusalOf(
  job: SoftwareUpdateJob,
  runs: string,
  arch: string = process.arch,
): string | undefined {
  if (!ARCHITECTURES[arch]?.includes(job.architecture)) {
    return `the update is for ${job.architecture}, but this core is ${ARCHITECTURES[arch]?.[0] ?? arch}`;
  }
  if (job.package.version !== job.version) {
    return `the job speaks of version ${job.version}, its package of ${job.package.version}`;
  }
  // What was signed long ago stays signed: without this, who holds the cloud could bring back old faults.
  if (isSoftwareVersion(runs) && compareSoftwareVersions(job.version, runs) < 0) {
    return `version ${job.version} is older than ${runs}, which runs`;
  }
  return undefined;
}
