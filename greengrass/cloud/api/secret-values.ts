/** Versions of secrets: their values sealed and opened, their labels given. */
import { randomUUID } from 'node:crypto';
import type { Vault } from '../../lib/vault.js';
import { sealName } from '../store/secret-source.js';
import type { Secret, SecretStore, SecretVersion } from '../store/secrets.js';
import { refusal } from './errors.js';
import type { Checked } from './secret-requests.js';
import { CURRENT, withVersion } from './secret-stages.js';

const MAX_STAGES = 20;

type Value = Checked<'PutSecretValue'>;

export class SecretValues {
  constructor(
    private readonly secrets: SecretStore,
    private readonly vault: Vault,
  ) {}

  /** The version that a request makes; undefined where it brings no value. */
  make(
    secret: Secret,
    { SecretString, SecretBinary, ClientRequestToken }: Partial<Value>,
    stages: readonly string[],
    createdAt: string,
  ): SecretVersion | undefined {
    if (SecretString !== undefined && SecretBinary !== undefined) {
      throw refusal('InvalidParameterException', "You can't specify both a SecretString and a SecretBinary.");
    }
    if (SecretString === undefined && SecretBinary === undefined) return undefined;
    if (stages.length > MAX_STAGES) {
      throw refusal('InvalidParameterException', `VersionStages: at most ${MAX_STAGES} labels.`);
    }
    const versionId = ClientRequestToken ?? randomUUID();
    const plain =
      SecretBinary === undefined ? Buffer.from(SecretString ?? '') : Buffer.from(SecretBinary, 'base64');
    const sealed = this.vault.seal(sealName(secret.arn, versionId), plain);
    return { versionId, createdAt, stages, isBinary: SecretBinary !== undefined, sealed };
  }

  /** Adds the version; one with the same id and value is there already, which is no change. */
  async add(secret: Secret, version: SecretVersion, now: string): Promise<SecretVersion> {
    const { secrets } = this;
    const versions = await secrets.versions(secret.arn);
    const same = versions.find(({ versionId }) => versionId === version.versionId);
    if (same) {
      const given = this.open(secret, version);
      if (same.isBinary === version.isBinary && this.open(secret, same).equals(given)) return same;
      throw refusal(
        'ResourceExistsException',
        `You can't modify the value of version ${version.versionId}: use another ClientRequestToken.`,
      );
    }
    // The first version is always the current one.
    const stages = versions.length === 0 ? [...new Set([CURRENT, ...version.stages])] : version.stages;
    const added = { ...version, stages };
    await secrets.save({ ...secret, changedAt: now }, withVersion(versions, added));
    return added;
  }

  isSame(secret: Secret, version: SecretVersion, { SecretString, SecretBinary }: Partial<Value>): boolean {
    if (version.isBinary !== (SecretBinary !== undefined)) return false;
    const given =
      SecretBinary === undefined ? Buffer.from(SecretString ?? '') : Buffer.from(SecretBinary, 'base64');
    return this.open(secret, version).equals(given);
  }

  open(secret: Secret, { versionId, sealed }: SecretVersion): Buffer {
    return this.vault.open(sealName(secret.arn, versionId), sealed);
  }
}
