/**
 * Reports the state of a deployment to the cloud until the cloud has it: the report is kept in a file, sent with QoS 1
 * at once and after every connect, and forgotten when `update/accepted` has come back for it.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import { type DeploymentReport, deploymentReport, deploymentThingName } from '../../model/deployment.js';
import { shadowTopic } from '../../model/topic.js';
import type { CloudLink } from './cloud-link.js';

export class StatusReporter {
  readonly #file: string;
  readonly #thing: string;
  readonly #link: CloudLink;
  readonly #logger: Logger;
  #pending: DeploymentReport | undefined;
  #sequence = 0;

  constructor(options: { thingName: string; writeDirectory: string; link: CloudLink; logger: Logger }) {
    this.#file = join(options.writeDirectory, 'var', 'state', 'deployment-report.json');
    this.#thing = deploymentThingName(options.thingName);
    this.#link = options.link;
    this.#logger = options.logger;
  }

  start(): void {
    this.#pending = this.#load();
    this.#link.subscribe(shadowTopic(this.#thing, 'update', 'accepted'), (_topic, payload) =>
      this.#accepted(payload),
    );
    this.#link.subscribe(shadowTopic(this.#thing, 'update', 'rejected'), (_topic, payload) =>
      this.#logger.error(
        { answer: payload.toString('utf8').slice(0, 300) },
        'failed to report deployment status back to cloud',
      ),
    );
    this.#link.onConnected(() => this.#send());
  }

  /** The last report that the cloud may not have yet. */
  get pending(): DeploymentReport | undefined {
    return this.#pending;
  }

  report(report: DeploymentReport): void {
    this.#pending = report;
    // Only the end of a deployment must outlive the process; the stages on the way are news of the moment.
    if (report.status !== 'InProgress') this.#keep(report);
    this.#send();
  }

  /** A full disk must not end a deployment that is at its end: the report is then kept in memory alone. */
  #keep(report: DeploymentReport): void {
    try {
      writeFileAtomic(this.#file, JSON.stringify(report), 0o600);
    } catch (error) {
      this.#logger.error(
        { reason: (error as Error).message },
        'Deployment report could not be kept on disk.',
      );
    }
  }

  #send(): void {
    const report = this.#pending;
    if (!report) return;
    this.#sequence += 1;
    const reported = { stage: null, errorMessage: null, errorDetails: null, ...report };
    const body = JSON.stringify({ state: { reported }, clientToken: this.#token() });
    this.#link
      .publish(shadowTopic(this.#thing, 'update'), body, 1)
      .catch((error: Error) =>
        this.#logger.debug(
          { deploymentId: report.deploymentId, errorString: error.message },
          'Deployment status waits for the cloud.',
        ),
      );
  }

  #token(): string {
    return `report-${process.pid}-${this.#sequence}`;
  }

  #accepted(payload: Buffer): void {
    let token: unknown;
    try {
      token = (JSON.parse(payload.toString('utf8')) as { clientToken?: unknown }).clientToken;
    } catch {
      return;
    }
    if (token !== this.#token() || !this.#pending || this.#pending.status === 'InProgress') return;
    this.#pending = undefined;
    try {
      rmSync(this.#file, { force: true });
    } catch (error) {
      // It is sent once more after the next start, which the cloud takes as it took this one.
      this.#logger.error({ reason: (error as Error).message }, 'Deployment report could not be removed.');
    }
  }

  #load(): DeploymentReport | undefined {
    try {
      return checkJson(deploymentReport, readFileSync(this.#file, 'utf8'), this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#logger.warn(
          { reason: (error as Error).message },
          'The kept deployment report is unreadable and was dropped.',
        );
      }
      return undefined;
    }
  }
}
