/** The cloud's side of a deployment for tests: a shadow service behind the link, documents and zips behind the service. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { CloudLink } from '../../greengrass/core/deployment/cloud-link.js';
import { ServiceError } from '../../greengrass/core/service-client.js';
import {
  type DeploymentNotice,
  type DeploymentReport,
  deploymentReport,
  deploymentThingName,
} from '../../greengrass/model/deployment.js';
import { type KeptShadow, runShadowOperation } from '../../greengrass/model/shadow-operations.js';
import { parseShadowTopic } from '../../greengrass/model/topic.js';

export const CORE = 'test-core';
const THING = deploymentThingName(CORE);

export class CloudSide implements CloudLink {
  /** Reports in the order in which the shadow took them. */
  readonly reports: DeploymentReport[] = [];
  /** How often the core asked for the shadow. */
  asked = 0;
  online = true;
  /** Reports of the core arrive, but their answers get lost. */
  losesAnswers = false;
  /** Its HTTPS side can't be reached. */
  unreachable = false;
  readonly documents = new Map<string, Buffer>();
  readonly zips = new Map<string, Buffer>();
  #handlers: Array<[string, (topic: string, payload: Buffer) => void]> = [];
  #listeners: Array<() => void> = [];
  #shadow: KeptShadow | undefined;

  subscribe(filter: string, handler: (topic: string, payload: Buffer) => void): void {
    this.#handlers.push([filter, handler]);
  }

  onConnected(listener: () => void): void {
    this.#listeners.push(listener);
    if (this.online) listener();
  }

  async publish(topic: string, payload: Buffer | string, qos: 0 | 1): Promise<void> {
    if (!this.online) throw new Error('not connected');
    expect(qos).toBe(1);
    const request = parseShadowTopic(topic);
    if (request?.thingName !== THING || request.kind) throw new Error(`not for ${topic}`);
    if (request.operation === 'get') this.asked++;
    const body = Buffer.from(payload);
    this.#run(request.operation, body, !(this.losesAnswers && request.operation === 'update'));
  }

  /** As after a reconnect. */
  connect(): void {
    this.online = true;
    for (const listener of this.#listeners) listener();
  }

  /** Forgets who listens: the core's process ended. */
  forget(): void {
    this.#handlers = [];
    this.#listeners = [];
  }

  /** Writes a notice into the shadow. */
  notify(notice: object): void {
    const body = JSON.stringify({
      state: { desired: { groupVersionId: null, documentSha256: null, ...notice } },
    });
    this.#run('update', Buffer.from(body), this.online);
  }

  /** A whole deployment: the document, and the notice of it. */
  deploy(deploymentId: string, document: object, overrides: Partial<DeploymentNotice> = {}): void {
    const bytes = Buffer.from(JSON.stringify(document));
    this.documents.set(deploymentId, bytes);
    this.notify({
      wireVersion: 1,
      deploymentId,
      deploymentType: 'NewDeployment',
      groupId: 'group',
      groupVersionId: 'version',
      documentSha256: sha256(bytes),
      ...overrides,
    });
  }

  /** How the core last ended a deployment, if it did. */
  endOf(deploymentId: string): DeploymentReport | undefined {
    return this.reports.findLast(
      (report) => report.deploymentId === deploymentId && report.status !== 'InProgress',
    );
  }

  /** Overwrites what the core reported, as if it had never come. */
  loseReports(): void {
    this.#run('update', Buffer.from('{"state":{"reported":null}}'), false);
    this.reports.length = 0;
  }

  async groupDocument(groupId: string, deploymentId: string): Promise<Buffer> {
    this.#reach();
    const found = this.documents.get(deploymentId);
    if (!found || groupId !== 'group') throw new Error(`no deployment ${deploymentId}`);
    return found;
  }

  async downloadArtifact(_group: string, _deployment: string, digest: string, file: string): Promise<void> {
    this.#reach();
    const found = this.zips.get(digest);
    if (!found) throw new Error(`no artifact ${digest}`);
    writeFileSync(file, found);
  }

  #reach(): void {
    if (this.unreachable) throw new ServiceError('connect ECONNREFUSED', true);
  }

  #run(operation: 'get' | 'update' | 'delete', payload: Buffer, answers: boolean): void {
    const outcome = runShadowOperation(THING, operation, payload, this.#shadow, 1_700_000_000);
    if (outcome.store) this.#shadow = outcome.store;
    const text = payload.toString();
    if (operation === 'update' && text.includes('"reported":{')) {
      if (!outcome.accepted) throw new Error(`report refused: ${outcome.body.toString()}`);
      const { state } = JSON.parse(text) as { state: { reported: unknown } };
      this.reports.push(deploymentReport.parse(state.reported));
    }
    if (!answers) return;
    for (const publication of outcome.publications) {
      setImmediate(() => {
        if (!this.online) return;
        for (const [filter, handler] of this.#handlers) {
          if (filter === publication.topic) handler(publication.topic, publication.payload);
        }
      });
    }
  }
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
