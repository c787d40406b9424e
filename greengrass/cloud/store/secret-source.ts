/** Where deployments find the values of secrets: in our own store, or, in a hybrid installation, at AWS. */
import type { Vault } from '../../lib/vault.js';
import type { SecretStore } from './secrets.js';

/** One version of a secret. Exactly one of the two values is there. */
export interface SecretValue {
  readonly arn: string;
  readonly name: string;
  readonly versionId: string;
  readonly stages: readonly string[];
  /** ISO 8601. */
  readonly createdAt: string;
  readonly text?: string;
  readonly binary?: Uint8Array;
}

export interface SecretSource {
  /** The version that carries the staging label; undefined where there is no such secret or version. */
  value(nameOrArn: string, stage: string): Promise<SecretValue | undefined>;
}

/** What a version's value is sealed under. */
export function sealName(arn: string, versionId: string): string {
  return `${arn} ${versionId}`;
}

export class OwnSecrets implements SecretSource {
  constructor(
    private readonly secrets: SecretStore,
    private readonly vault: Vault,
  ) {}

  async value(nameOrArn: string, stage: string): Promise<SecretValue | undefined> {
    const secret = await this.secrets.find(nameOrArn);
    if (!secret || secret.deletionAt !== undefined) return undefined;
    const version = (await this.secrets.versions(secret.arn)).find(({ stages }) => stages.includes(stage));
    if (!version) return undefined;
    const { arn, name } = secret;
    const { versionId, stages, createdAt, isBinary } = version;
    const plain = this.vault.open(sealName(arn, versionId), version.sealed);
    const value = isBinary ? { binary: plain } : { text: plain.toString('utf8') };
    return { arn, name, versionId, stages, createdAt, ...value };
  }
}
