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
import { certificateIdOfArn, parseGroupVersionArn } from '../model/arn.js';
import type { CoreConfig } from '../model/core-config.js';
import { EMPTY_GROUP, type GroupDocument, type GroupMember } from '../model/group.js';
import type { MqttServer } from './broker/mqtt-server.js';
import type { ServerCertificate } from './certificates/server-certificate.js';
import { deployedFunctions } from './deployed-functions.js';
import { reached } from './deployment/steps.js';
import { DeploymentError } from './errors.js';
import type { CloudEndpoint } from './iot-client/cloud-endpoint.js';
import type { FunctionPlan, Functions } from './lambda/functions.js';
import type { LogFiles } from './logs/log-files.js';
import type { Router } from './router/router.js';
import { compileTable } from './router/subscription-table.js';

/** States of a worker whose code is not loaded yet. */
const LOADING = new Set(['NotStarted', 'Starting']);
/** Longest that a deployment waits until the cloud has this core's addresses and subscriptions. */
const ANNOUNCE_LIMIT_MS = 3_000;

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
  /** Resolves when the cloud has this core's addresses and subscriptions, which a cut network may delay for long; never rejects. */
  readonly announced: () => Promise<void>;
  /** Hosts that the local MQTT server answers at. */
  readonly hosts: () => string[];
  /** Why this host can't run containers, or undefined. */
  readonly containerProblem: () => string | undefined;
  /** How long pinned functions must stay up before a deployment counts as a success, in ms. */
  readonly healthWindowMs: number;
  /** Longest wait for functions that load their code for longer than the window, in ms. */
  readonly healthLimitMs: number;
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

  /** Throws DeploymentError, in which case the old group runs as before. `onSwap`: all is prepared, now it is touched. */
  async swap(
    group: GroupDocument,
    codeFolders: ReadonlyMap<string, string>,
    onSwap: () => void = () => {},
  ): Promise<Swap> {
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
    await reached('swap-prepared');
    onSwap();
    const old = this.#active;
    try {
      this.#route(group);
      await reached('swap-routed');
      const applied = await functions.apply(plan);
      await reached('swap-started');
      return {
        health: async () => {
          await Promise.all([this.#health(plan, applied.unhealthy), this.#announced()]);
        },
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
      await certificate.ensure(groupId, hosts(), group.GroupCertificateAuthorityId);
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
    mqttServer.setGroup({ devices: admitted(group) });
    cloud.setTable(table);
    logs.configure(group.GroupDefinitions.Logging.Content);
    this.#active = group;
    onGroup(group);
  }

  /**
   * Devices of a group that is reported as deployed find their core, and what the cloud publishes reaches it. A cloud that
   * can't be told doesn't hold it up.
   */
  async #announced(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ANNOUNCE_LIMIT_MS);
    });
    await Promise.race([this.parts.announced(), limit]);
    clearTimeout(timer);
  }

  /**
   * Only what this deployment started is waited for: until the code of each function is loaded and the window is over,
   * or, as a pinned function may never ask for work, until the limit.
   */
  async #health(plan: FunctionPlan, unhealthy: () => string[]): Promise<void> {
    const { healthWindowMs, healthLimitMs, functions } = this.parts;
    const kept = new Set(plan.kept);
    const fresh = new Set(
      plan.functions.filter(({ pinned, arn }) => pinned && !kept.has(arn)).map((f) => f.arn),
    );
    if (fresh.size === 0) return;
    const begin = performance.now();
    const isLoading = () =>
      functions.workers().some(({ FuncArn, WorkerState }) => fresh.has(FuncArn) && LOADING.has(WorkerState));
    for (;;) {
      const exited = unhealthy().filter((arn) => fresh.has(arn));
      const passed = performance.now() - begin;
      if (exited.length > 0) {
        throw new DeploymentError(
          'WorkerUnhealthy',
          `pinned function(s) [${exited.join(' ')}] did not stay up: ended within ${Math.ceil(passed)} ms. Their logs say why.`,
        );
      }
      if (passed >= healthLimitMs || (passed >= healthWindowMs && !isLoading())) return;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }
}

/** Devices whose certificate was ACTIVE when the group was deployed. */
function admitted(group: GroupDocument): GroupMember[] {
  const certificates = new Set(group.GroupDefinitions.ClientCertFingerprints.Content);
  return group.Devices.filter(({ certArn }) => certificates.has(certificateIdOfArn(certArn) ?? ''));
}

function endpointKeys(group: GroupDocument): { devices: Set<string>; functions: Set<string> } {
  return {
    devices: new Set(group.Devices.map((device) => device.thingArn)),
    functions: new Set(group.GroupDefinitions.Lambdas.Content.map((f) => f.FunctionArn)),
  };
}
