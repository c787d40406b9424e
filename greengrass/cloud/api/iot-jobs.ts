/** AWS IoT: jobs, for those who follow the software updates that they have started. */
import type { Job } from '../store/jobs.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { epochSeconds, nextPage } from './iot-names.js';
import type { Call, Operation } from './operation.js';
import { IOT_PAGES, page } from './paging.js';

export function jobOperations({ store, region, accountId }: ApiContext): Operation[] {
  async function find(call: Call): Promise<Job> {
    const jobId = call.param('jobId');
    const job = await store.jobs.find(jobId);
    if (!job) throw refusal('ResourceNotFoundException', `Job ${jobId} cannot be found.`);
    return job;
  }

  function summarize({ jobId, status, createdAt }: Job): object {
    return {
      jobArn: `arn:aws:iot:${region}:${accountId}:job/${jobId}`,
      jobId,
      targetSelection: 'SNAPSHOT',
      status,
      createdAt: epochSeconds(createdAt),
      lastUpdatedAt: epochSeconds(createdAt),
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
      handle: async (call) => {
        const job = await find(call);
        return { job: { ...summarize(job), targets: job.targets, description: job.description } };
      },
    },
    {
      name: 'GetJobDocument',
      method: 'GET',
      path: '/jobs/:jobId/job-document',
      handle: async (call) => ({ document: (await find(call)).document }),
    },
  ];
}
