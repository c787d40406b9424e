/**
 * Deployments on the cloud's side: build the document, tell the core through the shadow of `<core>-gda`, follow what the
 * core reports there (WIRE.md §1).
 */
import { createHash } from 'node:crypto';
import type { Logger } from '../../lib/log.js';
import { thingNameOf } from '../../model/arn.js';
import { deploymentReport, deploymentThingName, type ErrorDetail, isFinal } from '../../model/deployment.js';
import type { ShadowDocument } from '../../model/shadow-document.js';
import type { CloudShadows } from '../iot/shadows.js';
import type { Exclusive } from '../store/exclusive.js';
import type { VersionSource } from '../store/found-versions.js';
import type { SecretSource } from '../store/secret-source.js';
import { type Deployment, groupLock, type Store } from '../store/store.js';
import { BuildError, GroupBuilder } from './builder.js';
import type { ModelShelf } from './models.js';

/** Groups, and deployments of a group, looked at together. */
const PAGE = 100;
/** So often one replica looks for what another has left unfinished. */
const WATCH_MS = 60_000;

export interface DeployerOptions {
  readonly store: Store;
  readonly shadows: Pick<CloudShadows, 'update' | 'onUpdated'>;
  readonly exclusive: Exclusive;
  /** True where cores are told by another system than the store: a deployment is durable before that. */
  readonly areShadowsElsewhere?: boolean;
  readonly secrets: SecretSource;
  readonly models: ModelShelf;
  /** True where other processes work on the same database: each takes up what another one's end has left. */
  readonly hasReplicas?: boolean;
  readonly region: string;
  readonly accountId: string;
  readonly logger: Logger;
}

