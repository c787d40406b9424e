/**
 * The core's process: all parts, in the order of their life. Read this file top to bottom to know what runs.
 *
 * The local side (shadows, functions, devices) starts from what is on disk and never waits for the cloud; the agent and
 * the cloud connection come last.
 */
import { rmSync } from 'node:fs';
import { isSameSystemFunction, parseGroupVersionArn, SYSTEM_FUNCTIONS } from '../model/arn.js';
import { EMPTY_GROUP, type GroupDocument } from '../model/group.js';
import { userFunctions } from '../model/group-checks.js';
import { CLOUD, SHADOW_SERVICE } from '../model/subscription.js';
import { sessionStorePath } from './broker/session-store.js';
import type { Component } from './component.js';
import { DEFAULT_SPOOL, spoolSettings } from './iot-client/spool-settings.js';
import { CoreParts } from './parts.js';
import { ShadowEndpoint } from './shadow/shadow-endpoint.js';
import { shadowStorePath } from './shadow/shadow-store.js';
import { syncedThings } from './shadow/sync/shadow-sync.js';

export class Daemon {
  readonly #parts: CoreParts;
  /** What was started, to be stopped in reverse. */
  readonly #started: Component[] = [];

  /** Reads config.json and the credentials, makes the parts, starts nothing. Throws ConfigError. */
  constructor(root: string) {
    this.#parts = new CoreParts(root, {
      onGroup: (group) => this.#groupChanged(group),
      reset: () => this.#reset(),
    });
  }

  /** Resolves when the core serves; answers what of it does not, in words. */
  async start(): Promise<string[]> {
    this.#claim();
    const group = this.#parts.groupStore.load();
    await this.#parts.isolation.probe();
    this.#parts.router.register(CLOUD, this.#parts.cloud);
    this.#parts.router.register(SHADOW_SERVICE, new ShadowEndpoint(this.#parts.shadows));
    this.#parts.certificate.onChanged(() => this.#parts.mqttServer.reloadCertificate());
    await this.#startAll([
      this.#parts.shadows,
      this.#parts.shadowSync,
      this.#parts.cloud,
      this.#parts.ipc,
      this.#parts.functions,
      this.#parts.certificate,
      this.#parts.refusedDevices,
    ]);
    const unhealthy = await this.#activate(group);
    // A deployment may have started it already; it is stopped like everything else.
    this.#started.push(this.#parts.mqttServer);
    await this.#startAll([
      this.#parts.control,
      this.#parts.ipDetector,
      this.#parts.agent,
      this.#parts.telemetry,
      this.#parts.connection,
    ]);
    this.#parts.runtimeLog.info({ pid: process.pid }, 'Greengrass daemon started.');
    return unhealthy;
  }

  /** Stops all parts in reverse; nothing of this core is left on the machine but its files. Idempotent. */
  async stop(): Promise<void> {
    this.#parts.runtimeLog.info('Greengrass daemon is stopping.');
    for (const component of this.#started.splice(0).reverse()) {
      try {
        await component.stop();
      } catch (error) {
        this.#parts.runtimeLog.error(
          { component: component.name, reason: (error as Error).message },
          'Component did not stop cleanly.',
        );
      }
    }
    this.#parts.service.close();
    await this.#parts.isolation.close();
    this.#parts.runtimeLog.info('Greengrass daemon stopped.');
    this.#parts.logs.close();
    this.#parts.pidFile.removeOwn();
  }

  /** One daemon for a root. */
  #claim(): void {
    const other = this.#parts.pidFile.running();
    if (other !== undefined && other !== process.pid) {
      throw new Error(`Greengrass daemon is already running with PID: ${other}`);
    }
    this.#parts.pidFile.write(process.pid);
  }

  async #startAll(components: readonly Component[]): Promise<void> {
    for (const component of components) {
      this.#started.push(component);
      await component.start();
    }
  }

  /** Runs the group that is on disk. What fails leaves the daemon up: a new deployment is the way to mend it. */
  async #activate(group: GroupDocument): Promise<string[]> {
    try {
      const codeFolders = new Map(
        userFunctions(group).map((f) => [f.FunctionArn, this.#parts.artifacts.folderOf(f)]),
      );
      const swap = await this.#parts.group.swap(group, codeFolders);
      await swap.commit();
      return [];
    } catch (error) {
      const reason = (error as Error).message;
      this.#parts.runtimeLog.error({ reason }, 'The deployed group could not be started.');
      return [`the deployed group could not be started: ${reason}`];
    }
  }

  /** Parts that only look at the group. */
  #groupChanged(group: GroupDocument): void {
    this.#parts.roleCredentials.forget();
    this.#parts.secrets.use(group);
    this.#parts.refusedDevices.setGroup(
      group.Arn === undefined ? undefined : parseGroupVersionArn(group.Arn)?.groupId,
    );
    const system = (arn: string) =>
      group.GroupDefinitions.Lambdas.Content.find((f) => isSameSystemFunction(f.FunctionArn, arn));
    const ipDetector = system(SYSTEM_FUNCTIONS.ipDetector);
    this.#parts.ipDetector.configure(
      ipDetector && (ipDetector.DeploymentConfiguration.Environment?.Variables ?? {}),
    );
    void this.#parts.ipDetector.look();
    this.#parts.shadowSync.setThings(syncedThings(group.GroupDefinitions.ShadowSync.Content));
    const spooler = system(SYSTEM_FUNCTIONS.spooler);
    try {
      this.#parts.cloud.configure(
        spooler ? spoolSettings(spooler.DeploymentConfiguration.Environment?.Variables ?? {}) : DEFAULT_SPOOL,
      );
    } catch (error) {
      this.#parts.runtimeLog.error(
        { reason: (error as Error).message },
        'The settings of GGCloudSpooler were refused; it keeps the ones it had.',
      );
    }
  }

  /** V1's reset: functions, user logs, shadows and server certificate go; configuration and core certificate stay. */
  async #reset(): Promise<void> {
    const swap = await this.#parts.group.swap(EMPTY_GROUP, new Map());
    await swap.commit();
    await this.#parts.mqttServer.stop();
    this.#parts.certificate.forget();
    this.#parts.refusedDevices.forget();
    this.#parts.logs.deleteUserLogs();
    this.#parts.secrets.clear();
    await this.#parts.shadows.stop();
    const { writeDirectory } = this.#parts.config;
    for (const path of [shadowStorePath(writeDirectory), sessionStorePath(writeDirectory)]) {
      for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
    }
    await this.#parts.shadows.start();
  }
}
