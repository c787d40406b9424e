/**
 * greengrass-cloud as one object: all its parts, put together in one place, started in order and stopped in reverse.
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../lib/atomic-file.js';
import type { Logger } from '../lib/log.js';
import { ApiServer } from './api/api-server.js';
import { GroupAuthorities } from './authority/group-authorities.js';
import { Deployer } from './deployment/deployer.js';
import { DeviceHttpsServer } from './discovery/https-server.js';
import { CloudBroker } from './iot/broker.js';
import { CloudShadows } from './iot/shadows.js';
import { ArtifactFolder } from './store/artifact-folder.js';
import { loadInstallation, loadServerCertificate } from './store/installation.js';
import { openSqliteStore } from './store/sqlite-store.js';

export interface CloudServiceOptions {
  /** Holds the database, the artifacts and the root CA; made where it is missing. */
  readonly dataFolder: string;
  /** Address to listen on. */
  readonly host: string;
  /** Ports; 0 picks a free one. */
  readonly apiPort: number;
  readonly mqttPort: number;
  readonly httpsPort: number;
  readonly auth: 'sigv4' | 'none';
  readonly region: string;
  readonly log: Logger;
}

/** How to reach the running cloud. */
export interface CloudAddresses {
  readonly api: string;
  readonly mqtt: { readonly host: string; readonly port: number };
  readonly https: { readonly host: string; readonly port: number };
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
    const { dataFolder, host, region, auth, log } = this.#options;
    const store = await openSqliteStore(join(dataFolder, 'cloud.db'));
    this.#started.push(() => store.close());
    const artifacts = new ArtifactFolder(join(dataFolder, 'artifacts'));
    const { accountId, rootCa, clientCa, accessKey, codeLocationKey } = await loadInstallation(store);
    const caFile = join(dataFolder, 'ca.pem');
    writeFileAtomic(caFile, rootCa.certificatePem);
    const certificate = await loadServerCertificate(store, rootCa, hostsOf(host));

    const place = { region, accountId };
    const tls = { certPem: certificate.certificatePem, keyPem: certificate.privateKeyPem };
    const authorities = new GroupAuthorities(store, accountId);
    const shadows = new CloudShadows(store);
    const deployer = new Deployer({ store, shadows, ...place, logger: log.child({ component: 'deployer' }) });
    deployer.follow();
    const broker = new CloudBroker({
      ...{ store, shadows, tls, host, ...place },
      port: this.#options.mqttPort,
      logger: log.child({ component: 'mqtt' }),
    });
    const https = new DeviceHttpsServer({
      ...{ store, artifacts, authorities, tls, host, ...place },
      port: this.#options.httpsPort,
      logger: log.child({ component: 'https' }),
    });
    const api = new ApiServer(
      {
        ...{ store, artifacts, ...place, authorities, deployer, shadows, codeLocationKey, auth },
        messages: broker,
        certificateIssuer: clientCa,
        log: log.child({ component: 'api' }),
      },
      { host, port: this.#options.apiPort },
    );
    await this.#start(broker);
    await this.#start(https);
    await this.#start(api);
    const reachable = reachableHost(host);
    return {
      api: `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${api.port}`,
      mqtt: { host: reachable, port: broker.port },
      https: { host: reachable, port: https.port },
      caFile,
      accessKeyId: accessKey.accessKeyId,
      secretAccessKey: accessKey.secretAccessKey,
      region,
      accountId,
    };
  }

  async #start(part: { start(): Promise<void>; stop(): Promise<void> }): Promise<void> {
    await part.start();
    this.#started.push(() => part.stop());
  }
}

/** The names that the server's certificate is good for. */
function hostsOf(host: string): string[] {
  const hosts = ['localhost', '127.0.0.1', '::1', hostname()];
  if (!isWildcard(host)) hosts.push(host);
  return [...new Set(hosts)];
}

/** An address that a client on this machine can use. */
function reachableHost(host: string): string {
  return isWildcard(host) ? '127.0.0.1' : host;
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
