/** Packages of the core software, for the things of the job that names them, as long as they are at it (WIRE.md §2). */
import { checkJson } from '../../lib/check.js';
import { softwareUpdateJob } from '../../model/software-version.js';
import { isTerminal } from '../store/job-executions.js';
import { artifactAnswer } from './artifact-answer.js';
import { type Answer, type Call, HttpRefusal } from './call.js';
import type { DeviceHttpsOptions, Route } from './https-server.js';

export function softwareRoutes(options: DeviceHttpsOptions): Route[] {
  return [
    {
      method: 'GET',
      path: /^\/greengrass\/jobs\/([\w-]{1,64})\/software\/([0-9a-f]{64})$/,
      handle: (call) => softwarePackage(options, call),
    },
  ];
}

async function softwarePackage(options: DeviceHttpsOptions, call: Call): Promise<Answer> {
  const { store, artifacts } = options;
  const [jobId = '', digest = ''] = call.parameters;
  // V1's agents fetched with a signed address, which no policy of the core spoke of: the job is the right to it.
  if (!(await isAtJob(options, call.certificateId, jobId))) {
    throw new HttpRefusal(403, `Forbidden: the certificate is of no thing that is at job ${jobId}`);
  }
  const job = await store.jobs.find(jobId);
  const named = job && checkJson(softwareUpdateJob, job.document, 'job document').package.sha256;
  const size = named === digest ? await artifacts.size(digest) : undefined;
  if (size === undefined) throw new HttpRefusal(404, `software ${digest} is not part of job ${jobId}`);
  return artifactAnswer(artifacts, { digest, size, range: call.range, contentType: 'application/gzip' });
}

async function isAtJob(
  { store }: DeviceHttpsOptions,
  certificateId: string,
  jobId: string,
): Promise<boolean> {
  for (const thingName of await store.things.thingsOf(certificateId)) {
    const execution = await store.jobExecutions.find(thingName, jobId);
    if (execution && !isTerminal(execution.status)) return true;
  }
  return false;
}
