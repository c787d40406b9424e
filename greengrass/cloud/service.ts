/**
 * greengrass-cloud as one object: all its parts, put together in one place, started in order and stopped in reverse.
 */
import { join } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.js';
import type { Logger } from '../lib/log.js';
import { ApiServer } from './api/api-server.js';
import { AuditKeeper } from './api/audit-keeper.js';
import { ObjectFolder } from './api/objects.js';
import { DeviceNotices } from './authority/device-notices.js';
import { GroupAuthorities } from './authority/group-authorities.js';
import type { AwsConfig } from './aws/config.js';
import type { Hybrid, HybridParts } from './aws/hybrid.js';
import { Deployer } from './deployment/deployer.js';
import { ModelShelf } from './deployment/models.js';
import { DeviceHttpsServer } from './discovery/https-server.js';
import { AlpnFront } from './iot/alpn-front.js';
import { CloudBroker } from './iot/broker.js';
import { CloudJobs } from './iot/jobs/cloud-jobs.js';
import { JobTimer } from './iot/jobs/job-timer.js';
import { CloudShadows } from './iot/shadows.js';
import { certificateHosts, hostForDevices, hostForThisMachine } from './public-hosts.js';
import { loadInstallation, loadServerCertificate } from './store/installation.js';
import { openVault } from './store/master-key.js';
import { ownTrainingJobs } from './store/object-source.js';
import { openStore } from './store/open-store.js';
import { OwnSecrets } from './store/secret-source.js';

export interface CloudServiceOptions {
  /** Holds the database, the artifacts, the root CA and the master key; made where it is missing. */
  readonly dataFolder: string;
  /** `postgres://…`: database and artifacts are there, and replicas on it behave as one. Absent: SQLite. */
  readonly databaseUrl?: string;
  /** Stands in for S3, a folder for each bucket; `objects` in the data folder where it is absent. */
  readonly objectsFolder?: string;
  /** So long entries of the audit log are kept; 400 where it is absent. */
  readonly auditDays?: number;
  /** Address to listen on. */
  readonly host: string;
  /** Names and addresses under which cores and devices reach it, the one for config.json first; absent: `host`. */
  readonly publicHosts?: readonly string[];
  /** Ports; 0 picks a free one. */
  readonly apiPort: number;
  readonly mqttPort: number;
  readonly httpsPort: number;
  /** MQTT and HTTPS on one port, told apart by ALPN (443 at AWS); absent: no such port. */
  readonly alpnPort?: number;
  readonly auth: 'sigv4' | 'none';
  /** Cores may hold an intermediate CA of their group for so many days; absent: none may. */
  readonly intermediateDays?: number;
  readonly region: string;
  /** Account in the ARNs of a new installation; absent: made up. Where the installation has another one, it refuses to start. */
  readonly accountId?: string;
  /** Makes the installation hybrid: what is left to AWS, in the same region. */
  readonly aws?: AwsConfig;
  readonly log: Logger;
}

/** How to reach the running cloud. */
export interface CloudAddresses {
  readonly api: string;
  readonly mqtt: { readonly host: string; readonly port: number };
  readonly https: { readonly host: string; readonly port: number };
  /** Present where MQTT and HTTPS share a port by ALPN. */
  readonly alpn?: { readonly host: string; readonly port: number };
  /** PEM of the root CA that cores and devices trust. */
  readonly caFile: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  readonly accountId: string;
}

export class CloudService {
  readonly #options: CloudServiceOptions;
  /** How to stop what was started, in order of the start. */
  readonly #started: Array<() => Promise<void>> = [];

  constructor(options: CloudServiceOptions) {
    this.#options = options;
  }

