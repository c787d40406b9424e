/** The API on a real socket and a real database. What lies behind it on the wire side (cores, MQTT) is scripted. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GreengrassClient } from '@aws-sdk/client-greengrass';
import { IoTClient } from '@aws-sdk/client-iot';
import { IoTDataPlaneClient } from '@aws-sdk/client-iot-data-plane';
import { LambdaClient } from '@aws-sdk/client-lambda';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { STSClient } from '@aws-sdk/client-sts';
import yazl from 'yazl';
import { ApiServer } from '../../greengrass/cloud/api/api-server.js';
import { operations } from '../../greengrass/cloud/api/app.js';
import { BulkRunner } from '../../greengrass/cloud/api/bulk-runner.js';
import type { ApiContext, Deployer } from '../../greengrass/cloud/api/context.js';
import { GroupDeployments } from '../../greengrass/cloud/api/group-deployments.js';
import { ObjectFolder } from '../../greengrass/cloud/api/objects.js';
import type { Operation } from '../../greengrass/cloud/api/operation.js';
import { DeviceNotices } from '../../greengrass/cloud/authority/device-notices.js';
import { CloudJobs } from '../../greengrass/cloud/iot/jobs/cloud-jobs.js';
import { type Installation, loadInstallation } from '../../greengrass/cloud/store/installation.js';
import { openVault } from '../../greengrass/cloud/store/master-key.js';
import { type OpenedStore, openStore } from '../../greengrass/cloud/store/open-store.js';
import type { Deployment, GroupAuthority, Store } from '../../greengrass/cloud/store/store.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import type { Vault } from '../../greengrass/lib/vault.js';
import { certificateId } from '../../greengrass/lib/x509.js';
import { giveInstallation, readySelfSigned } from '../support/ready-made.js';

/** What the core, which is not there, says of the next deployment. */
export class ScriptedDeployer implements Deployer {
  outcome: 'InProgress' | 'Failure' = 'InProgress';
  readonly deployed: Deployment[] = [];
  readonly resets: Deployment[] = [];
  constructor(readonly store: Store) {}

  async deploy(deployment: Deployment): Promise<boolean> {
    this.deployed.push(deployment);
    await this.store.deployments.create(deployment);
    await this.finish(deployment.deploymentId, this.outcome);
    return this.outcome !== 'Failure';
  }

  async reset(deployment: Deployment): Promise<void> {
    this.resets.push(deployment);
    const status = deployment.type === 'ForceResetDeployment' ? 'Success' : 'InProgress';
    await this.finish(deployment.deploymentId, status);
  }

  async finish(deploymentId: string, status: Deployment['status']): Promise<void> {
    const details = [{ DetailedErrorCode: 'X', DetailedErrorMessage: 'scripted' }];
    const error = status === 'Failure' ? { message: 'scripted', details } : undefined;
    await this.store.deployments.setStatus(deploymentId, status, new Date().toISOString(), error);
  }
}

export class Cloud {
  readonly published: Array<{ topic: string; payload: string; qos: number; retain?: true }> = [];
  readonly disconnected: string[] = [];
  readonly reviewed: string[] = [];
  readonly shadows = new Map<string, Buffer>();
  #server: ApiServer | undefined;

  private constructor(
    readonly folder: string,
    readonly opened: OpenedStore,
    readonly vault: Vault,
    readonly installation: Installation,
    readonly deployer: ScriptedDeployer,
  ) {}

  get jobs(): CloudJobs {
    return new CloudJobs(this.store, this.opened.exclusive);
  }

  get store(): Store {
    return this.opened.store;
  }

  static async start(options: { auth?: ApiContext['auth'] } = {}): Promise<Cloud> {
    const folder = await mkdtemp(join(tmpdir(), 'gg-api-'));
    await giveInstallation(folder);
    const opened = await openStore({ dataFolder: folder });
    const { store } = opened;
    const vault = await openVault(join(folder, 'master.key'), store.settings);
    const installation = await loadInstallation(store);
    const cloud = new Cloud(folder, opened, vault, installation, new ScriptedDeployer(store));
    cloud.#server = new ApiServer(cloud.context(options.auth ?? 'sigv4'), { host: '127.0.0.1', port: 0 });
    await cloud.#server.start();
    return cloud;
  }