export class Deployer {
  readonly #options: DeployerOptions;
  readonly #builder: GroupBuilder;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: DeployerOptions) {
    this.#options = options;
    this.#builder = new GroupBuilder(options);
  }

  /**
   * Listens to the reports of cores, then takes up the deployments that the last stop of the service, perhaps a kill,
   * left open. Never rejects.
   */
  async follow(): Promise<void> {
    this.#options.shadows.onUpdated((thingName, document) => {
      this.#reported(thingName, document).catch((error: Error) =>
        this.#options.logger.error(
          { thingName, reason: error.message },
          'Report of a core could not be taken in.',
        ),
      );
    });
    await this.#takeUpOrLog();
    if (!this.#options.hasReplicas) return;
    this.#watch = setInterval(() => void this.#takeUpOrLog(), WATCH_MS);
    this.#watch.unref();
  }

  stop(): void {
    clearInterval(this.#watch);
  }

  /**
   * Builds, keeps the deployment, and tells the core. The deployment is not in the store before: as long as it is built
   * there is nothing that the end of this process could leave behind. Answers whether the core was told; otherwise the
   * deployment is kept as a Failure with its reasons. `versions`: where they are read.
   */
  async deploy(deployment: Deployment, versions?: VersionSource): Promise<boolean> {
    const { store, logger } = this.#options;
    const built = await this.#build(deployment, versions);
    // A Failure tells nobody: what follows it is the answer itself.
    const isFollowed = built.coreThingName !== undefined && !this.#options.areShadowsElsewhere;
    await store.deployments.create(built, { isFollowed });
    const { deploymentId, groupId, groupVersionId, coreThingName } = built;
    if (coreThingName === undefined) return false;
    try {
      await this.#notify(coreThingName, built);
    } catch (error) {
      await this.#fail(deploymentId, error as Error);
      return false;
    }
    logger.info(
      { deploymentId, groupId, groupVersionId, core: coreThingName },
      'Deployment handed to the core.',
    );
    return true;
  }

  /** The deployment with its document, InProgress; or as a Failure, without a core. */
  async #build(deployment: Deployment, versions?: VersionSource): Promise<Deployment> {
    const { deploymentId, groupId, groupVersionId } = deployment;
    try {
      if (groupVersionId === undefined) throw new Error('a deployment needs a group version');
      const group = await this.#builder.build({
        ...{ groupId, groupVersionId, deploymentId },
        ...(versions ? { versions } : {}),
      });
      const coreThingName = thingNameOf(group.Cores[0]?.thingArn ?? '');
      if (coreThingName === undefined) throw new Error('the group has no core');
      const document = JSON.stringify(group, null, 2);
      const updatedAt = new Date().toISOString();
      return { ...deployment, status: 'InProgress', updatedAt, document, coreThingName };
    } catch (error) {
      const { message, details } = this.#reasonsOf(deploymentId, error as Error);
      const updatedAt = new Date().toISOString();
      return { ...deployment, status: 'Failure', updatedAt, errorMessage: message, errorDetails: details };
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
      await this.#notify(coreThingName, deployment);
    } catch (error) {
      await this.#fail(deploymentId, error as Error);
    }
  }

  async #lastCore(groupId: string): Promise<string | undefined> {
    const deployments = await this.#options.store.deployments.list(groupId, 100);
    return deployments.find((deployment) => deployment.coreThingName !== undefined)?.coreThingName;
  }

  async #takeUpOrLog(): Promise<void> {
    try {
      await this.#takeUp();
    } catch (error) {
      const reason = (error as Error).message;
      this.#options.logger.error({ reason }, 'Open deployments could not be taken up again.');
    }
  }

  /** Under the group's lock, which a deployment that is being built holds: what is Building then has nobody left. */
  async #takeUp(): Promise<void> {
    const { store, exclusive } = this.#options;
    for (let groups = await store.deployments.groupsWithOpen(PAGE); groups.length > 0; ) {
      for (const groupId of groups) {
        await exclusive.run(groupLock(groupId), () => this.#takeUpGroup(groupId));
      }
      groups = await store.deployments.groupsWithOpen(PAGE, groups.at(-1));
    }
  }

  async #takeUpGroup(groupId: string): Promise<void> {
    const [newest, ...older] = await this.#options.store.deployments.list(groupId, PAGE);
    if (newest && !isFinal(newest.status)) await this.#resumeOrLog(newest);
    for (const deployment of older) {
      if (!isFinal(deployment.status)) await this.#interrupt(deployment, 'a newer one took its place');
    }
  }

  /** One deployment whose core can't be told must not keep the others from being taken up. */
  async #resumeOrLog(deployment: Deployment): Promise<void> {
    try {
      await this.#resume(deployment);
    } catch (error) {
      const { deploymentId } = deployment;
      const reason = (error as Error).message;
      this.#options.logger.error({ deploymentId, reason }, 'Open deployment could not be taken up again.');
    }
  }

  /** Tells the core where it was not told; takes in its report where that was not done. */
  async #resume(deployment: Deployment): Promise<void> {
    const { deploymentId, groupId, status, coreThingName } = deployment;
    if (status === 'Building' || coreThingName === undefined) {
      await this.#interrupt(deployment, 'the service stopped while it was built');
      return;
    }
    const thingName = deploymentThingName(coreThingName);
    const document = (await this.#options.store.shadows.find(thingName))?.document;
    const told = document?.state.desired;
    if (document && told?.deploymentId === deploymentId) await this.#reported(thingName, document);
    // A core that another group has been deployed to since is left to it.
    else if (told === undefined || told.groupId === groupId) await this.#notify(coreThingName, deployment);
  }

  async #interrupt({ deploymentId, type, groupId }: Deployment, reason: string): Promise<void> {
    const message = `Deployment ${deploymentId} of type ${type} for group ${groupId} failed error: ${reason}. Deploy again.`;
    await this.#options.store.deployments.setStatus(deploymentId, 'Failure', new Date().toISOString(), {
      message,
      details: [{ DetailedErrorCode: 'INTERRUPTED', DetailedErrorMessage: message }],
    });
  }

  async #notify(coreThingName: string, deployment: Deployment): Promise<void> {
    const { deploymentId, type: deploymentType, groupId, groupVersionId = null, document } = deployment;
    const documentSha256 =
      document === undefined ? null : createHash('sha256').update(document).digest('hex');
    const notice = { deploymentId, deploymentType, groupId, groupVersionId, documentSha256 };
    const desired = { wireVersion: 1, ...notice };
    const body = Buffer.from(JSON.stringify({ state: { desired } }));
    const answer = await this.#options.shadows.update(deploymentThingName(coreThingName), body);
    if (!answer.accepted) throw new Error(`the core could not be told: ${answer.body.toString('utf8')}`);
  }

  async #fail(deploymentId: string, error: Error): Promise<void> {
    const reasons = this.#reasonsOf(deploymentId, error);
    const at = new Date().toISOString();
    await this.#options.store.deployments.setStatus(deploymentId, 'Failure', at, reasons);
  }

  #reasonsOf(deploymentId: string, error: Error): { message: string; details: readonly ErrorDetail[] } {
    const details: ErrorDetail[] =
      error instanceof BuildError
        ? error.problems.map(({ code, message }) => ({
            DetailedErrorCode: code,
            DetailedErrorMessage: message,
          }))
        : [{ DetailedErrorCode: 'InternalError', DetailedErrorMessage: error.message }];
    if (!(error instanceof BuildError))
      this.#options.logger.error({ deploymentId, stack: error.stack }, 'Deployment could not be built.');
    return { message: error.message, details };
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
