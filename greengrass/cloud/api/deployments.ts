/** The operations on deployments of groups. */
import type { CreateDeploymentRequest, ResetDeploymentsRequest } from '@aws-sdk/client-greengrass';
import type { Deployment } from '../store/store.js';
import { GreengrassArns } from './containers.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { GroupDeployments } from './group-deployments.js';
import type { Call, Operation } from './operation.js';
import { GREENGRASS_PAGES, page } from './paging.js';
import { body } from './request-shapes.js';

const creation = body<CreateDeploymentRequest>('CreateDeployment');
const reset = body<ResetDeploymentsRequest>('ResetDeployments');

export function deploymentOperations(context: ApiContext, groupDeployments: GroupDeployments): Operation[] {
  const deployments = new Deployments(context, groupDeployments);
  const list = '/greengrass/groups/:groupId/deployments';
  return [
    {
      name: 'CreateDeployment',
      method: 'POST',
      path: list,
      isIdempotent: true,
      handle: (call) => deployments.create(call),
    },
    { name: 'ListDeployments', method: 'GET', path: list, handle: (call) => deployments.list(call) },
    {
      name: 'GetDeploymentStatus',
      method: 'GET',
      path: `${list}/:deploymentId/status`,
      handle: (call) => deployments.status(call),
    },
    {
      name: 'ResetDeployments',
      method: 'POST',
      path: [`${list}/$reset`, `${list}/%24reset`],
      isIdempotent: true,
      handle: (call) => deployments.reset(call),
    },
  ];
}

class Deployments {
  readonly #context: ApiContext;
  readonly #deployments: GroupDeployments;
  readonly #arns: GreengrassArns;

  constructor(context: ApiContext, deployments: GroupDeployments) {
    this.#context = context;
    this.#deployments = deployments;
    this.#arns = new GreengrassArns(context.region, context.accountId);
  }

  async create(call: Call): Promise<object> {
    const request = call.json(creation);
    return this.#describe(await this.#deployments.deploy(call.param('groupId'), request));
  }

  async reset(call: Call): Promise<object> {
    const { Force: isForced = false } = call.json(reset);
    return this.#describe(await this.#deployments.reset(call.param('groupId'), isForced));
  }

  async status(call: Call): Promise<object> {
    const id = call.param('deploymentId');
    const deployment = await this.#context.store.deployments.find(call.param('groupId'), id);
    if (!deployment) throw refusal('InvalidInputException', `Deployment '${id}' does not exist.`);
    const { errorMessage, errorDetails } = deployment;
    return {
      DeploymentStatus: deployment.status,
      DeploymentType: deployment.type,
      ...(errorMessage === undefined ? {} : { ErrorMessage: errorMessage }),
      ...(errorDetails === undefined || errorDetails.length === 0 ? {} : { ErrorDetails: errorDetails }),
      UpdatedAt: deployment.updatedAt,
    };
  }

  /** Newest first; an unknown group has none, which is not an error. */
  async list(call: Call): Promise<object> {
    const groupId = call.param('groupId');
    const { items, next } = await page(call, {
      scope: `deployments/${groupId}`,
      names: GREENGRASS_PAGES,
      fetch: (limit, after) => this.#context.store.deployments.list(groupId, limit, after),
      keyOf: ({ deploymentId }) => deploymentId,
    });
    return {
      Deployments: items.map((deployment) => ({
        CreatedAt: deployment.createdAt,
        ...this.#describe(deployment),
        DeploymentType: deployment.type,
        GroupArn:
          deployment.groupVersionId === undefined
            ? this.#arns.container('groups', groupId)
            : this.#arns.version('groups', groupId, deployment.groupVersionId),
      })),
      ...(next === undefined ? {} : { NextToken: next }),
    };
  }

  #describe({ groupId, deploymentId }: Deployment): object {
    return { DeploymentArn: this.#arns.deployment(groupId, deploymentId), DeploymentId: deploymentId };
  }
}
