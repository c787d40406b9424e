import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../lib/log.js';
import { PACKAGE_ROOT, VERSION } from '../lib/package-root.js';
import { Vault } from '../lib/vault.js';
import { certificateId } from '../lib/x509.js';
import { controlSocketPath } from '../model/control-socket.js';
import type { CoreConfig } from '../model/core-config.js';
import type { GroupDocument } from '../model/group.js';
import { SHADOW_SERVICE } from '../model/subscription.js';
import { MqttServer } from './broker/mqtt-server.js';
import { sessionStorePath } from './broker/session-store.js';
import { RefusedDevices } from './certificates/refused-devices.js';
import { ServerCertificate } from './certificates/server-certificate.js';
import type { ControlRoute } from './control/control-route.js';
import { ControlServer } from './control/control-server.js';
import { spoolerRoute } from './control/spooler-route.js';
import { traceRoutes } from './control/trace-routes.js';
import { readCredentials, readPem } from './core-credentials.js';
import { DeploymentAgent } from './deployment/agent.js';
import { ArtifactStore } from './deployment/artifact-store.js';
import { GroupStore } from './deployment/group-store.js';
import { GroupRuntime } from './group-runtime.js';
import { CloudEndpoint } from './iot-client/cloud-endpoint.js';
import { IotConnection } from './iot-client/connection.js';
import { hostAddresses, IpDetector } from './ip-detector/ip-detector.js';
import { type CredentialsAnswer, IpcServer } from './ipc/ipc-server.js';
import { hiddenPathsOf } from './isolation/hidden-paths.js';
import { Isolation } from './isolation/isolation.js';
import { isolationFolder } from './isolation/place.js';
import { Functions } from './lambda/functions.js';
import { preparedWorkersFor } from './lambda/prepared-workers.js';
import { LogFiles } from './logs/log-files.js';
import { PidFile } from './pid-file.js';
import { readRootConfig } from './root-config.js';
import { Router } from './router/router.js';
import { secretsKey } from './secrets/core-key.js';
import { SecretManager } from './secrets/secret-manager.js';
import { ServiceClient, ServiceError } from './service-client.js';
import { shadowRoutes } from './shadow/shadow-routes.js';
import { ShadowService } from './shadow/shadow-service.js';
import { shadowStorePath } from './shadow/shadow-store.js';
import { ShadowSync } from './shadow/sync/shadow-sync.js';
import { TelemetryAgent } from './telemetry/telemetry-agent.js';
import { RoleCredentialsSource } from './token-exchange/role-credentials.js';

/** Pinned functions of a new group must stay up for so long before the deployment is a success. */
const HEALTH_WINDOW_MS = 1_000;
/** And those that are still loading their code then are watched for so long. */
const HEALTH_LIMIT_MS = 10_000;

/** What the daemon does that parts ask for. */
export interface Reactions {
  /** A group begins to run: for the parts that only look at it. */
  readonly onGroup: (group: GroupDocument) => void;
  /** V1's reset. */
  readonly reset: () => Promise<void>;
}

export class CoreParts {
  readonly config: CoreConfig;
  readonly pidFile: PidFile;
  readonly logs: LogFiles;
  readonly runtimeLog: Logger;
  readonly groupStore: GroupStore;
  readonly artifacts: ArtifactStore;
  readonly isolation: Isolation;
  readonly router: Router;
  readonly service: ServiceClient;
  readonly certificate: ServerCertificate;
  readonly mqttServer: MqttServer;
  readonly refusedDevices: RefusedDevices;
  readonly shadows: ShadowService;
  readonly shadowSync: ShadowSync;
  readonly connection: IotConnection;
  readonly cloud: CloudEndpoint;
  readonly functions: Functions;
  readonly ipc: IpcServer;
  readonly roleCredentials: RoleCredentialsSource;
  readonly secrets: SecretManager;
  readonly ipDetector: IpDetector;
  readonly group: GroupRuntime;
  readonly agent: DeploymentAgent;
  readonly telemetry: TelemetryAgent;
  readonly control: ControlServer;

