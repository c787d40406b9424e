/** A store with things, certificates, functions and definitions, and a group version made of them. */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ObjectFolder } from '../../greengrass/cloud/api/objects.js';
import { ModelShelf } from '../../greengrass/cloud/deployment/models.js';
import { ArtifactFolder } from '../../greengrass/cloud/store/artifact-folder.js';
import { ownTrainingJobs } from '../../greengrass/cloud/store/object-source.js';
import { OwnSecrets } from '../../greengrass/cloud/store/secret-source.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import type { DefinitionKind, Deployment, Store } from '../../greengrass/cloud/store/store.js';
import { Vault } from '../../greengrass/lib/vault.js';

export const REGION = 'us-east-1';
export const ACCOUNT = '123456789012';
const AT = '2024-01-01T00:00:00.000Z';
const IOT = `arn:aws:iot:${REGION}:${ACCOUNT}`;

export const DIGEST = 'ab'.repeat(32);

export interface Member {
  readonly Id: string;
  readonly ThingArn: string;
  readonly CertificateArn: string;
  readonly SyncShadow?: boolean;
}

export const functionArn = (name: string, qualifier: string) =>
  `arn:aws:lambda:${REGION}:${ACCOUNT}:function:${name}:${qualifier}`;

/** What definition versions of a kind hold, as the API keeps it; a text is kept as it stands. */
export type GroupParts = Partial<Record<DefinitionKind, object | string>>;

export class Deployable {
  readonly groupId = randomUUID();
  readonly vault = new Vault(randomBytes(32));

  private constructor(
    readonly folder: string,
    readonly store: Store,
  ) {
    this.models = new ModelShelf({
      objects: new ObjectFolder(this.objectsFolder),
      jobs: ownTrainingJobs,
      artifacts: new ArtifactFolder(join(folder, 'artifacts')),
    });
  }

  /** Where objects of S3 are looked for. */
  get objectsFolder(): string {
    return join(this.folder, 'objects');
  }

  readonly models: ModelShelf;

  get secrets(): OwnSecrets {
    return new OwnSecrets(this.store.secrets, this.vault);
  }

  static async open(): Promise<Deployable> {
    const folder = mkdtempSync(join(tmpdir(), 'greengrass-deployable-'));
    const made = new Deployable(folder, await openSqliteStore(join(folder, 'cloud.db')));
    const { groupId: id, store } = made;
    await store.containers.create({ kind: 'groups', id, name: 'g', createdAt: AT, updatedAt: AT, tags: {} });
    return made;
  }

  async close(): Promise<void> {
    await this.store.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A registered thing with its certificate. */
  async member(thingName: string, settings: { SyncShadow?: boolean } = {}): Promise<Member> {
    const certificateId = Buffer.from(thingName).toString('hex').padEnd(64, '0').slice(0, 64);
    const [ThingArn, CertificateArn] = [`${IOT}:thing/${thingName}`, `${IOT}:cert/${certificateId}`];
    if (!(await this.store.things.find(thingName))) {
      await this.store.things.create({
        ...{ thingName, thingId: thingName, thingArn: ThingArn, attributes: {}, version: 1, createdAt: AT },
      });
      await this.store.certificates.create({
        ...{ certificateId, certificateArn: CertificateArn, pem: 'PEM', status: 'ACTIVE', createdAt: AT },
      });
    }
    return { Id: thingName, ThingArn, CertificateArn, ...settings };
  }

  /** A function of version 1 with alias `live` on it. */
  async lambda(functionName: string): Promise<void> {
    await this.store.lambdas.create({
      ...{ functionName, version: '$LATEST', runtime: 'python3.7', handler: 'main.handler', role: 'r' },
      ...{ description: 'says hello', timeoutS: 7, memoryMb: 128, environment: {} },
      ...{ codeSha256Hex: DIGEST, codeSizeBytes: 1234, revisionId: 'r', lastModified: AT },
    });
    await this.store.lambdas.publish(functionName);
    await this.store.lambdas.createAlias({
      ...{ functionName, name: 'live', functionVersion: '1', description: '', revisionId: 'r' },
    });
  }

  /** A group version that refers to a new definition for each part. */
  async version(parts: GroupParts): Promise<string> {
    const references: Record<string, string> = {};
    for (const [kind, content] of Object.entries(parts) as Array<[DefinitionKind, object | string]>) {
      const [id, version] = [randomUUID(), randomUUID()];
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      await this.store.containers.create(
        { kind, id, createdAt: AT, updatedAt: AT, latestVersion: version, tags: {} },
        { kind, id, version, createdAt: AT, content: text },
      );
      const name = `${kind.charAt(0).toUpperCase()}${kind.slice(1, -1)}DefinitionVersionArn`;
      references[name] =
        `arn:aws:greengrass:${REGION}:${ACCOUNT}:/greengrass/definition/${kind}/${id}/versions/${version}`;
    }
    return this.rawVersion(references);
  }

  /** A group version with exactly this content. */
  async rawVersion(content: object): Promise<string> {
    const version = randomUUID();
    const group = { kind: 'groups' as const, id: this.groupId, version, createdAt: AT };
    await this.store.containers.addVersion({ ...group, content: JSON.stringify(content) });
    return version;
  }

  /** A deployment as the API makes it. */
  newDeployment(fields: Partial<Deployment> = {}): Deployment {
    return {
      ...{ deploymentId: randomUUID(), groupId: this.groupId, type: 'NewDeployment', status: 'Building' },
      ...{ createdAt: AT, updatedAt: AT },
      ...fields,
    };
  }

  /** The same, kept. */
  async deployment(fields: Partial<Deployment> = {}): Promise<Deployment> {
    const deployment = this.newDeployment(fields);
    await this.store.deployments.create(deployment);
    return deployment;
  }
}
