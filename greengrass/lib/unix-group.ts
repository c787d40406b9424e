/** Groups of the operating system, as /etc/group has them. */
import { readFileSync } from 'node:fs';

/** GID of the group with this name; of a number, the number. Undefined where there is no such group. */
export function gidOf(nameOrId: string): number | undefined {
  if (/^\d{1,10}$/.test(nameOrId)) return Number(nameOrId);
  const line = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${nameOrId}:`));
  const gid = Number(line?.split(':')[2]);
  return line !== undefined && Number.isInteger(gid) ? gid : undefined;
}
