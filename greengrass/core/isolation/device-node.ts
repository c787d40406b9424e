/** A granted device as its node on the host: kind, numbers, owner, rights. */
import { lstatSync } from 'node:fs';
import type { CgroupVersion } from './cgroup.js';
import type { DeviceNode } from './container-spec.js';
import type { Device } from './worker-process.js';

/**
 * Throws where the path is no device, or where a read-only grant can't be kept: cgroup v1 has a rule for it; on v2 the
 * node loses its write bits, which binds ordinary users only.
 */
export function deviceNode({ path, readOnly }: Device, uid: number, version: CgroupVersion): DeviceNode {
  const stat = lstatSync(path);
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) throw new Error(`${path} is not a device`);
  const isByMode = readOnly && version === 'v2';
  if (isByMode && uid === 0) {
    throw new Error(
      `${path} can't be granted read-only to uid 0 on cgroup v2: grant rw, or run as another user`,
    );
  }
  // Linux' dev_t: 12 bits of major between two parts of minor.
  const major = (stat.rdev >> 8) & 0xfff;
  const minor = (stat.rdev & 0xff) | ((stat.rdev >> 12) & 0xfff00);
  return {
    path,
    type: stat.isCharacterDevice() ? 'c' : 'b',
    major,
    minor,
    mode: stat.mode & (isByMode ? 0o444 : 0o777),
    uid: stat.uid,
    gid: stat.gid,
    readOnly,
  };
}