  /** Reads config.json and the credentials, makes the parts, starts nothing. Throws ConfigError. */
  constructor(root: string, { onGroup, reset }: Reactions) {
    const { config, warnings } = readRootConfig(root);
    const { writeDirectory, region, accountId, thingName } = config;
    this.config = config;
    this.pidFile = new PidFile(config.pidFileDirectory, root);
    this.logs = new LogFiles({ writeDirectory, region, accountId });
    const log = (component: string) => this.logs.systemLogger(component);
    this.runtimeLog = log('runtime');
    const credentials = readCredentials(config);
    logBanner(this.runtimeLog, { root, config, certPem: credentials.certPem, warnings });

    this.groupStore = new GroupStore(writeDirectory);
    this.artifacts = new ArtifactStore(writeDirectory);
    this.isolation = new Isolation({
      hiddenPaths: hiddenPathsOf(root, config),
      stateFolder: isolationFolder(writeDirectory),
      logger: this.runtimeLog,
    });
    this.router = new Router({ logger: log('GGRouter') });
    this.service = new ServiceClient({
      host: config.ggHost,
      port: config.ggHttpPort,
      ...credentials,
      ...(config.networkProxy ? { proxy: config.networkProxy } : {}),
      logger: this.runtimeLog,
    });
    this.certificate = new ServerCertificate({
      writeDirectory,
      thingName,
      service: this.service,
      logger: log('GGDeviceCertificateManager'),
      issuer: config.serverCertificateIssuer,
      hosts: addressesOfHere,
      ...(config.mqttServerKeyPath === undefined ? {} : { ownKeyPath: config.mqttServerKeyPath }),
    });
    this.mqttServer = new MqttServer({
      port: config.ggMqttPort,
      certificate: () => {
        const loaded = this.certificate.load();
        if (!loaded) throw new Error('there is no server certificate yet');
        return loaded;
      },
      onPublish: (message) => this.router.route(message),
      settle: () => this.router.settle(),
      sessionsPath: sessionStorePath(writeDirectory),
      logger: log('GGConnManager'),
    });
    this.shadows = new ShadowService({
      path: shadowStorePath(writeDirectory),
      logger: log(SHADOW_SERVICE),
      emit: (message) => this.router.route(message),
    });
    const link = {
      host: config.iotHost,
      port: config.iotMqttPort,
      ...credentials,
      keepAliveS: config.keepAliveS,
      maxRetryIntervalS: config.mqttMaxConnectionRetryIntervalS,
      operationTimeoutS: config.mqttOperationTimeoutS,
      ...(config.networkProxy ? { proxy: config.networkProxy } : {}),
      logger: this.runtimeLog,
    };
    this.connection = new IotConnection({ ...link, clientId: config.coreClientId });
    this.refusedDevices = new RefusedDevices({
      thingName,
      writeDirectory,
      link: this.connection,
      service: this.service,
      onChange: (refused) => this.mqttServer.setRefused(refused),
      onNotice: () => void this.certificate.addressesChanged(),
      logger: log('GGDeviceCertificateManager'),
    });
    this.cloud = new CloudEndpoint({
      connection: this.connection,
      // V1's name for further connections of a core. It runs only where the group asks for a persistent session.
      persistentConnection: new IotConnection({
        ...link,
        clientId: `${config.coreClientId}-c00`,
        isPersistent: true,
      }),
      onMessage: (message) => this.router.route(message),
      writeDirectory,
      logger: log('GGCloudSpooler'),
    });
    this.shadowSync = new ShadowSync({
      local: this.shadows,
      link: this.connection,
      timeoutMs: Math.max(1, config.shadowSyncTimeoutS) * 1000,
      logger: log('GGShadowSyncManager'),
    });
    const keyPath = config.secretsKeyPath;
    this.secrets = new SecretManager({
      folder: join(writeDirectory, 'deployment', 'secrets'),
      vault: new Vault(secretsKey(keyPath ? readPem(keyPath, 'secrets key') : credentials.keyPem)),
      service: this.service,
      logger: log('GGSecretManager'),
    });
    this.telemetry = new TelemetryAgent({
      ...{ thingName, writeDirectory, link: this.connection },
      aggregateIntervalMs: config.telemetry.aggregateIntervalS * 1000,
      publishIntervalMs: config.telemetry.publishIntervalS * 1000,
      droppedMessages: () => this.cloud.waiting.dropped,
      logger: this.runtimeLog,
    });
    this.functions = new Functions({
      engine: this.isolation,
      onFailure: (functionArn, failure) => this.telemetry.count(functionArn, failure),
      logs: this.logs,
      logger: this.runtimeLog,
      services: {
        publish: (source, topic, payload, allOrError) => {
          const message = { source, topic, payload, qos: 0 } as const;
          if (allOrError) return this.router.routeToAllOrNone(message);
          this.router.route(message);
          return true;
        },
        shadow: async (thing, operation, payload) => this.shadows.request(thing, operation, payload),
        secret: (functionArn, payload) => this.secrets.answer(functionArn, payload),
      },
      facts: config,
      maxWorkItemCount: config.maxWorkItemCount,
      maxConcurrentLimit: config.maxConcurrentLimit,
      lruSize: config.lruSize,
      preparedWorkers: config.preparedWorkers ?? preparedWorkersFor(totalmem()),
      interpreters: config.interpreters,
      ipcPort: () => this.ipc.port,
      runtimesFolder: join(PACKAGE_ROOT, 'greengrass', 'runtimes'),
    });
    this.roleCredentials = new RoleCredentialsSource({ service: this.service, logger: this.runtimeLog });
    this.ipc = new IpcServer({
      port: config.ggDaemonPort,
      desk: this.functions,
      logs: this.logs,
      credentials: () => credentialsForFunctions(this.roleCredentials, this.runtimeLog),
      logger: this.runtimeLog,
    });
    this.ipDetector = new IpDetector({
      thingName,
      service: this.service,
      port: () => this.mqttServer.port,
      logger: log('GGIPDetector'),
    });
    this.group = new GroupRuntime({
      config,
      router: this.router,
      mqttServer: this.mqttServer,
      functions: this.functions,
      cloud: this.cloud,
      certificate: this.certificate,
      logs: this.logs,
      logger: this.runtimeLog,
      onGroup,
      announced: async () => {
        await Promise.all([this.ipDetector.told(), this.cloud.subscribed()]);
      },
      hosts: addressesOfHere,
      containerProblem: () => {
        const { available, reasons } = this.isolation.report;
        return available ? undefined : reasons.join('; ');
      },
      healthWindowMs: HEALTH_WINDOW_MS,
      healthLimitMs: HEALTH_LIMIT_MS,
    });
    this.agent = new DeploymentAgent({
      thingName,
      writeDirectory,
      link: this.connection,
      service: this.service,
      groupStore: this.groupStore,
      artifacts: this.artifacts,
      fetchSecrets: (group, place) => this.secrets.fetch(group, place),
      swap: (group, codeFolders, onSwap) => this.group.swap(group, codeFolders, onSwap),
      reset,
      logger: this.runtimeLog,
    });
    this.control = new ControlServer({
      path: controlSocketPath(writeDirectory),
      routes: this.#controlRoutes(),
      logger: this.runtimeLog,
    });
  }

