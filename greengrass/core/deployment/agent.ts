/**
 * The deployment agent: one deployment at a time, from the notice to the report.
 *
 *   idle ── notice ──> document ──> artifacts ──> checks ──> prepare ──> swap ──> health ──> commit ──> Success ──> idle
 *                         │             │            │          │          │         │          │
 *                         └─────────────┴────────────┴──────────┴──────────┴─────────┴──────────┴────> Failure ──> idle
 *
 * Until commit the old group is the one on disk, and any failure leaves it running. A notice that comes meanwhile waits;
 * of several only the newest is run.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { checkJson } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import type { DeploymentNotice, DeploymentReport, DeploymentStage } from '../../model/deployment.js';
import { type GroupDocument, groupDocument } from '../../model/group.js';
import { checkGroup, userFunctions } from '../../model/group-checks.js';
import type { Component, Health } from '../component.js';
import { DeploymentError } from '../errors.js';
import type { ServiceClient } from '../service-client.js';
import type { ArtifactStore } from './artifact-store.js';
import type { CloudLink } from './cloud-link.js';
import type { DeploymentMark, GroupStore } from './group-store.js';
import { type Notification, watchNotices } from './notification.js';
import { StatusReporter } from './status-reporter.js';

/** A swap that took place and can still be undone. */
export interface Swap {
  health(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export interface DeploymentAgentOptions {
  readonly thingName: string;
  readonly writeDirectory: string;
  readonly link: CloudLink;
  readonly service: Pick<ServiceClient, 'groupDocument' | 'downloadArtifact'>;
  readonly groupStore: GroupStore;
  readonly artifacts: ArtifactStore;
  /** Puts the group in place of the one that runs; throws DeploymentError with the old one running. */
  readonly swap: (group: GroupDocument, codeFolders: ReadonlyMap<string, string>) => Promise<Swap>;
  /** Stops all functions and deletes what V1's reset deletes (user logs, shadows, server certificate). */
  readonly reset: () => Promise<void>;
  readonly logger: Logger;
}

/**
 * Longest reason that is reported, in characters: it goes into the shadow twice, and a shadow of AWS IoT holds 8 KB.
 * The log has the whole of it.
 */
const MAX_REASON_LENGTH = 1000;

export class DeploymentAgent implements Component {
  readonly name = 'GGDeploymentAgent';
  readonly #options: DeploymentAgentOptions;
  readonly #reporter: StatusReporter;
  #current: DeploymentNotice | undefined;
  #next: DeploymentNotice | undefined;
  #running: Promise<void> | undefined;
  #stopped = true;
  /** How the deployment ended that this core dealt with last. */
  #done: DeploymentReport | undefined;

  constructor(options: DeploymentAgentOptions) {
    this.#options = options;
    this.#reporter = new StatusReporter(options);
  }

  async start(): Promise<void> {
    const { groupStore, thingName, link, logger } = this.#options;
    this.#stopped = false;
    this.#reporter.start();
    const deployed = groupStore.deployed();
    const committed =
      deployed && ({ deploymentId: deployed.deploymentId, status: 'Success', stage: 'commit' } as const);
    this.#done = this.#reporter.pending ?? committed;
    watchNotices(thingName, link, logger, (notification) => this.#notified(notification));
  }

  /** A deployment under way comes to its end first: a half-swapped group is nobody's friend. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#next = undefined;
    await this.#running;
  }

  health(): Health {
    return { healthy: true };
  }

  #notified({ notice, finished }: Notification): void {
    const { deploymentId } = notice;
    if (this.#stopped || deploymentId === this.#current?.deploymentId || deploymentId === finished) return;
    if (deploymentId === this.#done?.deploymentId) {
      // It was dealt with, but the cloud does not know: a power cut came between the commit and the report.
      if (!this.#reporter.pending) this.#reporter.report(this.#done);
      return;
    }
    this.#next = notice;
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
    });
  }

  async #work(): Promise<void> {
    for (let notice = this.#take(); notice; notice = this.#take()) {
      this.#current = notice;
      this.#done = await this.#deal(notice);
      this.#current = undefined;
      this.#reporter.report(this.#done);
    }
  }

  #take(): DeploymentNotice | undefined {
    const notice = this.#next;
    this.#next = undefined;
    return notice;
  }

  /** Runs the deployment and answers its final report. Never throws. */
  async #deal(notice: DeploymentNotice): Promise<DeploymentReport> {
    const { deploymentId, deploymentType, groupId } = notice;
    const { logger } = this.#options;
    const facts = { deploymentId, deploymentType, groupId };
    let stage: DeploymentStage = 'notice';
    const enter = (next: DeploymentStage) => {
      stage = next;
      logger.info({ ...facts, stage }, 'Deployment entered stage.');
      this.#reporter.report({ deploymentId, status: 'InProgress', stage });
    };
    try {
      if (notice.groupVersionId === undefined) await this.#reset(notice, enter);
      else await this.#deploy(notice, enter);
      logger.info(facts, 'Deployment succeeded.');
      return { deploymentId, status: 'Success', stage };
    } catch (error) {
      const { message } = error as Error;
      const failedAt = error instanceof DeploymentError ? error.stage : stage;
      const code = error instanceof DeploymentError ? error.code : 'InternalError';
      logger.error({ deploymentId, errorString: message, code, stage: failedAt }, 'Deployment failed.');
      if (!(error instanceof DeploymentError))
        logger.error({ stack: (error as Error).stack }, 'Unexpected error.');
      const reason =
        message.length > MAX_REASON_LENGTH ? `${message.slice(0, MAX_REASON_LENGTH - 1)}…` : message;
      return {
        deploymentId,
        status: 'Failure',
        stage: failedAt,
        errorMessage: `Deployment ${deploymentId} of type ${deploymentType} for group ${groupId} failed error: ${reason}`,
        errorDetails: [{ DetailedErrorCode: code, DetailedErrorMessage: reason }],
      };
    }
  }

  async #deploy(notice: DeploymentNotice, enter: (stage: DeploymentStage) => void): Promise<void> {
    const { artifacts, swap, service, groupStore, logger } = this.#options;
    const { groupId, deploymentId } = notice;
    enter('document');
    const { bytes, group } = await this.#document(notice);
    enter('artifacts');
    const codeFolders = new Map<string, string>();
    for (const groupFunction of userFunctions(group)) {
      const folder = await artifacts.ensure(groupFunction, (digest, file) =>
        service.downloadArtifact(groupId, deploymentId, digest, file),
      );
      codeFolders.set(groupFunction.FunctionArn, folder);
    }
    enter('checks');
    const problems = checkGroup(group);
    if (problems.length > 0) {
      const texts = problems.map(({ message }) => message).join('; ');
      throw new DeploymentError(
        'GroupConfigInvalid',
        `Error while processing. group config is invalid: ${texts}`,
      );
    }
    enter('prepare');
    const swapped = await swap(group, codeFolders);
    try {
      enter('health');
      await swapped.health();
      enter('commit');
      commit(groupStore, bytes, { deploymentId, groupId });
    } catch (error) {
      await swapped.rollback();
      throw error;
    }
    await swapped.commit();
    try {
      artifacts.sweep([...codeFolders.keys()]);
    } catch (error) {
      // The group runs; old code on the disk can be swept with the next deployment.
      logger.warn({ reason: (error as Error).message }, 'Old code could not be swept.');
    }
  }

  async #document(notice: DeploymentNotice): Promise<{ bytes: Buffer; group: GroupDocument }> {
    const { groupId, deploymentId, documentSha256 } = notice;
    let bytes: Buffer;
    try {
      bytes = await this.#options.service.groupDocument(groupId, deploymentId);
    } catch (error) {
      throw new DeploymentError(
        'DocumentDownloadFailed',
        `unable to execute download step in deployment. error while downloading: error while downloading the Group definition file: ${(error as Error).message}`,
        { cause: error },
      );
    }
    const digest = createHash('sha256').update(bytes).digest();
    if (documentSha256 === undefined || !timingSafeEqual(digest, Buffer.from(documentSha256, 'hex'))) {
      throw new DeploymentError(
        'DocumentDigestMismatch',
        `the group document does not have the digest that the notice names: SHA-256 is ${digest.toString('hex')}, but must be ${documentSha256}`,
      );
    }
    try {
      return { bytes, group: checkJson(groupDocument, bytes.toString('utf8'), 'group document') };
    } catch (error) {
      throw new DeploymentError(
        'DocumentInvalid',
        `unable to execute download step in deployment. error while processing: unable to load the group file downloaded: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  async #reset(
    { deploymentId, groupId }: DeploymentNotice,
    enter: (stage: DeploymentStage) => void,
  ): Promise<void> {
    enter('swap');
    await this.#options.reset();
    enter('commit');
    this.#options.groupStore.reset({ deploymentId, groupId });
    this.#options.artifacts.sweep([]);
  }
}

function commit(groupStore: GroupStore, document: Buffer, mark: DeploymentMark): void {
  try {
    groupStore.commit(document, mark);
  } catch (error) {
    throw new DeploymentError(
      'CommitFailed',
      `the group could not be written to the disk: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
