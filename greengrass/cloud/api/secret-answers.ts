/** Secrets as Secrets Manager's answers show them, and what its filters find. Pure. */
import type { Secret, SecretVersion } from '../store/secrets.js';
import { epochSeconds } from './iot-names.js';

/** True where the window of its deletion has passed: the secret is gone, and its row only waits to be removed. */
export function isDue({ deletionAt }: Secret): boolean {
  return deletionAt !== undefined && Date.parse(deletionAt) <= Date.now();
}

/** The secret as DescribeSecret and ListSecrets show it, without its versions. */
export function describeSecret(secret: Secret): object {
  const { arn, name, description, kmsKeyId, tags, createdAt, changedAt, accessedAt, deletionAt } = secret;
  return {
    ARN: arn,
    Name: name,
    ...(description === undefined ? {} : { Description: description }),
    ...(kmsKeyId === undefined ? {} : { KmsKeyId: kmsKeyId }),
    CreatedDate: epochSeconds(createdAt),
    LastChangedDate: epochSeconds(changedAt),
    ...(accessedAt === undefined ? {} : { LastAccessedDate: epochSeconds(accessedAt) }),
    ...(deletionAt === undefined ? {} : { DeletedDate: epochSeconds(deletionAt) }),
    Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
  };
}

/** The versions that have a label, as VersionIdsToStages. */
export function stagesByVersion(versions: readonly SecretVersion[]): object {
  const labelled = versions.filter(({ stages }) => stages.length > 0);
  return Object.fromEntries(labelled.map(({ versionId, stages }) => [versionId, stages]));
}

/** As Secrets Manager's filters: a value is the beginning of a word; one with `!` before it must not match. */
export function matches(secret: Secret, key: string, values: readonly string[]): boolean {
  const texts: Record<string, readonly string[]> = {
    name: [secret.name],
    description: [secret.description ?? ''],
    'tag-key': Object.keys(secret.tags),
    'tag-value': Object.values(secret.tags),
  };
  const searched = key === 'all' ? Object.values(texts).flat() : (texts[key] ?? []);
  return values.some((value) => {
    const wanted = value.replace(/^!/, '');
    return searched.some((text) => text.startsWith(wanted)) !== value.startsWith('!');
  });
}

/** Tags by their keys; of two with one key the last counts. */
export function tagMap(tags: ReadonlyArray<{ Key: string; Value: string }>): Record<string, string> {
  return Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]));
}