  /** What `gg` can ask a running core; each part brings its own. */
  #controlRoutes(): ControlRoute[] {
    return [
      ...traceRoutes(this.router),
      ...shadowRoutes(this.shadows, this.shadowSync),
      spoolerRoute({ cloud: this.cloud, connection: this.connection }),
    ];
  }
}

/** Names and addresses that the local MQTT server answers at. */
function addressesOfHere(): string[] {
  return ['localhost', ...hostAddresses()];
}

/** What a worker gets that asks for credentials. */
async function credentialsForFunctions(
  source: RoleCredentialsSource,
  logger: Logger,
): Promise<CredentialsAnswer> {
  try {
    const credentials = await source.current();
    return {
      AccessKeyId: credentials.accessKeyId,
      SecretAccessKey: credentials.secretAccessKey,
      Token: credentials.sessionToken,
      Expiration: credentials.expiration,
    };
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    logger.warn({ reason: error.message }, 'There are no credentials of the group role.');
    return { refused: error.recoverable ? 503 : 404, reason: error.reason };
  }
}

/** V1's first lines in runtime.log. */
function logBanner(
  log: Logger,
  {
    root,
    config,
    certPem,
    warnings,
  }: { root: string; config: CoreConfig; certPem: string; warnings: readonly string[] },
): void {
  log.info(`Greengrass Version: ${VERSION}`);
  log.info(`Greengrass Root: ${root}`);
  log.info(`Greengrass Write Directory: ${config.writeDirectory}`);
  log.info(`Group File Directory: ${join(config.writeDirectory, 'deployment', 'group')}`);
  log.info(`Certificate fingerprint: ${certificateId(certPem)}`);
  for (const warning of warnings) log.warn(`config.json: ${warning}`);
}
