/**
 * The machine learning models that a function is affiliated with: a mount at the model's destination in a container, a
 * folder of links without one, and the groups that own them.
 */
import { join } from 'node:path';
import { gidOf } from '../../lib/unix-group.js';
import type { GroupDocument, GroupFunction } from '../../model/group.js';
import { isModelResource } from '../../model/group.js';
import { isolationOf } from '../../model/group-checks.js';
import { modelLinks, modelPermission, modelPlaces } from '../../model/ml-model.js';
import { DeploymentError } from '../errors.js';
import type { Mount } from '../isolation/worker-process.js';

export interface FunctionModels {
  readonly mounts: Mount[];
  readonly gids: number[];
  /** What AWS_GG_RESOURCE_PREFIX says; absent where the function has no models, or a container. */
  readonly prefix?: string;
}

/** `gids`: groups that the function has for other reasons. Throws DeploymentError where they would open a model to it. */
export function resolveModels(
  group: GroupDocument,
  groupFunction: GroupFunction,
  identity: { readonly uid: number; readonly gids: readonly number[] },
  writeDirectory: string,
): FunctionModels {
  const { FunctionArn: arn, DeploymentConfiguration: settings } = groupFunction;
  const policies = settings.Environment?.ResourceAccessPolicies ?? [];
  const models = group.GroupDefinitions.Resources.Content.filter(isModelResource);
  const places = modelPlaces(group);
  const folder = join(writeDirectory, 'deployment');
  const mounts: Mount[] = [];
  const gids = new Set<number>();
  const others: Array<{ id: string; gid: number }> = [];
  for (const model of models) {
    const place = places.get(model.Id);
    if (!place) continue;
    const gid = place.groupOwner === undefined ? undefined : ownerGid(model.Id, place.groupOwner);
    const policy = policies.find(({ ResourceId }) => ResourceId === model.Id);
    if (!policy) {
      if (gid !== undefined) others.push({ id: model.Id, gid });
      continue;
    }
    if (gid !== undefined) gids.add(gid);
    mounts.push({
      source: join(folder, place.path),
      destination: model.Data.DestinationPath,
      readOnly: modelPermission(policy, model) !== 'rw',
      isOwn: true,
    });
  }
  const all = new Set([...gids, ...identity.gids]);
  const leak = identity.uid === 0 ? undefined : others.find(({ gid }) => all.has(gid));
  if (leak) {
    throw inaccessible(
      `Lambda ${arn} gains access to resource ${leak.id} by sharing the same group owner id`,
    );
  }
  if (isolationOf(group, groupFunction) === 'GreengrassContainer') return { mounts, gids: [...gids] };
  const links = modelLinks(group, (f) => f === groupFunction).get(arn);
  return {
    mounts: [],
    gids: [...gids],
    ...(links ? { prefix: join(folder, 'mlmodel_links', links.name) } : {}),
  };
}

function ownerGid(id: string, owner: string): number {
  const gid = gidOf(owner);
  if (gid === undefined) throw inaccessible(`resource ${id}: there is no group "${owner}"`);
  return gid;
}

function inaccessible(reason: string): DeploymentError {
  return new DeploymentError(
    'ResourceNotAccessible',
    `Error while processing. group config is invalid: ${reason}`,
  );
}
