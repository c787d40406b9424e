/** AWS IoT: jobs, for those who follow the software updates that they have started, or call them off. */
import { z } from '../../lib/check.js';
import { thingArn } from '../../model/arn.js';
import { JobRefusal } from '../iot/jobs/job-answers.js';
import {
  JOB_EXECUTION_STATUSES,
  type JobExecution,
  type JobExecutionStatus,
} from '../store/job-executions.js';
import type { Job } from '../store/jobs.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { epochSeconds, nextPage, thingNameOf } from './iot-names.js';
import type { Call, Operation } from './operation.js';
import { IOT_PAGES, page } from './paging.js';

/** Members of jobProcessDetails by the status that they count. */
const COUNTED: Readonly<Record<JobExecutionStatus, string>> = {
  QUEUED: 'numberOfQueuedThings',
  IN_PROGRESS: 'numberOfInProgressThings',
  SUCCEEDED: 'numberOfSucceededThings',
  FAILED: 'numberOfFailedThings',
  TIMED_OUT: 'numberOfTimedOutThings',
  REJECTED: 'numberOfRejectedThings',
  REMOVED: 'numberOfRemovedThings',
  CANCELED: 'numberOfCanceledThings',
};

const cancellation = z.looseObject({
  comment: z.string().max(2028).optional(),
  reasonCode: z
    .string()
    .regex(/^[\p{Lu}\p{N}_]{1,128}$/u, 'must be of capital letters, digits and _')
    .optional(),
});
const executionCancellation = z.looseObject({
  expectedVersion: z.number().int().optional(),
  statusDetails: z
    .record(z.string().regex(/^[a-zA-Z0-9:_-]{1,128}$/, 'must be a name'), z.string().max(1024))
    .optional(),
});