  /** Resolves when everything serves. Where a part can't start, those before it are stopped again. */
  async start(): Promise<CloudAddresses> {
    try {
      return await this.#startAll();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Idempotent: stops what runs, the last started first. */
  async stop(): Promise<void> {
    for (let stop = this.#started.pop(); stop; stop = this.#started.pop()) await stop();
  }

  async #startAll(): Promise<CloudAddresses> {
    const { dataFolder, host, region, auth, aws, log } = this.#options;
    const { databaseUrl, objectsFolder = join(dataFolder, 'objects'), publicHosts = [] } = this.#options;
    const opened = await openStore({
      dataFolder,
      log: log.child({ component: 'store' }),
      ...(databaseUrl === undefined ? {} : { databaseUrl }),
    });
    this.#started.push(() => opened.store.close());
    const { artifacts, bus, exclusive } = opened;
    // Replicas that start at the same time make one installation.
    const installation = await exclusive.run('installation', () =>
      loadInstallation(opened.store, aws?.accountId ?? this.#options.accountId),
    );
    const { accountId, rootCa, clientCa, accessKey, codeLocationKey } = installation;
    const ownShadows = new CloudShadows(opened.store);
    const jobs = new CloudJobs(opened.store, exclusive);
    const hybrid =
      aws && (await this.#openHybrid(aws, { store: opened.store, artifacts, shadows: ownShadows, log }));
    const { store, shadows } = hybrid ?? { store: opened.store, shadows: ownShadows };
    const awsMqtt = await hybrid?.mqttAddress();
    const vault = await exclusive.run('installation', () =>
      openVault(join(dataFolder, 'master.key'), store.settings),
    );
    const caFile = join(dataFolder, 'ca.pem');
    writeFileAtomic(caFile, rootCa.certificatePem);
    const certificate = await exclusive.run('installation', () =>
      loadServerCertificate(store, rootCa, certificateHosts(host, publicHosts)),
    );

    const place = { region, accountId };
    const tls = { certPem: certificate.certificatePem, keyPem: certificate.privateKeyPem };
    const authorities = new GroupAuthorities(store, accountId, this.#options.intermediateDays);
    const deviceNotices = new DeviceNotices({
      ...{ store, shadows, ...place },
      logger: log.child({ component: 'devices' }),
    });
    const secrets = hybrid?.secrets ?? new OwnSecrets(store.secrets, vault);
    const objects = new ObjectFolder(objectsFolder);
    const models = new ModelShelf({
      objects: hybrid?.objects ?? objects,
      jobs: hybrid?.trainingJobs ?? ownTrainingJobs,
      artifacts,
    });
    const deployer = new Deployer({
      ...{ store, secrets, models, shadows, exclusive, ...place },
      hasReplicas: databaseUrl !== undefined,
      areShadowsElsewhere: hybrid !== undefined,
      logger: log.child({ component: 'deployer' }),
    });
    this.#started.push(async () => deployer.stop());
    await deployer.follow();
    const broker = new CloudBroker({
      ...{ store, shadows: ownShadows, jobs, tls, host, bus, ...place },
      port: this.#options.mqttPort,
      logger: log.child({ component: 'mqtt' }),
    });
    const https = new DeviceHttpsServer({
      ...{ store, artifacts, secrets, authorities, deviceNotices, tls, host, ...place },
      port: this.#options.httpsPort,
      logger: log.child({ component: 'https' }),
    });
    const api = new ApiServer(
      {
        ...{ store, artifacts, ...place, authorities, deployer, deviceNotices, codeLocationKey, auth },
        ...{ exclusive, vault, shadows: ownShadows, jobs },
        ...(hybrid ? { leftToAws: hybrid.leftToAws } : {}),
        objects,
        messages: broker,
        certificateIssuer: clientCa,
        log: log.child({ component: 'api' }),
      },
      { host, port: this.#options.apiPort },
    );
    // First: the broker reads the sessions of its clients, and what changes from then on comes over the bus.
    await this.#start(bus);
    // Where things are AWS IoT's, cores connect there.
    if (!awsMqtt) await this.#start(broker);
    if (!awsMqtt) await this.#start(new JobTimer(jobs, log.child({ component: 'jobs' })));
    await this.#start(https);
    const { alpnPort } = this.#options;
    const front =
      alpnPort === undefined
        ? undefined
        : new AlpnFront({
            ...{ tls, host, port: alpnPort, mqtt: broker, https },
            logger: log.child({ component: 'alpn' }),
          });
    if (front) await this.#start(front);
    await this.#start(api);
    await this.#start(new AuditKeeper(store.audit, this.#options.auditDays ?? 400, log));
    const local = hostForThisMachine(host);
    const forDevices = hostForDevices(host, publicHosts);
    return {
      api: `http://${local.includes(':') ? `[${local}]` : local}:${api.port}`,
      mqtt: awsMqtt ?? { host: forDevices, port: broker.port },
      https: { host: forDevices, port: https.port },
      ...(front ? { alpn: { host: forDevices, port: front.port } } : {}),
      caFile,
      accessKeyId: accessKey.accessKeyId,
      secretAccessKey: accessKey.secretAccessKey,
      region,
      accountId,
    };
  }

  /** What loads the AWS SDK is loaded here, and only for a hybrid installation. */
  async #openHybrid(aws: AwsConfig, parts: HybridParts): Promise<Hybrid> {
    const { region } = this.#options;
    if (aws.region !== region) {
      throw new Error(
        `greengrass-cloud runs in region ${region}, but the file given with --aws says ${aws.region}: start with --region ${aws.region}.`,
      );
    }
    const { withAws } = await import('./aws/hybrid.js');
    const hybrid = withAws(aws, { ...parts, log: parts.log.child({ component: 'aws' }) });
    this.#started.push(() => hybrid.stop());
    return hybrid;
  }

  async #start(part: { start(): Promise<void>; stop(): Promise<void> }): Promise<void> {
    await part.start();
    this.#started.push(() => part.stop());
  }
}
