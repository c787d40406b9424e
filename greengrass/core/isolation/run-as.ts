/** Who a function runs as: its numeric Uid and Gid, else ggc_user and ggc_group of this host. */
import { readFileSync } from 'node:fs';
import { DeploymentError } from '../errors.js';

const USER = 'ggc_user';
const GROUP = 'ggc_group';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** Throws DeploymentError with V1's texts: accounts missing, or root without the core's permission. */
export function resolveRunAs(
  runAs: { readonly Uid?: number; readonly Gid?: number },
  { functionArn, allowRoot }: { functionArn: string; allowRoot: boolean },
): Identity {
  const identity = {
    uid: runAs.Uid ?? lookUp('/etc/passwd', USER, 'UID', 'user'),
    gid: runAs.Gid ?? lookUp('/etc/group', GROUP, 'GID', 'group'),
  };
  if ((identity.uid === 0 || identity.gid === 0) && !allowRoot) {
    throw new DeploymentError(
      'RootNotAllowed',
      `lambda(s) [${functionArn}] are configured to run as root while Greengrass is not configured to run lambdas with root permissions`,
    );
  }
  return identity;
}

function lookUp(file: string, name: string, what: 'UID' | 'GID', kind: 'user' | 'group'): number {
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .find((text) => text.startsWith(`${name}:`));
  const id = Number(line?.split(':')[2]);
  if (line !== undefined && Number.isInteger(id)) return id;
  const command = kind === 'user' ? `adduser --system ${USER}` : `addgroup --system ${GROUP}`;
  throw new DeploymentError(
    'UserNotFound',
    `unable to load the group file downloaded: could not find ${what} based on ${kind} name, ${kind}Name: ${name}: ${kind}: unknown ${kind} ${name}. Make it (${command}), or set RunAs in the group.`,
  );
}