  async stop(): Promise<void> {
    await this.#server?.stop();
    await this.store.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Stands in for S3. */
  get objectsFolder(): string {
    return join(this.folder, 'objects');
  }

  /** All that is served, as the server has it. */
  operations(): Operation[] {
    const context = this.context();
    const deployments = new GroupDeployments(context);
    return operations(context, { deployments, bulk: new BulkRunner(context, deployments) });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server?.port}`;
  }

  get credentials() {
    const { accessKeyId, secretAccessKey } = this.installation.accessKey;
    return { accessKeyId, secretAccessKey };
  }

  get clientConfig() {
    return { endpoint: this.url, region: 'us-east-1', credentials: this.credentials, maxAttempts: 1 };
  }

  greengrass = () => new GreengrassClient(this.clientConfig);
  iot = () => new IoTClient(this.clientConfig);
  iotData = () => new IoTDataPlaneClient(this.clientConfig);
  lambda = () => new LambdaClient(this.clientConfig);
  sts = () => new STSClient(this.clientConfig);
  secrets = () => new SecretsManagerClient(this.clientConfig);

  context(auth: ApiContext['auth'] = 'none'): ApiContext {
    const { accountId, clientCa, codeLocationKey } = this.installation;
    const { disconnected, reviewed, published, store, shadows, vault } = this;
    return {
      store,
      artifacts: this.opened.artifacts,
      exclusive: this.opened.exclusive,
      vault,
      objects: new ObjectFolder(this.objectsFolder),
      region: 'us-east-1',
      accountId,
      authorities: {
        create: (groupId) => createAuthority(store, groupId),
        list: (groupId) => store.authorities.list(groupId),
        ensure: async (groupId) =>
          (await store.authorities.list(groupId))[0] ?? createAuthority(store, groupId),
      },
      deployer: this.deployer,
      jobs: this.jobs,
      deviceNotices: new DeviceNotices({
        store,
        shadows: {
          update: async (thing, payload) => {
            shadows.set(thing, payload);
            return { accepted: true };
          },
        },
        region: 'us-east-1',
        accountId,
        logger: silentLogger(),
      }),
      shadows: {
        get: async (thing) => {
          const body = shadows.get(thing);
          const none = Buffer.from(
            JSON.stringify({ code: 404, message: `No shadow exists with name: '${thing}'` }),
          );
          return { accepted: body !== undefined, body: body ?? none, code: body ? 200 : 404 };
        },
        update: async (thing, payload) => {
          shadows.set(thing, payload);
          return { accepted: true, body: payload, code: 200 };
        },
        delete: async (thing) => {
          const body = shadows.get(thing) ?? Buffer.from('{"code":404,"message":"none"}');
          return { accepted: shadows.delete(thing), body, code: 404 };
        },
      },
      messages: {
        port: 18883,
        publish: async (topic, payload, qos, retain) => {
          published.push({ topic, payload: payload.toString(), qos, ...(retain ? { retain } : {}) });
        },
        disconnectCertificate: (id) => disconnected.push(id),
        review: async (id) => {
          reviewed.push(id);
        },
      },
      certificateIssuer: clientCa,
      codeLocationKey,
      auth,
      log: silentLogger(),
    };
  }
}

async function createAuthority(store: Store, groupId: string): Promise<GroupAuthority> {
  const { certificatePem, privateKeyPem } = await readySelfSigned({
    subject: [['CN', groupId]],
    notAfter: new Date(Date.now() + 1e10),
    isCa: true,
  });
  const authorityId = certificateId(certificatePem);
  const authority = {
    authorityId,
    groupId,
    certificatePem,
    privateKeyPem,
    createdAt: new Date().toISOString(),
  };
  await store.authorities.create(authority);
  return authority;
}

/** A zip with the given files. */
export async function zipOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const zip = new yazl.ZipFile();
  for (const [name, content] of Object.entries(files)) zip.addBuffer(Buffer.from(content), name);
  zip.end();
  const parts: Buffer[] = [];
  for await (const part of zip.outputStream) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

/** What a client saw of a refusal. */
export async function refusalOf(
  promise: Promise<unknown>,
): Promise<{ status: number | undefined; type: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
    return { status: $metadata?.httpStatusCode, type: name, message };
  }
  throw new Error('the request was not refused');
}
