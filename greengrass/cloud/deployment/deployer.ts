/**
 * Deployments on the cloud's side: build the document, tell the core through the shadow of `<core>-gda`, follow what the
 * core reports there (WIRE.md §1).
 */
import { createHash } from 'node:crypto';
import type { Logger } from '../../lib/log.js';
import { thingNameOf } from '../../model/arn.js';
import { deploymentReport, deploymentThingName, type ErrorDetail } from '../../model/deployment.js';
import type { ShadowDocument } from '../../model/shadow-document.js';
import type { CloudShadows } from '../iot/shadows.js';
import type { Deployment, Store } from '../store/store.js';
import { BuildError, GroupBuilder } from './builder.js';

export interface DeployerOptions {
  readonly store: Store;
  readonly shadows: CloudShadows;
  readonly region: string;
  readonly accountId: string;
  readonly logger: Logger;
}

export class Deployer {
  readonly #options: DeployerOptions;
  readonly #builder: GroupBuilder;

  constructor(options: DeployerOptions) {
    this.#options = options;
    this.#builder = new GroupBuilder(options);
  }

  /** Listens to the reports of cores. */
  follow(): void {
    this.#options.shadows.onUpdated((thingName, document) => {
      this.#reported(thingName, document).catch((error: Error) =>
        this.#options.logger.error(
          { thingName, reason: error.message },
          'Report of a core could not be taken in.',
        ),
      );
    });
  }

  /** Settles when the deployment is InProgress, or Failure where the group can't be deployed. */
  async deploy(deployment: Deployment): Promise<void> {
    const { store, logger } = this.#options;
    const { deploymentId, groupId, groupVersionId } = deployment;
    try {
      if (groupVersionId === undefined) throw new Error('a deployment needs a group version');
      const group = await this.#builder.build({ groupId, groupVersionId, deploymentId });
      const coreThingName = thingNameOf(group.Cores[0]?.thingArn ?? '');
      if (coreThingName === undefined) throw new Error('the group has no core');
      const text = JSON.stringify(group, null, 2);
      await store.deployments.setDocument(deploymentId, text, coreThingName);
      await store.deployments.setStatus(deploymentId, 'InProgress', new Date().toISOString());
      await this.#notify(coreThingName, {
        deploymentId,
        deploymentType: deployment.type,
        groupId,
        groupVersionId,
        documentSha256: createHash('sha256').update(text).digest('hex'),
      });
      logger.info(
        { deploymentId, groupId, groupVersionId, core: coreThingName },
        'Deployment handed to the core.',
      );
    } catch (error) {
      await this.#fail(deploymentId, error as Error);
    }
  }

  /** Tells the core that ran the group to clean up. A forced reset does not wait for it. */
  async reset(deployment: Deployment): Promise<void> {
    const { store } = this.#options;
    const { deploymentId, groupId, type } = deployment;
    const at = () => new Date().toISOString();
    try {
      const coreThingName = deployment.coreThingName ?? (await this.#lastCore(groupId));
      if (coreThingName === undefined) {
        await store.deployments.setStatus(deploymentId, 'Success', at());
        return;
      }
      await store.deployments.setStatus(
        deploymentId,
        type === 'ForceResetDeployment' ? 'Success' : 'InProgress',
        at(),
      );
      await this.#notify(coreThingName, { deploymentId, deploymentType: type, groupId });
    } catch (error) {
      await this.#fail(deploymentId, error as Error);
    }
  }

  async #lastCore(groupId: string): Promise<string | undefined> {
    const deployments = await this.#options.store.deployments.list(groupId, 100);
    return deployments.find((deployment) => deployment.coreThingName !== undefined)?.coreThingName;
  }

  async #notify(coreThingName: string, notice: Record<string, string>): Promise<void> {
    const desired = { wireVersion: 1, groupVersionId: null, documentSha256: null, ...notice };
    const body = Buffer.from(JSON.stringify({ state: { desired } }));
    const answer = await this.#options.shadows.update(deploymentThingName(coreThingName), body);
    if (!answer.accepted) throw new Error(`the core could not be told: ${answer.body.toString('utf8')}`);
  }

  async #fail(deploymentId: string, error: Error): Promise<void> {
    const details: ErrorDetail[] =
      error instanceof BuildError
        ? error.problems.map(({ code, message }) => ({
            DetailedErrorCode: code,
            DetailedErrorMessage: message,
          }))
        : [{ DetailedErrorCode: 'InternalError', DetailedErrorMessage: error.message }];
    if (!(error instanceof BuildError))
      this.#options.logger.error({ deploymentId, stack: error.stack }, 'Deployment could not be built.');
    await this.#options.store.deployments.setStatus(deploymentId, 'Failure', new Date().toISOString(), {
      message: error.message,
      details,
    });
  }

  /** Only the core of the deployment that is open may move it, and only to its end. */
  async #reported(thingName: string, document: ShadowDocument): Promise<void> {
    const result = deploymentReport.safeParse(document.state.reported);
    if (!result.success || result.data.status === 'InProgress') return;
    const { deploymentId, status, errorMessage, errorDetails } = result.data;
    const { store, logger } = this.#options;
    const deployment = await store.deployments.findById(deploymentId);
    const core = deployment && (deployment.coreThingName ?? (await this.#lastCore(deployment.groupId)));
    if (!deployment || core === undefined || thingName !== deploymentThingName(core)) return;
    const error =
      status === 'Failure'
        ? { message: errorMessage ?? 'the core gave no reason', details: errorDetails ?? [] }
        : undefined;
    const moved = await store.deployments.setStatus(deploymentId, status, new Date().toISOString(), error);
    if (moved) logger.info({ deploymentId, status, errorMessage }, 'Deployment ended.');
  }
}
