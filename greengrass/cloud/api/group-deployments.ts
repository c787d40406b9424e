/**
 * Deployments of groups, as CreateDeployment, ResetDeployments and bulk deployments make them. One is under way for a
 * group at a time: a newer one takes the place of one that waits for its core, so that a core that is away blocks
 * nobody for good. A reset without Force is refused meanwhile, as in V1.
 */
import { randomUUID } from 'node:crypto';
import { checkJson } from '../../lib/check.js';
import { type DeploymentType, deploymentType } from '../../model/deployment.js';
import { FoundVersions } from '../store/found-versions.js';
import { type Deployment, groupLock } from '../store/store.js';
import { GreengrassArns } from './containers.js';
import type { ApiContext } from './context.js';
import { coreContent } from './definition-content.js';
import { refusal } from './errors.js';
import { groupVersionContent } from './groups.js';

export interface DeploymentRequest {
  readonly DeploymentType?: string;
  readonly DeploymentId?: string;
  readonly GroupVersionId?: string;
}

export class GroupDeployments {
  readonly #context: ApiContext;
  readonly #arns: GreengrassArns;

  constructor(context: ApiContext) {
    this.#context = context;
    this.#arns = new GreengrassArns(context.region, context.accountId);
  }

  /** Checks the request in V1's order, then builds. Answers once the deployment is InProgress or a Failure. */
  async deploy(groupId: string, request: DeploymentRequest): Promise<Deployment> {
    const type = requestedType(request.DeploymentType);
    const previous =
      type === 'Redeployment' ? await this.#previous(groupId, request.DeploymentId) : undefined;
    const versions = new FoundVersions(this.#context.store.containers);
    const wanted = previous?.groupVersionId ?? request.GroupVersionId;
    const versionId = await this.#checkVersion(groupId, wanted, versions);
    return this.#inTurn(groupId, async () => {
      const deployment = newDeployment(groupId, type, { groupVersionId: versionId });
      const isTold = await this.#context.deployer.deploy(deployment, versions);
      if (isTold) await this.#supersede(deployment);
      return deployment;
    });
  }

  /** Forced: in any state of the group, and also where nothing was ever deployed. */
  async reset(groupId: string, isForced: boolean): Promise<Deployment> {
    const { store, deployer } = this.#context;
    if (!(await store.containers.find('groups', groupId))) {
      throw refusal('ResourceNotFoundException', 'That Group Definition does not exist.');
    }
    return this.#inTurn(groupId, async () => {
      const open = await store.deployments.findOpen(groupId);
      if (!isForced) await this.#checkReset(groupId, open);
      const coreThingName = await this.#lastCore(groupId);
      const type = isForced ? 'ForceResetDeployment' : 'ResetDeployment';
      const fields = coreThingName === undefined ? {} : { coreThingName };
      const deployment = newDeployment(groupId, type, fields);
      await store.deployments.create(deployment);
      if (open) await this.#supersede(deployment);
      await deployer.reset(deployment);
      return deployment;
    });
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
  async #checkVersion(
    groupId: string,
    versionId: string | undefined,
    versions: FoundVersions,
  ): Promise<string> {
    const { containers } = this.#context.store;
    const group = await containers.findWithVersion('groups', groupId, versionId ?? '');
    if (!group) throw refusal('ResourceNotFoundException', 'That group definition does not exist.');
    if (!versionId) throw missing('GroupVersionId');
    if (!group.version) {
      throw refusal(
        'ResourceNotFoundException',
        `Version ${versionId} of Group Definition ${groupId} does not exist.`,
      );
    }
    versions.add(group.version);
    if (!(await this.#mayHaveCore(group.version.content, versions))) throw missingCore();
    return versionId;
  }

  /** False where the version has no core. A core definition that was deleted since is the deployment's to find. */
  async #mayHaveCore(content: string, versions: FoundVersions): Promise<boolean> {
    const { CoreDefinitionVersionArn: arn } = checkJson(groupVersionContent, content, 'group version');
    const reference = arn === undefined ? undefined : this.#arns.parseDefinitionVersion('cores', arn);
    if (!reference) return false;
    const version = await versions.findVersion('cores', reference.id, reference.version);
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

  #supersede({ groupId, deploymentId }: Deployment): Promise<void> {
    return this.#context.store.deployments.supersedeOpen(groupId, deploymentId, new Date().toISOString());
  }

  #inTurn<T>(groupId: string, work: () => Promise<T>): Promise<T> {
    return this.#context.exclusive.run(groupLock(groupId), work);
  }
}

function newDeployment(
  groupId: string,
  type: DeploymentType,
  fields: { groupVersionId?: string; coreThingName?: string },
): Deployment {
  const now = new Date().toISOString();
  const deploymentId = randomUUID();
  return { deploymentId, groupId, ...fields, type, status: 'Building', createdAt: now, updatedAt: now };
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
