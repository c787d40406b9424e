/** Bulk deployments: started from an input file, one at a time for the account, followed, stopped. */
import { randomUUID } from 'node:crypto';
import type { StartBulkDeploymentRequest } from '@aws-sdk/client-greengrass';
import type { BulkDeployment, BulkResult } from '../store/bulk-deployments.js';
import type { BulkRunner } from './bulk-runner.js';
import { GreengrassArns } from './containers.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { parseObjectUri } from './objects.js';
import type { Call, Operation } from './operation.js';
import { GREENGRASS_PAGES, page } from './paging.js';
import { body } from './request-shapes.js';
import { ROLE_ARN } from './roles.js';

const start = body<StartBulkDeploymentRequest>('StartBulkDeployment');

export function bulkOperations(context: ApiContext, runner: BulkRunner): Operation[] {
  const bulk = new BulkDeployments(context, runner);
  const list = '/greengrass/bulk/deployments';
  const one = `${list}/:bulkId`;
  return [
    {
      name: 'StartBulkDeployment',
      method: 'POST',
      path: list,
      isIdempotent: true,
      handle: (call) => bulk.start(call),
    },
    { name: 'ListBulkDeployments', method: 'GET', path: list, handle: (call) => bulk.list(call) },
    {
      name: 'GetBulkDeploymentStatus',
      method: 'GET',
      path: `${one}/status`,
      handle: (call) => bulk.status(call),
    },
    {
      name: 'ListBulkDeploymentDetailedReports',
      method: 'GET',
      path: `${one}/detailed-reports`,
      handle: (call) => bulk.reports(call),
    },
    {
      name: 'StopBulkDeployment',
      method: 'PUT',
      path: [`${one}/$stop`, `${one}/%24stop`],
      handle: (call) => bulk.stop(call),
    },
  ];
}

class BulkDeployments {
  readonly #context: ApiContext;
  readonly #runner: BulkRunner;
  readonly #arns: GreengrassArns;

  constructor(context: ApiContext, runner: BulkRunner) {
    this.#context = context;
    this.#runner = runner;
    this.#arns = new GreengrassArns(context.region, context.accountId);
  }

  /** The input is read afterwards: what is wrong with it shows in the status. */
  async start(call: Call): Promise<object> {
    const { ExecutionRoleArn: executionRoleArn, InputFileUri: inputFileUri, tags = {} } = call.json(start);
    if (!ROLE_ARN.test(executionRoleArn)) {
      throw refusal('BadRequestException', 'ExecutionRoleArn: That role ARN is invalid.');
    }
    if (!parseObjectUri(inputFileUri)) {
      throw refusal(
        'BadRequestException',
        'InputFileUri: must be the address of an object in S3, such as https://BUCKET.s3.REGION.amazonaws.com/KEY or s3://BUCKET/KEY.',
      );
    }
    const bulkId = randomUUID();
    const bulk: BulkDeployment = {
      bulkId,
      status: 'Initializing',
      createdAt: new Date().toISOString(),
      inputFileUri,
      executionRoleArn,
      tags,
      recordsProcessed: 0,
      invalidRecords: 0,
      retries: 0,
    };
    if (!(await this.#context.store.bulkDeployments.create(bulk))) {
      throw refusal(
        'ConcurrentDeployment',
        'Concurrent Deployment Error: another bulk deployment is not at its end. Wait for it, or stop it (StopBulkDeployment).',
      );
    }
    this.#runner.wake();
    return { BulkDeploymentArn: this.#arns.bulkDeployment(bulkId), BulkDeploymentId: bulkId };
  }

  async status(call: Call): Promise<object> {
    const bulk = await this.#find(call);
    return {
      BulkDeploymentMetrics: {
        InvalidInputRecords: bulk.invalidRecords,
        RecordsProcessed: bulk.recordsProcessed,
        RetryAttempts: bulk.retries,
      },
      BulkDeploymentStatus: bulk.status,
      CreatedAt: bulk.createdAt,
      ...errorsOf(bulk),
      tags: bulk.tags,
    };
  }

  async list(call: Call): Promise<object> {
    const { items, next } = await page(call, {
      scope: 'bulk',
      names: GREENGRASS_PAGES,
      fetch: (limit, after) => this.#context.store.bulkDeployments.list(limit, after),
      keyOf: ({ bulkId }) => bulkId,
    });
    return {
      BulkDeployments: items.map(({ bulkId, createdAt }) => ({
        BulkDeploymentArn: this.#arns.bulkDeployment(bulkId),
        BulkDeploymentId: bulkId,
        CreatedAt: createdAt,
      })),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  /** Newest first. The status is that of the deployment now. */
  async reports(call: Call): Promise<object> {
    const { bulkId } = await this.#find(call);
    const { items, next } = await page(call, {
      scope: `bulk/${bulkId}`,
      names: GREENGRASS_PAGES,
      fetch: (limit, after) =>
        this.#context.store.bulkDeployments.listResults(
          bulkId,
          limit,
          after === undefined ? undefined : Number(after),
        ),
      keyOf: ({ number }) => String(number),
    });
    return {
      Deployments: await Promise.all(items.map((result) => this.#report(result))),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  /** Deployments that were made go on. */
  async stop(call: Call): Promise<object> {
    const { bulkId } = await this.#find(call);
    const isStopping = await this.#context.store.bulkDeployments.setStatus(
      bulkId,
      ['Initializing', 'Running'],
      'Stopping',
    );
    const now = (await this.#find(call)).status;
    if (!isStopping && now !== 'Stopping') {
      throw refusal('InvalidInputException', 'Cannot change state of finished execution.');
    }
    this.#runner.wake();
    return {};
  }

  async #report(result: BulkResult): Promise<object> {
    const { deploymentId, groupId, groupVersionId, createdAt } = result;
    const group = {
      CreatedAt: createdAt,
      DeploymentType: 'NewDeployment',
      GroupArn: this.#arns.version('groups', groupId, groupVersionId),
    };
    if (deploymentId === undefined) return { ...group, DeploymentStatus: 'Failure', ...errorsOf(result) };
    const deployment = await this.#context.store.deployments.findById(deploymentId);
    return {
      ...group,
      DeploymentArn: this.#arns.deployment(groupId, deploymentId),
      // The account stands before the id in reports of bulk deployments, and nowhere else.
      DeploymentId: `${this.#context.accountId}:${deploymentId}`,
      DeploymentStatus: deployment?.status ?? 'Failure',
      ...errorsOf(deployment ?? {}),
    };
  }

  async #find(call: Call): Promise<BulkDeployment> {
    const id = call.param('bulkId');
    const bulk = await this.#context.store.bulkDeployments.find(id);
    if (!bulk) throw refusal('ResourceNotFoundException', `Bulk deployment ${id} does not exist.`);
    return bulk;
  }
}

function errorsOf({ errorMessage, errorDetails }: Pick<BulkResult, 'errorMessage' | 'errorDetails'>): object {
  return {
    ...(errorDetails === undefined || errorDetails.length === 0 ? {} : { ErrorDetails: errorDetails }),
    ...(errorMessage === undefined ? {} : { ErrorMessage: errorMessage }),
  };
}
