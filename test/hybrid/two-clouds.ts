/**
 * A hybrid installation whose AWS is a second greengrass-cloud: it answers the same APIs, and can be stopped and started
 * again. What only AWS itself has (presigned S3 addresses, thousands of things) is beyond it.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { type Clients, createClients } from '../../greengrass/cli/index.js';
import { type AwsConfig, parseAwsConfig } from '../../greengrass/cloud/aws/config.js';
import { type CloudAddresses, CloudService } from '../../greengrass/cloud/service.js';
import { createLogger, type Logger, silentLogger } from '../../greengrass/lib/log.js';
import { giveInstallation } from '../support/ready-made.js';

export class TwoClouds {
  /** The log of the hybrid cloud, one entry a line. */
  readonly log: string[] = [];
  #aws: CloudService | undefined;
  #hybrid: CloudService | undefined;
  #awsAddresses: CloudAddresses | undefined;
  #hybridAddresses: CloudAddresses | undefined;
  readonly #opened: Array<() => void> = [];

  private constructor(readonly folder: string) {}

  /** `use`: what the hybrid cloud leaves to AWS. */
  static async start(use: readonly string[] = ['iot', 'lambda', 'secretsManager']): Promise<TwoClouds> {
    const folder = mkdtempSync(join(tmpdir(), 'greengrass-hybrid-'));
    // V1 asks for it: functions without a container reach their code through these folders.
    chmodSync(folder, 0o755);
    const clouds = new TwoClouds(folder);
    // AWS is never new.
    await giveInstallation(join(folder, 'aws'));
    await clouds.startAws();
    await clouds.startHybrid({ use });
    return clouds;
  }

  /** Starts AWS, on the addresses that it had before. */
  async startAws(): Promise<void> {
    const before = this.#awsAddresses;
    this.#aws = this.#service('aws', silentLogger(), {
      apiPort: before ? Number(new URL(before.api).port) : 0,
      mqttPort: before?.mqtt.port ?? 0,
      httpsPort: before?.https.port ?? 0,
    });
    this.#awsAddresses = await this.#aws.start();
  }

  async stopAws(): Promise<void> {
    await this.#aws?.stop();
    this.#aws = undefined;
  }

  /** `change` goes over the configuration that fits. */
  async startHybrid(change: object = {}): Promise<void> {
    const log = createLogger({ level: 'info', stream: { write: (line) => void this.log.push(line) } });
    const before = this.#hybridAddresses;
    this.#hybrid = this.#service('hybrid', log, {
      ...{ apiPort: 0, mqttPort: 0, httpsPort: before?.https.port ?? 0 },
      aws: this.config(change),
    });
    this.#hybridAddresses = await this.#hybrid.start();
  }

  async stopHybrid(): Promise<void> {
    await this.#hybrid?.stop();
    this.#hybrid = undefined;
  }

  config(change: object = {}): AwsConfig {
    const { api, region, accountId, accessKeyId, secretAccessKey } = this.aws;
    const file = {
      ...{ region, accountId, use: ['iot', 'lambda', 'secretsManager'] },
      endpoints: { iot: api, iotData: api, lambda: api, secretsManager: api, s3: api, sageMaker: api },
      credentials: { accessKeyId, secretAccessKey },
      ...change,
    };
    return parseAwsConfig(JSON.stringify(file), 'aws.json');
  }

  get aws(): CloudAddresses {
    if (!this.#awsAddresses) throw new Error('AWS was never started');
    return this.#awsAddresses;
  }

  get hybrid(): CloudAddresses {
    if (!this.#hybridAddresses) throw new Error('the hybrid cloud was never started');
    return this.#hybridAddresses;
  }

  /** AWS's services at AWS, Greengrass at ours: what an operator's tools are set to. */
  clients(): Clients {
    const atAws = createClients({ endpoint: this.aws.api, ...this.aws });
    const atOurs = createClients({ endpoint: this.hybrid.api, ...this.hybrid });
    const destroy = () => {
      atAws.destroy();
      atOurs.destroy();
    };
    this.#opened.push(destroy);
    const { iot, iotData, lambda } = atAws;
    return { greengrass: atOurs.greengrass, iot, iotData, lambda, destroy };
  }

  /** Everything at ours: what an operator must not do. */
  ours(): Clients {
    const clients = createClients({ endpoint: this.hybrid.api, ...this.hybrid });
    this.#opened.push(() => clients.destroy());
    return clients;
  }

  shadowsAtAws(): IoTDataPlaneClient {
    const { api: endpoint, region, accessKeyId, secretAccessKey } = this.aws;
    const client = new IoTDataPlaneClient({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
    });
    this.#opened.push(() => client.destroy());
    return client;
  }

  /** A file with the CAs of both clouds: what `caPath` of the core's config.json names. */
  caBundle(): string {
    const file = join(this.folder, 'both-cas.pem');
    writeFileSync(file, [this.aws, this.hybrid].map(({ caFile }) => readFileSync(caFile, 'utf8')).join('\n'));
    return file;
  }

  async close(): Promise<void> {
    for (const close of this.#opened) close();
    await this.stopHybrid();
    await this.stopAws();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #service(
    name: string,
    log: Logger,
    options: { apiPort: number; mqttPort: number; httpsPort: number; aws?: AwsConfig },
  ): CloudService {
    const dataFolder = join(this.folder, name);
    return new CloudService({
      ...{ dataFolder, host: '127.0.0.1', auth: 'sigv4', region: 'us-east-1', log },
      ...options,
    });
  }
}
