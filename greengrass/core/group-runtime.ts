/**
 * One group at a time: prepares the new one beside the one that runs, swaps, and knows the way back.
 *
 *   prepare (functions, table)  nothing that runs is touched; any error leaves the old group as it was
 *   swap                        routes and device list in one step each, then new and changed functions start
 *   health                      pinned functions stay up for the health window
 *   commit | rollback           what is gone stops | the old routes, devices and functions come back
 *
 * What did not change is not touched: devices stay connected, functions keep their processes.
 */
import type { Logger } from '../lib/log.js';
import { parseGroupVersionArn } from '../model/arn.js';
import type { CoreConfig } from '../model/core-config.js';
import { EMPTY_GROUP, type GroupDocument } from '../model/group.js';
import type { MqttServer } from './broker/mqtt-server.js';
import type { ServerCertificate } from './certificates/server-certificate.js';
import { deployedFunctions } from './deployed-functions.js';
import { DeploymentError } from './errors.js';
import type { CloudEndpoint } from './iot-client/cloud-endpoint.js';
import type { Functions } from './lambda/functions.js';
import type { LogFiles } from './logs/log-files.js';
import type { Router } from './router/router.js';
import { compileTable } from './router/subscription-table.js';

export interface GroupParts {
  readonly config: CoreConfig;
  readonly router: Router;
  readonly mqttServer: MqttServer;
  readonly functions: Functions;
  readonly cloud: CloudEndpoint;
  readonly certificate: ServerCertificate;
  readonly logs: LogFiles;
  readonly logger: Logger;
  /** Called with each group that takes over, for the parts that only look at it (IP detector, spooler). */
  readonly onGroup: (group: GroupDocument) => void;
  /** Hosts that the local MQTT server answers at. */
  readonly hosts: () => string[];
  /** Why this host can't run containers, or undefined. */
  readonly containerProblem: () => string | undefined;
  /** How long pinned functions must stay up before a deployment counts as a success, in ms. */
  readonly healthWindowMs: number;
}

/** A swap that took place and can still be undone. Exactly one of commit and rollback is called. */
export interface Swap {
  /** Resolves when pinned functions stayed up for the health window; rejects with DeploymentError. */
  health(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

export class GroupRuntime {
  #active: GroupDocument = EMPTY_GROUP;

  constructor(private readonly parts: GroupParts) {}

  get active(): GroupDocument {
    return this.#active;
  }

  /** Id of the group that runs, or undefined before the first deployment. */
  get groupId(): string | undefined {
    return this.#active.Arn === undefined ? undefined : parseGroupVersionArn(this.#active.Arn)?.groupId;
  }

  /** Throws DeploymentError, in which case the old group runs as before. */
  async swap(group: GroupDocument, codeFolders: ReadonlyMap<string, string>): Promise<Swap> {
    const { functions, config, containerProblem } = this.parts;
    const deployed = deployedFunctions(group, codeFolders, config);
    const inContainers = deployed.filter(({ isolation }) => isolation === 'GreengrassContainer');
    const problem = inContainers.length > 0 ? containerProblem() : undefined;
    if (problem !== undefined) {
      throw new DeploymentError(
        'IsolationNotAvailable',
        `function(s) [${inContainers.map(({ arn }) => arn).join(' ')}] need containers, which this host does not offer: ${problem}`,
      );
    }
    const plan = await functions.prepare(deployed);
    await this.#prepareServer(group);
    const old = this.#active;
    this.#route(group);
    try {
      const applied = await functions.apply(plan);
      return {
        health: () => this.#health(applied.unhealthy),
        commit: () => applied.commit(),
        rollback: async () => {
          this.#route(old);
          await applied.rollback();
        },
      };
    } catch (error) {
      this.#route(old);
      throw error;
    }
  }

  /** Devices need a server certificate of this group's CA; without devices the server may wait. */
  async #prepareServer(group: GroupDocument): Promise<void> {
    const { certificate, mqttServer, hosts } = this.parts;
    const groupId = group.Arn === undefined ? undefined : parseGroupVersionArn(group.Arn)?.groupId;
    if (groupId === undefined) return;
    try {
      await certificate.ensure(groupId, hosts());
    } catch (error) {
      // An older certificate still serves; the certificate manager goes on trying.
      if (certificate.load() === undefined) {
        throw new DeploymentError(
          'ServerCertificateFailed',
          `the certificate of the local MQTT server could not be obtained: ${(error as Error).message}`,
          { cause: error },
        );
      }
    }
    await mqttServer.start();
  }

  /** Routes and device list of `group` take over. */
  #route(group: GroupDocument): void {
    const { router, mqttServer, cloud, logs, onGroup, functions } = this.parts;
    const table = compileTable(group.GroupDefinitions.Subscriptions.Content);
    const before = endpointKeys(this.#active);
    const now = endpointKeys(group);
    for (const key of now.devices) if (!before.devices.has(key)) router.register(key, mqttServer.endpoint);
    for (const key of now.functions) if (!before.functions.has(key)) router.register(key, functions.endpoint);
    router.swap(table);
    for (const key of [...before.devices, ...before.functions]) {
      if (!now.devices.has(key) && !now.functions.has(key)) router.unregister(key);
    }
    mqttServer.setGroup({ devices: group.Devices });
    cloud.setTable(table);
    logs.configure(group.GroupDefinitions.Logging.Content);
    this.#active = group;
    onGroup(group);
  }

  async #health(unhealthy: () => string[]): Promise<void> {
    const { healthWindowMs } = this.parts;
    const end = Date.now() + healthWindowMs;
    for (;;) {
      const exited = unhealthy();
      if (exited.length > 0) {
        throw new DeploymentError(
          'WorkerUnhealthy',
          `pinned function(s) [${exited.join(' ')}] did not stay up for ${healthWindowMs} ms`,
        );
      }
      const left = end - Date.now();
      if (left <= 0) return;
      await new Promise((wake) => setTimeout(wake, Math.min(left, 100)));
    }
  }
}

function endpointKeys(group: GroupDocument): { devices: Set<string>; functions: Set<string> } {
  return {
    devices: new Set(group.Devices.map((device) => device.thingArn)),
    functions: new Set(group.GroupDefinitions.Lambdas.Content.map((f) => f.FunctionArn)),
  };
}
