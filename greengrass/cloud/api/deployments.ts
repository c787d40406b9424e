/**
 * Deployments of groups. One is under way for a group at a time: a newer one takes the place of one that waits for its
 * core, so that a core that is away blocks nobody for good. A reset without Force is refused meanwhile, as in V1.
 */
import { randomUUID } from 'node:crypto';
import type { CreateDeploymentRequest, ResetDeploymentsRequest } from '@aws-sdk/client-greengrass';
import { checkJson } from '../../lib/check.js';
import { type DeploymentType, deploymentType } from '../../model/deployment.js';
import type { Deployment } from '../store/store.js';
import { GreengrassArns } from './containers.js';
import type { ApiContext } from './context.js';
import { coreContent } from './definition-content.js';
import { refusal } from './errors.js';
import { groupVersionContent } from './groups.js';
import type { Call, Operation } from './operation.js';
import { GREENGRASS_PAGES, page } from './paging.js';
import { body } from './request-shapes.js';

const creation = body<CreateDeploymentRequest>('CreateDeployment');
const reset = body<ResetDeploymentsRequest>('ResetDeployments');

export function deploymentOperations(context: ApiContext): Operation[] {
  const deployments = new Deployments(context);
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
  readonly #arns: GreengrassArns;
  /** The end of the last change of each group: changes of one group go one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(context: ApiContext) {
    this.#context = context;
    this.#arns = new GreengrassArns(context.region, context.accountId);
  }

  async create(call: Call): Promise<object> {
    const request = call.json(creation);
    const groupId = call.param('groupId');
    const type = requestedType(request.DeploymentType);
    const previous =
      type === 'Redeployment' ? await this.#previous(groupId, request.DeploymentId) : undefined;
    const versionId = await this.#checkVersion(groupId, previous?.groupVersionId ?? request.GroupVersionId);
    return this.#inTurn(groupId, async () => {
      const open = await this.#context.store.deployments.findOpen(groupId);
      const deployment = this.#new(groupId, type, { groupVersionId: versionId });
      await this.#context.store.deployments.create(deployment);
      await this.#context.deployer.deploy(deployment);
      if (open && (await this.#statusOf(deployment)) !== 'Failure') await this.#supersede(open, deployment);
      return this.#describe(deployment);
    });
  }

  async reset(call: Call): Promise<object> {
    const { Force: isForced = false } = call.json(reset);
    const groupId = call.param('groupId');
    const { store, deployer } = this.#context;
    if (!(await store.containers.find('groups', groupId))) {
      throw refusal('ResourceNotFoundException', 'That Group Definition does not exist.');
    }
    return this.#inTurn(groupId, async () => {
      const open = await store.deployments.findOpen(groupId);
      if (!isForced) await this.#checkReset(groupId, open);
      const coreThingName = await this.#lastCore(groupId);
      const type = isForced ? 'ForceResetDeployment' : 'ResetDeployment';
      const deployment = this.#new(groupId, type, coreThingName === undefined ? {} : { coreThingName });
      await store.deployments.create(deployment);
      if (open) await this.#supersede(open, deployment);
      await deployer.reset(deployment);
      return this.#describe(deployment);
    });
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

  /** The deployment that a Redeployment repeats. */
  async #previous(groupId: string, deploymentId: string | undefined): Promise<Deployment> {
    if (!deploymentId) throw missing('DeploymentId');
    const previous = await this.#context.store.deployments.find(groupId, deploymentId);
    if (previous?.groupVersionId === undefined) {
      throw refusal('InvalidInputException', `Deployment ID '${deploymentId}' is invalid.`);
    }
    return previous;
  }

  /** Group, version, core, in the order in which V1's service looked. Answers the version's id. */
  async #checkVersion(groupId: string, versionId: string | undefined): Promise<string> {
    const { containers } = this.#context.store;
    if (!(await containers.find('groups', groupId))) {
      throw refusal('ResourceNotFoundException', 'That group definition does not exist.');
    }
    if (!versionId) throw missing('GroupVersionId');
    const version = await containers.findVersion('groups', groupId, versionId);
    if (!version) {
      throw refusal(
        'ResourceNotFoundException',
        `Version ${versionId} of Group Definition ${groupId} does not exist.`,
      );
    }
    if (!(await this.#mayHaveCore(version.content))) throw missingCore();
    return versionId;
  }

  /** False where the version has no core. A core definition that was deleted since is the deployment's to find. */
  async #mayHaveCore(content: string): Promise<boolean> {
    const { CoreDefinitionVersionArn: arn } = checkJson(groupVersionContent, content, 'group version');
    const reference = arn === undefined ? undefined : this.#arns.parseDefinitionVersion('cores', arn);
    if (!reference) return false;
    const { containers } = this.#context.store;
    const version = await containers.findVersion('cores', reference.id, reference.version);
    if (!version) return true;
    return (checkJson(coreContent, version.content, 'core definition version').Cores ?? []).length > 0;
  }

  async #checkReset(groupId: string, open: Deployment | undefined): Promise<void> {
    if (open) {
      throw refusal(
        'ConcurrentDeployment',
        `Deployment ${open.deploymentId} of the group is ${open.status}: a reset can't be started meanwhile. Wait for its end, or reset with Force.`,
      );
    }
    if (!(await this.#context.store.deployments.findDeployed(groupId))) {
      throw refusal(
        'ResourceNotFoundException',
        `Group id: ${groupId} has not been deployed or has already been reset.`,
      );
    }
  }

  /** The core that the group's newest deployment with one went to: it is to be told of the reset. */
  async #lastCore(groupId: string): Promise<string | undefined> {
    const recent = await this.#context.store.deployments.list(groupId, 100);
    return recent.find(({ coreThingName }) => coreThingName !== undefined)?.coreThingName;
  }

  async #statusOf({ deploymentId }: Deployment): Promise<Deployment['status'] | undefined> {
    return (await this.#context.store.deployments.findById(deploymentId))?.status;
  }

  async #supersede(open: Deployment, by: Deployment): Promise<void> {
    const message = `Deployment ${open.deploymentId} of type ${open.type} for group ${open.groupId} was superseded by deployment ${by.deploymentId} before its core had finished it.`;
    await this.#context.store.deployments.setStatus(open.deploymentId, 'Failure', new Date().toISOString(), {
      message,
      details: [{ DetailedErrorCode: 'SUPERSEDED', DetailedErrorMessage: message }],
    });
  }

  #new(
    groupId: string,
    type: DeploymentType,
    fields: { groupVersionId?: string; coreThingName?: string },
  ): Deployment {
    const now = new Date().toISOString();
    const deploymentId = randomUUID();
    return { deploymentId, groupId, ...fields, type, status: 'Building', createdAt: now, updatedAt: now };
  }

  #describe({ groupId, deploymentId }: Deployment): object {
    return { DeploymentArn: this.#arns.deployment(groupId, deploymentId), DeploymentId: deploymentId };
  }

  async #inTurn<T>(groupId: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(groupId) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(groupId, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(groupId) === turn) this.#turns.delete(groupId);
    }
  }
}

function requestedType(given: string | undefined): 'NewDeployment' | 'Redeployment' {
  const type = deploymentType.safeParse(given);
  if (!type.success) {
    throw refusal(
      'InvalidInputException',
      `That deployment type is not valid.  Please specify one of the following types: {${deploymentType.options.join(',')}}.`,
    );
  }
  if (type.data === 'NewDeployment' || type.data === 'Redeployment') return type.data;
  throw refusal('InvalidInputException', `A ${type.data} is made with ResetDeployments.`);
}

function missing(parameter: string) {
  return refusal(
    'InvalidInputException',
    `Your request is missing the following required parameter(s): {${parameter}}.`,
  );
}

/** The message is itself a JSON text; clients of V1 parse it. */
function missingCore() {
  const detail = {
    DetailedErrorCode: 'GG-303',
    DetailedErrorMessage: 'You need a Greengrass Core in this Group before you can deploy.',
  };
  return refusal('MissingCoreException', JSON.stringify({ ErrorDetails: [detail] }));
}
