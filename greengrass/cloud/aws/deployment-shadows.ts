/**
 * Notices to cores and their reports by way of AWS IoT's device shadows (WIRE.md §1): in a hybrid installation the MQTT
 * connection of a core ends at AWS. A notice is an UpdateThingShadow. For reports the shadow is read again and again,
 * but only while a deployment is open. AWS IoT needs no thing `<core>-gda` for that.
 */
import { GetThingShadowCommand, UpdateThingShadowCommand } from '@aws-sdk/client-iot-data-plane';
import { checkJson, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import { deploymentThingName, isFinal } from '../../model/deployment.js';
import type { ShadowDocument } from '../../model/shadow-document.js';
import type { ShadowAnswer, ShadowListener } from '../iot/shadows.js';
import type { ShadowStore, Store, StoredShadow } from '../store/store.js';
import type { AwsClients } from './clients.js';
import { type AwsServiceName, callAws, findAtAws, notHere } from './service-calls.js';
import { ShadowFollower } from './shadow-follower.js';

const PAGE = 100;

const part = z.record(z.string(), z.json()).optional();
const shadowPayload = z.object({
  state: z.object({ desired: part, reported: part }),
  metadata: z.object({ desired: part, reported: part }).default({}),
  version: z.number().int(),
});
const notice = z.object({ state: z.object({ desired: z.object({ deploymentId: z.string() }) }) });

export interface DeploymentShadowsOptions {
  readonly clients: AwsClients;
  readonly store: Pick<Store, 'containers' | 'deployments'>;
  readonly logger: Logger;
}

export class AwsDeploymentShadows implements ShadowStore {
  readonly #options: DeploymentShadowsOptions;
  readonly #name: AwsServiceName;
  readonly #listeners = new Set<ShadowListener>();
  readonly #follower: ShadowFollower;

  constructor(options: DeploymentShadowsOptions) {
    this.#options = options;
    this.#name = options.clients.name('AWS IoT data plane', 'iotData');
    this.#follower = new ShadowFollower({
      read: async (thingName) => (await this.find(thingName))?.document,
      isOpen: async (deploymentId) => {
        const deployment = await options.store.deployments.findById(deploymentId);
        return deployment !== undefined && !isFinal(deployment.status);
      },
      onDocument: (thingName, document) => {
        for (const listener of this.#listeners) listener(thingName, document);
      },
      logger: options.logger,
    });
  }

  /**
   * Called with each state of a followed shadow that was not seen before. From the first listener on, the deployments
   * that the last stop of the service left open are followed: no state must pass unheard.
   */
  onUpdated(listener: ShadowListener): void {
    this.#listeners.add(listener);
    if (this.#listeners.size > 1) return;
    this.#followOpen().catch((error: Error) =>
      this.#options.logger.error({ reason: error.message }, 'Open deployments could not be looked for.'),
    );
  }

  stop(): void {
    this.#follower.stop();
  }

  /** Writes the notice and follows the shadow for the core's report. Rejects with an AwsError. */
  async update(thingName: string, payload: Uint8Array): Promise<ShadowAnswer> {
    const { deploymentId } = checkJson(notice, Buffer.from(payload).toString('utf8'), 'notice').state.desired;
    const client = await this.#options.clients.iotData();
    const command = new UpdateThingShadowCommand({ thingName, payload });
    const answer = await callAws(this.#name, 'UpdateThingShadow', `thing ${thingName}`, (abortSignal) =>
      client.send(command, { abortSignal }),
    );
    this.#follower.follow(thingName, deploymentId);
    return { accepted: true, code: 200, body: Buffer.from(answer.payload ?? []) };
  }

  /** The shadow as it is now. Rejects with an AwsError. */
  async find(thingName: string): Promise<StoredShadow | undefined> {
    const client = await this.#options.clients.iotData();
    const subject = `thing ${thingName}`;
    const answer = await findAtAws(this.#name, 'GetThingShadow', subject, (abortSignal) =>
      client.send(new GetThingShadowCommand({ thingName }), { abortSignal }),
    );
    if (!answer?.payload) return undefined;
    const text = Buffer.from(answer.payload).toString('utf8');
    const { state, metadata, version } = checkJson(shadowPayload, text, `shadow of ${subject} at AWS IoT`);
    const document = { state, metadata, version } as ShadowDocument;
    return { document, version };
  }

  readonly replace = notHere('UpdateThingShadow');
  readonly listNames = notHere('ListNamedShadowsForThing');

  async #followOpen(): Promise<void> {
    const { containers, deployments } = this.#options.store;
    for (let groups = await containers.list('groups', PAGE); groups.length > 0; ) {
      for (const { id } of groups) {
        const open = await deployments.findOpen(id);
        if (open?.coreThingName === undefined || open.status !== 'InProgress') continue;
        this.#follower.follow(deploymentThingName(open.coreThingName), open.deploymentId);
      }
      groups = await containers.list('groups', PAGE, groups.at(-1)?.id);
    }
  }
}
