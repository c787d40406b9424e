/** The four requests of a thing for its jobs. Each writes what it changes and answers the body of `accepted`. */
import { isTerminal, type JobExecution } from '../../store/job-executions.js';
import type { Store } from '../../store/store.js';
import { executionOf, JobRefusal, stateOf, summaryOf } from './job-answers.js';
import { describeRequest, plainRequest, readRequest, startRequest, updateRequest } from './job-requests.js';
import type { JobRequest } from './job-topics.js';

type JobsStore = Pick<Store, 'jobs' | 'jobExecutions'>;

/** `pending`: the thing's jobs that are not through, the next one first. Rejects with JobRefusal or CheckError. */
export function answerTo(
  request: JobRequest,
  payload: Buffer,
  pending: readonly JobExecution[],
  store: JobsStore,
): Promise<object> {
  switch (request.kind) {
    case 'getPending':
      return getPending(payload, pending);
    case 'startNext':
      return startNext(payload, pending, store);
    case 'describe':
      return describeExecution(request, payload, pending, store);
    case 'update':
      return update(request, payload, store);
  }
}

async function getPending(payload: Buffer, pending: readonly JobExecution[]): Promise<object> {
  readRequest(plainRequest, payload);
  const of = (wanted: JobExecution['status']) =>
    pending.filter(({ status }) => status === wanted).map(summaryOf);
  return { inProgressJobs: of('IN_PROGRESS'), queuedJobs: of('QUEUED') };
}

/** What is in progress already is given once more, unchanged: the thing may have lost it. */
async function startNext(
  payload: Buffer,
  [next]: readonly JobExecution[],
  store: JobsStore,
): Promise<object> {
  const { statusDetails = {}, stepTimeoutInMinutes } = readRequest(startRequest, payload);
  if (!next) return {};
  const at = new Date().toISOString();
  const started: JobExecution =
    next.status === 'IN_PROGRESS'
      ? next
      : {
          ...withTimeOut(next, stepTimeoutInMinutes),
          ...{
            status: 'IN_PROGRESS',
            statusDetails,
            version: next.version + 1,
            startedAt: at,
            updatedAt: at,
          },
        };
  if (started !== next) await store.jobExecutions.put(started);
  return { execution: executionOf(started, (await store.jobs.find(started.jobId))?.document) };
}

async function describeExecution(
  { thingName, jobId }: { thingName: string; jobId: string },
  payload: Buffer,
  [next]: readonly JobExecution[],
  store: JobsStore,
): Promise<object> {
  const { executionNumber, includeJobDocument } = readRequest(describeRequest, payload);
  if (jobId === '$next' && !next) return {};
  const found = jobId === '$next' ? next : await find(store, thingName, jobId, executionNumber);
  if (!found) throw notFound(thingName, jobId);
  if (isTerminal(found.status)) {
    throw new JobRefusal(
      'TerminalStateReached',
      `The job ${jobId} is ${found.status} for ${thingName}.`,
      found,
    );
  }
  const document = includeJobDocument ? (await store.jobs.find(found.jobId))?.document : undefined;
  return { execution: executionOf(found, document) };
}

async function update(
  { thingName, jobId }: { thingName: string; jobId: string },
  payload: Buffer,
  store: JobsStore,
): Promise<object> {
  const request = readRequest(updateRequest, payload);
  const now = await find(store, thingName, jobId, request.executionNumber);
  if (!now) throw notFound(thingName, jobId);
  if (request.expectedVersion !== undefined && request.expectedVersion !== now.version) {
    throw new JobRefusal(
      'VersionMismatch',
      `The version of the job execution is ${now.version}, not ${request.expectedVersion}.`,
      now,
    );
  }
  if (isTerminal(now.status)) {
    throw new JobRefusal('InvalidStateTransition', `Can't go from ${now.status} to ${request.status}.`, now);
  }
  const at = new Date().toISOString();
  const changed: JobExecution = {
    ...withTimeOut(now, request.stepTimeoutInMinutes),
    status: request.status,
    statusDetails: request.statusDetails ?? now.statusDetails,
    version: now.version + 1,
    startedAt: now.startedAt ?? at,
    updatedAt: at,
  };
  await store.jobExecutions.put(changed);
  const document = request.includeJobDocument ? (await store.jobs.find(jobId))?.document : undefined;
  return {
    ...(request.includeJobExecutionState ? { executionState: stateOf(changed) } : {}),
    ...(document === undefined ? {} : { jobDocument: JSON.parse(document) as unknown }),
  };
}

/** With another time to be through: none where it is -1, the old one where none is given. */
function withTimeOut(execution: JobExecution, minutes: number | undefined): JobExecution {
  if (minutes === undefined) return execution;
  const { timesOutAt: _before, ...others } = execution;
  if (minutes < 0) return others;
  return { ...others, timesOutAt: new Date(Date.now() + minutes * 60_000).toISOString() };
}

/** A job is executed once by a thing: there is no second number. */
async function find(
  store: JobsStore,
  thingName: string,
  jobId: string,
  executionNumber: number | undefined,
): Promise<JobExecution | undefined> {
  return executionNumber === undefined || executionNumber === 1
    ? store.jobExecutions.find(thingName, jobId)
    : undefined;
}

function notFound(thingName: string, jobId: string): JobRefusal {
  return new JobRefusal('ResourceNotFound', `There is no job ${jobId} for ${thingName}.`);
}
