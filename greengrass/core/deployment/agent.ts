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
import type { DeploymentNotice, DeploymentReport, DeploymentStage } from '../../model/deployment.js';
import type { Component, Health } from '../component.js';
import { DeploymentError } from '../errors.js';
import type { CloudLink } from './cloud-link.js';
import { DeploymentRun, type DeploymentRunOptions } from './deployment-run.js';
import type { DeploymentMark } from './group-store.js';
import { type Notification, watchNotices } from './notification.js';
import { StatusReporter } from './status-reporter.js';
import { passed, reached } from './steps.js';

export interface DeploymentAgentOptions extends DeploymentRunOptions {
  readonly thingName: string;
  readonly writeDirectory: string;
  readonly link: CloudLink;
}

/** The reason with which the core's stop ends a wait. */
const STOPPING = new Error('the core is stopping');

/**
 * Longest reason that is reported, in characters: it goes into the shadow twice, and a shadow of AWS IoT holds 8 KB.
 * The log has the whole of it.
 */
const MAX_REASON_LENGTH = 1000;

export class DeploymentAgent implements Component {
  readonly name = 'GGDeploymentAgent';
  readonly #options: DeploymentAgentOptions;
  readonly #reporter: StatusReporter;
  readonly #run: DeploymentRun;
  #current: DeploymentNotice | undefined;
  #next: DeploymentNotice | undefined;
  #running: Promise<void> | undefined;
  #stopped = true;
  /** What an earlier process left has been looked for. */
  #isTidy = false;
  /** The group on the disk can't run whole: its deployment is run once more, when the cloud speaks of it. */
  #isToMend = false;
  /** Ends the running deployment's wait for the cloud. */
  #wait = new AbortController();
  /** How the deployment ended that this core dealt with last. */
  #done: DeploymentReport | undefined;

  constructor(options: DeploymentAgentOptions) {
    this.#options = options;
    this.#reporter = new StatusReporter(options);
    this.#run = new DeploymentRun(options);
  }

  async start(): Promise<void> {
    const { thingName, link, logger } = this.#options;
    this.#stopped = false;
    this.#reporter.start();
    const deployed = this.#deployed();
    const committed =
      deployed && ({ deploymentId: deployed.deploymentId, status: 'Success', stage: 'commit' } as const);
    this.#done = this.#reporter.pending ?? committed;
    const lack = this.#run.lack();
    this.#isToMend = lack !== undefined;
    if (lack !== undefined) {
      logger.error({ reason: lack }, 'The group on the disk is not whole; its deployment is run once more.');
    }
    watchNotices(thingName, link, logger, (notification) => this.#notified(notification));
  }

  /**
   * A deployment that has begun to change the core comes to its end first: a half-swapped group is nobody's friend. One
   * that still fetches is broken off, and run after the next start.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#next = undefined;
    this.#wait.abort(STOPPING);
    await this.#running;
  }

  health(): Health {
    return { healthy: true };
  }

  #deployed(): DeploymentMark | undefined {
    try {
      return this.#options.groupStore.deployed();
    } catch (error) {
      this.#options.logger.error(
        { reason: (error as Error).message },
        'Which deployment the group came with is not known.',
      );
      return undefined;
    }
  }

  #notified({ notice, finished }: Notification): void {
    const { deploymentId } = notice;
    if (this.#stopped || deploymentId === this.#current?.deploymentId) return;
    const isToMend = this.#isToMend && notice.groupVersionId !== undefined;
    this.#isToMend = false;
    if (isToMend) {
      this.#begin(notice);
      return;
    }
    // Nothing is to be done: what a power cut left of a deployment at its end can go.
    if (!this.#isTidy && !this.#running && [finished, this.#done?.deploymentId].includes(deploymentId)) {
      this.#run.tidy();
      this.#isTidy = true;
    }
    if (deploymentId === finished) return;
    if (deploymentId === this.#done?.deploymentId) {
      // It was dealt with, but the cloud does not know: a power cut came between the commit and the report.
      if (!this.#reporter.pending) this.#reporter.report(this.#done);
      return;
    }
    this.#begin(notice);
  }

  #begin(notice: DeploymentNotice): void {
    const { deploymentId } = notice;
    this.#next = notice;
    // What has touched nothing yet makes way at once: it may be waiting for a line that is down.
    this.#wait.abort(
      new DeploymentError('Superseded', `deployment ${deploymentId}, which is newer, took its place`),
    );
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined;
    });
  }

  async #work(): Promise<void> {
    for (let notice = this.#take(); notice; notice = this.#take()) {
      this.#current = notice;
      this.#wait = new AbortController();
      const report = await this.#deal(notice);
      this.#current = undefined;
      if (report === undefined) return;
      this.#done = report;
      this.#reporter.report(report);
      passed('reported');
    }
  }

  #take(): DeploymentNotice | undefined {
    const notice = this.#next;
    this.#next = undefined;
    return notice;
  }

  /** Runs the deployment and answers its final report, or undefined where the core's stop broke it off. Never throws. */
  async #deal(notice: DeploymentNotice): Promise<DeploymentReport | undefined> {
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
      await reached('notice');
      if (notice.groupVersionId === undefined) await this.#run.reset(notice, enter);
      else await this.#run.deploy(notice, enter, this.#wait.signal);
      logger.info(facts, 'Deployment succeeded.');
      return { deploymentId, status: 'Success', stage };
    } catch (error) {
      if (error === STOPPING) {
        logger.info({ ...facts, stage }, 'Deployment was broken off; it is run after the next start.');
        return undefined;
      }
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
}
