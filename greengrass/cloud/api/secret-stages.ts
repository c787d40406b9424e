/**
 * Staging labels of a secret's versions. Pure. A label stands at one version; AWSCURRENT always stands at one, and what it
 * leaves becomes AWSPREVIOUS.
 */
import type { SecretVersion } from '../store/secrets.js';

export const CURRENT = 'AWSCURRENT';
const PREVIOUS = 'AWSPREVIOUS';
/** Versions that a secret keeps; those without a label go first, the oldest at once. */
const MAX_VERSIONS = 100;

/** The versions with a new one, which takes its labels from those that have them. */
export function withVersion(
  versions: readonly SecretVersion[],
  added: SecretVersion,
): readonly SecretVersion[] {
  const all = [...versions, { ...added, stages: [] }];
  const labelled = added.stages.reduce<readonly SecretVersion[]>(
    (list, stage) => moveStage(list, stage, added.versionId),
    all,
  );
  return prune(labelled);
}

/** The versions with the label at `to`, or at none. AWSCURRENT takes AWSPREVIOUS along to the version it leaves. */
export function moveStage(
  versions: readonly SecretVersion[],
  stage: string,
  to: string | undefined,
): readonly SecretVersion[] {
  const from = versions.find(({ stages }) => stages.includes(stage));
  const moved = versions.map((version) => ({
    ...version,
    stages: [
      ...version.stages.filter((label) => label !== stage),
      ...(version.versionId === to ? [stage] : []),
    ],
  }));
  const isCurrentLeaving = stage === CURRENT && from !== undefined && from.versionId !== to;
  return isCurrentLeaving ? moveStage(moved, PREVIOUS, from.versionId) : moved;
}

function prune(versions: readonly SecretVersion[]): readonly SecretVersion[] {
  let surplus = versions.length - MAX_VERSIONS;
  return versions.filter(({ stages }) => stages.length > 0 || surplus-- <= 0);
}
