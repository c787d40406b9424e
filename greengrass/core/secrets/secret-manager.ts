/**
 * V1's local secret manager (GGSecretManager): the secrets that a group's resources name, fetched when the group is
 * deployed, sealed on the disk under a key that comes from the core's private key, and given to those functions that
 * have the resource. They are there while the cloud is away; a secret that was rotated in the cloud waits for the next
 * deployment, as in V1.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { CheckError, check, checkJson, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import type { Vault } from '../../lib/vault.js';
import { type GroupDocument, type SecretResource, secretResources } from '../../model/group.js';
import { type DeployedSecret, deployedSecret, type ServiceClient } from '../service-client.js';

export interface SecretManagerOptions {
  /** Holds the sealed secrets. */
  readonly folder: string;
  readonly vault: Vault;
  readonly service: Pick<ServiceClient, 'secret'>;
  readonly logger: Logger;
}

/** What V1's SDKs send; they never name a version id. */
const request = z.object({
  SecretId: z.string().min(1).max(2048),
  VersionStage: z.string().min(1).max(256).nullish(),
});

export class SecretManager {
  readonly #options: SecretManagerOptions;
  #group: GroupDocument | undefined;

  constructor(options: SecretManagerOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
  }

  /** Fetches what the group needs and is not here in the same versions. Rejects with ServiceError. */
  async fetch(group: GroupDocument, place: { groupId: string; deploymentId: string }): Promise<void> {
    for (const resource of secretResources(group)) {
      const file = this.#fileOf(resource);
      if (existsSync(file)) continue;
      const secret = await this.#options.service.secret(place.groupId, place.deploymentId, resource.Id);
      const sealed = this.#options.vault.seal(resource.Data.ARN, Buffer.from(JSON.stringify(secret)));
      writeFileAtomic(file, sealed, 0o600);
    }
  }

  /** The group that runs from now on. Secrets are kept for it and for the one before, which may come back; no others. */
  use(group: GroupDocument): void {
    const groups = this.#group ? [this.#group, group] : [group];
    this.#group = group;
    const kept = new Set(groups.flatMap(secretResources).map((resource) => this.#fileOf(resource)));
    for (const name of readdirSync(this.#options.folder)) {
      const file = join(this.#options.folder, name);
      if (!kept.has(file)) rmSync(file, { force: true });
    }
  }

  /** V1's reset: the core knows no secret any more. */
  clear(): void {
    this.#group = undefined;
    for (const name of readdirSync(this.#options.folder)) rmSync(join(this.#options.folder, name));
  }

  /** Answers the secret, or V1's refusal, for a function of the group. */
  async answer(functionArn: string, payload: Uint8Array): Promise<Buffer> {
    try {
      const text = Buffer.from(payload).toString('utf8');
      const { SecretId, VersionStage } = checkJson(request, text, 'secret request');
      return this.#answer(functionArn, SecretId, VersionStage ?? 'AWSCURRENT');
    } catch (error) {
      if (error instanceof CheckError) return refusal(400, error.message);
      throw error;
    }
  }

  #answer(functionArn: string, id: string, stage: string): Buffer {
    const resource = secretResources(this.#group ?? NO_GROUP).find(({ Data }) => isNamed(Data, id));
    if (!resource) return refusal(404, `there is no secret ${id} in the group`);
    if (!this.#mayRead(functionArn, resource.Id)) {
      return refusal(
        401,
        `the secret resource ${resource.Id} is not attached to the function ${functionArn}`,
      );
    }
    const secret = this.#open(resource);
    if (!secret) return refusal(500, `the secret ${id} can't be read on this core: deploy the group again`);
    const version = secret.Versions.find(({ VersionStages }) => VersionStages.includes(stage));
    if (!version) return refusal(404, `the secret ${id} has no version with the staging label ${stage}`);
    // V1's SDK for Java knows these members and no others.
    return Buffer.from(
      JSON.stringify({
        ARN: secret.ARN,
        Name: secret.Name,
        VersionId: version.VersionId,
        SecretBinary: version.SecretBinary ?? null,
        SecretString: version.SecretString ?? null,
        VersionStages: version.VersionStages,
        CreatedDate: version.CreatedDate,
      }),
    );
  }

  #mayRead(functionArn: string, resourceId: string): boolean {
    const { Lambdas } = (this.#group ?? NO_GROUP).GroupDefinitions;
    const groupFunction = Lambdas.Content.find(({ FunctionArn }) => FunctionArn === functionArn);
    const policies = groupFunction?.DeploymentConfiguration.Environment?.ResourceAccessPolicies ?? [];
    return policies.some(({ ResourceId }) => ResourceId === resourceId);
  }

  #open(resource: SecretResource): DeployedSecret | undefined {
    try {
      const sealed = readFileSync(this.#fileOf(resource), 'utf8');
      const plain = this.#options.vault.open(resource.Data.ARN, sealed).toString('utf8');
      return check(deployedSecret, JSON.parse(plain), 'sealed secret');
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? 'it does not open with the key of this core';
      this.#options.logger.error({ resourceId: resource.Id, reason }, 'A secret could not be read.');
      return undefined;
    }
  }

  /** Another version is another file: while a deployment can still be undone both are there. */
  #fileOf({ Data: { ARN, Versions } }: SecretResource): string {
    const digest = createHash('sha256')
      .update(JSON.stringify([ARN, Versions]))
      .digest('hex');
    return join(this.#options.folder, digest);
  }
}

const NO_GROUP: Pick<GroupDocument, 'GroupDefinitions'> = {
  GroupDefinitions: {
    Resources: { Content: [] },
    Lambdas: { Content: [] },
    Subscriptions: { Content: [] },
    Logging: { Content: [] },
    ShadowSync: { Content: [] },
    ClientCertFingerprints: { Content: [] },
  },
};

/** By name, by ARN, or by the ARN without the six characters at its end. */
function isNamed({ ARN, Name }: SecretResource['Data'], id: string): boolean {
  return id === Name || id === ARN || ARN.replace(/-[A-Za-z0-9]{6}$/, '') === id;
}

/** V1's SDKs want exactly these two members. */
function refusal(Status: number, Message: string): Buffer {
  return Buffer.from(JSON.stringify({ Status, Message }));
}