export function jobOperations({ store, jobs, region, accountId }: ApiContext): Operation[] {
  const arnOf = (jobId: string) => `arn:aws:iot:${region}:${accountId}:job/${jobId}`;

  async function find(call: Call): Promise<Job> {
    const jobId = call.param('jobId');
    const job = await store.jobs.find(jobId);
    if (!job) throw refusal('ResourceNotFoundException', `Job ${jobId} cannot be found.`);
    return job;
  }

  function summarize({ jobId, status, createdAt, updatedAt, completedAt }: Job): object {
    return {
      jobArn: arnOf(jobId),
      jobId,
      targetSelection: 'SNAPSHOT',
      status,
      createdAt: epochSeconds(createdAt),
      lastUpdatedAt: epochSeconds(updatedAt ?? createdAt),
      ...(completedAt === undefined ? {} : { completedAt: epochSeconds(completedAt) }),
    };
  }

  async function describe(job: Job): Promise<object> {
    const { jobId, targets, description, comment, reasonCode } = job;
    const counts = await store.jobExecutions.counts(jobId);
    return {
      ...summarize(job),
      targets,
      description,
      ...(comment === undefined ? {} : { comment }),
      ...(reasonCode === undefined ? {} : { reasonCode }),
      jobProcessDetails: Object.fromEntries(
        JOB_EXECUTION_STATUSES.map((status) => [COUNTED[status], counts[status] ?? 0]),
      ),
    };
  }

  function summaryOf({ status, queuedAt, startedAt, updatedAt }: JobExecution): object {
    return {
      status,
      queuedAt: epochSeconds(queuedAt),
      ...(startedAt === undefined ? {} : { startedAt: epochSeconds(startedAt) }),
      lastUpdatedAt: epochSeconds(updatedAt),
      executionNumber: 1,
    };
  }

  return [
    {
      name: 'ListJobs',
      method: 'GET',
      path: '/jobs',
      handle: async (call) => {
        const { items, next } = await page(call, {
          scope: 'jobs',
          names: IOT_PAGES,
          fetch: (limit, after) => store.jobs.list(limit, after),
          keyOf: ({ jobId }) => jobId,
        });
        const wanted = call.query('status');
        const shown = items.filter(({ status }) => wanted === undefined || status === wanted);
        return { jobs: shown.map(summarize), ...nextPage('nextToken', next) };
      },
    },
    {
      name: 'DescribeJob',
      method: 'GET',
      path: '/jobs/:jobId',
      handle: async (call) => ({ job: await describe(await find(call)) }),
    },
    {
      name: 'GetJobDocument',
      method: 'GET',
      path: '/jobs/:jobId/job-document',
      handle: async (call) => ({ document: (await find(call)).document }),
    },
    {
      name: 'CancelJob',
      method: 'PUT',
      path: '/jobs/:jobId/cancel',
      handle: async (call) => {
        const { jobId, description, status } = await find(call);
        const { comment, reasonCode } = call.json(cancellation);
        const why = {
          ...(comment === undefined ? {} : { comment }),
          ...(reasonCode === undefined ? {} : { reasonCode }),
        };
        if (!(await jobs.cancel(jobId, { force: call.queryFlag('force') === true, ...why }))) {
          throw refusal('InvalidRequestException', `Job ${jobId} is ${status} and can't be cancelled.`);
        }
        return { jobArn: arnOf(jobId), jobId, description };
      },
    },
    {
      name: 'DeleteJob',
      method: 'DELETE',
      path: '/jobs/:jobId',
      status: 200,
      handle: async (call) => {
        const { jobId, status } = await find(call);
        if (status === 'IN_PROGRESS') {
          if (call.queryFlag('force') !== true) {
            throw refusal(
              'InvalidStateTransitionException',
              `Job ${jobId} is in progress: cancel it first, or delete it with force.`,
            );
          }
          await jobs.cancel(jobId, { force: true });
        }
        await store.jobs.delete(jobId);
        return undefined;
      },
    },
    {
      name: 'DescribeJobExecution',
      method: 'GET',
      path: '/things/:thingName/jobs/:jobId',
      handle: async (call) => {
        const thingName = thingNameOf(call);
        const execution = await store.jobExecutions.find(thingName, call.param('jobId'));
        if (!execution) throw noExecution(call);
        const { jobId, statusDetails, version, timesOutAt } = execution;
        const leftMs = timesOutAt === undefined ? undefined : Date.parse(timesOutAt) - Date.now();
        return {
          execution: {
            ...{ jobId, thingArn: thingArn(region, accountId, thingName) },
            ...summaryOf(execution),
            ...{ statusDetails: { detailsMap: statusDetails }, versionNumber: version },
            ...(leftMs === undefined
              ? {}
              : { approximateSecondsBeforeTimedOut: Math.max(0, Math.ceil(leftMs / 1000)) }),
          },
        };
      },
    },
    {
      name: 'CancelJobExecution',
      method: 'PUT',
      path: '/things/:thingName/jobs/:jobId/cancel',
      handle: async (call) => {
        const { expectedVersion, statusDetails } = call.json(executionCancellation);
        try {
          await jobs.cancelExecution(thingNameOf(call), call.param('jobId'), {
            force: call.queryFlag('force') === true,
            ...(expectedVersion === undefined ? {} : { expectedVersion }),
            ...(statusDetails === undefined ? {} : { statusDetails }),
          });
        } catch (error) {
          throw error instanceof JobRefusal ? asApiError(error) : error;
        }
        return undefined;
      },
    },
    {
      name: 'ListJobExecutionsForJob',
      method: 'GET',
      path: '/jobs/:jobId/things',
      handle: async (call) => {
        const { jobId } = await find(call);
        const status = statusOf(call);
        const { items, next } = await page(call, {
          scope: `executions of job ${jobId}`,
          names: IOT_PAGES,
          fetch: (limit, after) => store.jobExecutions.listOfJob(jobId, limit, after, status),
          keyOf: ({ thingName }) => thingName,
        });
        const executionSummaries = items.map((execution) => ({
          thingArn: thingArn(region, accountId, execution.thingName),
          jobExecutionSummary: summaryOf(execution),
        }));
        return { executionSummaries, ...nextPage('nextToken', next) };
      },
    },
    {
      name: 'ListJobExecutionsForThing',
      method: 'GET',
      path: '/things/:thingName/jobs',
      handle: async (call) => {
        const thingName = thingNameOf(call);
        if (!(await store.things.find(thingName))) {
          throw refusal('ResourceNotFoundException', `Thing ${thingName} cannot be found.`);
        }
        const status = statusOf(call);
        const { items, next } = await page(call, {
          scope: `jobs of ${thingName}`,
          names: IOT_PAGES,
          fetch: (limit, after) => store.jobExecutions.listOfThing(thingName, limit, after, status),
          keyOf: ({ jobId }) => jobId,
        });
        const executionSummaries = items.map((execution) => ({
          jobId: execution.jobId,
          jobExecutionSummary: summaryOf(execution),
        }));
        return { executionSummaries, ...nextPage('nextToken', next) };
      },
    },
  ];
}

function statusOf(call: Call): JobExecutionStatus | undefined {
  const wanted = call.query('status');
  if (wanted === undefined) return undefined;
  const known = JOB_EXECUTION_STATUSES.find((status) => status === wanted);
  if (known) return known;
  throw refusal(
    'InvalidRequestException',
    `status: must be one of ${JOB_EXECUTION_STATUSES.join(', ')}, not "${wanted}".`,
  );
}

function noExecution(call: Call): Error {
  return refusal(
    'ResourceNotFoundException',
    `Job ${call.param('jobId')} has no execution for thing ${call.param('thingName')}.`,
  );
}

function asApiError({ code, message }: JobRefusal): Error {
  if (code === 'VersionMismatch') return refusal('VersionConflictException', message);
  if (code === 'ResourceNotFound') return refusal('ResourceNotFoundException', message);
  return refusal('InvalidStateTransitionException', message);
}
