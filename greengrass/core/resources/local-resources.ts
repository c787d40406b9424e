/**
 * The local resources that a function is affiliated with: volumes and devices, as mounts, device nodes and groups for its
 * worker. Ordinary file permissions still decide; what they forbid fails the deployment with V1's text.
 */
import { realpathSync, type Stats, statSync } from 'node:fs';
import { gidOf } from '../../lib/unix-group.js';
import type { ResourceAccessPolicy } from '../../model/function-config.js';
import { type GroupResource, isModelResource, type LocalResource } from '../../model/group.js';
import { DeploymentError } from '../errors.js';
import type { Device, Mount } from '../isolation/worker-process.js';

export interface LocalResources {
  readonly mounts: Mount[];
  readonly devices: Device[];
  readonly additionalGids: number[];
}

/** Throws DeploymentError where a source is missing, forbidden, or not accessible to the function's user. */
export function resolveLocalResources(
  resources: readonly GroupResource[],
  policies: readonly ResourceAccessPolicy[],
  identity: { readonly uid: number; readonly gid: number },
): LocalResources {
  const byId = new Map(resources.map((resource) => [resource.Id, resource]));
  const mounts: Mount[] = [];
  const devices: Device[] = [];
  const gids = new Set<number>();
  for (const { ResourceId, Permission = 'ro' } of policies) {
    const resource = byId.get(ResourceId);
    if (!resource) throw inaccessible(`resource ${ResourceId} is not in the group`);
    // Secrets are read from the secret manager by who has them; models have a module of their own.
    if (resource.Type === 'SECRETS_MANAGER_SECRET' || isModelResource(resource)) continue;
    const { path, stat } = source(resource);
    const gid = groupOf(resource, stat);
    if (gid !== undefined) gids.add(gid);
    const readOnly = Permission === 'ro';
    checkAccess(path, stat, identity, [identity.gid, ...(gid === undefined ? [] : [gid])], Permission);
    if (resource.Type === 'LOCAL_DEVICE') {
      if (!stat.isCharacterDevice() && !stat.isBlockDevice()) throw inaccessible(`${path} is not a device`);
      devices.push({ path, readOnly });
    } else {
      const isProc = path === '/proc' || path.startsWith('/proc/');
      mounts.push({ source: path, destination: resource.Data.DestinationPath, readOnly: readOnly || isProc });
    }
  }
  gids.delete(identity.gid);
  return { mounts, devices, additionalGids: [...gids] };
}

/** The source behind all links: a link must not lead where V1 forbids to go. */
function source(resource: LocalResource): { path: string; stat: Stats } {
  const given = resource.Data.SourcePath;
  let path: string;
  let stat: Stats;
  try {
    path = realpathSync(given);
    stat = statSync(path);
  } catch (error) {
    throw inaccessible(`resource ${resource.Id}: ${given}: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (/^\/sys(\/|$)/.test(path)) throw inaccessible(`resource ${resource.Id}: Accessing /sys is prohibited`);
  if (resource.Type === 'LOCAL_DEVICE' && !path.startsWith('/dev/')) {
    throw inaccessible(
      `resource ${resource.Id}: Device resource path should begin with /dev, but got: ${path}`,
    );
  }
  return { path, stat };
}

function groupOf({ Id, Data: { GroupOwnerSetting } }: LocalResource, stat: Stats): number | undefined {
  if (GroupOwnerSetting?.AutoAddGroupOwner) return stat.gid;
  const name = GroupOwnerSetting?.GroupOwner;
  if (!name) return undefined;
  const gid = gidOf(name);
  if (gid === undefined) throw inaccessible(`resource ${Id}: there is no group "${name}"`);
  return gid;
}

function checkAccess(
  path: string,
  stat: Stats,
  { uid }: { uid: number },
  gids: readonly number[],
  permission: 'ro' | 'rw',
): void {
  if (uid === 0) return;
  const wanted = permission === 'rw' ? 0o6 : 0o4;
  const shift = stat.uid === uid ? 6 : gids.includes(stat.gid) ? 3 : 0;
  if (((stat.mode >> shift) & wanted) === wanted) return;
  throw inaccessible(
    `${uid} or [${gids.join(' ')}] don't have ${permission} permission on the file: ${path}`,
  );
}

function inaccessible(reason: string): DeploymentError {
  return new DeploymentError(
    'ResourceNotAccessible',
    `Error while processing. group config is invalid: ${reason}`,
  );
}
