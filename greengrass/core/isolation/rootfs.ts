/**
 * What a container sees as its root file system: an overlay of the host's root, or, where the kernel refuses that, the
 * host's top folders bound read-only into a small root of its own. Also: where hidden folders show up in either.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Mount } from './worker-process.js';

export type RootfsKind = 'overlay' | 'bind';

/** The container makes these itself, or they hold nothing for it. */
const OWN_PLACES = new Set(['proc', 'sys', 'dev', 'run', 'tmp', 'lambda', 'runtime', 'lost+found']);

/**
 * Fills `root` with the links of the host's root and answers binds for its folders. As with the overlay, folders on other
 * disks stay out, but for /usr.
 */
export function bindRoot(root: string): Mount[] {
  mkdirSync(root, { recursive: true, mode: 0o755 });
  const rootDevice = statSync('/').dev;
  const mounts: Mount[] = [];
  for (const name of readdirSync('/')) {
    if (OWN_PLACES.has(name)) continue;
    const path = join('/', name);
    const stat = lstatSync(path);
    if (stat.isSymbolicLink()) symlinkSync(readlinkSync(path), join(root, name));
    else if (stat.isDirectory() && (stat.dev === rootDevice || name === 'usr'))
      mounts.push({ source: path, destination: path, readOnly: true });
  }
  return mounts;
}

/**
 * A folder under all names that it has in the host's root: its own, the one behind links, and the one that it has
 * where its disk, the root's, is mounted a second time at some place.
 */
export function namesOf(path: string, mountinfo = readFileSync('/proc/self/mountinfo', 'utf8')): string[] {
  let real = path;
  try {
    real = realpathSync(path);
  } catch {
    // Not there yet: its name is all that is known.
  }
  const mounts = mountinfo.split('\n').flatMap(parseMount);
  const root = mounts.filter(({ point }) => point === '/').at(-1);
  const names = new Set([path, real]);
  const holder = mounts
    .filter(({ point }) => point === '/' || real === point || real.startsWith(`${point}/`))
    .reduce<MountLine | undefined>(
      (best, mount) => (best && best.point.length > mount.point.length ? best : mount),
      undefined,
    );
  if (root && holder && holder.device === root.device) {
    const inside = join(holder.root, real.slice(holder.point === '/' ? 0 : holder.point.length));
    if (root.root === '/') names.add(inside);
    else if (inside.startsWith(`${root.root}/`)) names.add(inside.slice(root.root.length));
  }
  return [...names];
}

interface MountLine {
  readonly device: string;
  /** Folder of the file system that is mounted. */
  readonly root: string;
  readonly point: string;
}

/** proc(5): id, parent, device, root, mount point; blanks in paths are \040. */
function parseMount(line: string): MountLine[] {
  const [, , device, root, point] = line
    .split(' ')
    .map((text) =>
      text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
  return device && root && point ? [{ device, root, point }] : [];
}

/**
 * Volumes with the sources behind all links, as they are now: what a deployment has checked may have become a link since.
 * Throws where one lies in a hidden folder; answers what of hidden folders lies in volumes, as the container sees it.
 */
export function volumes(
  mounts: readonly Mount[],
  hidden: readonly string[],
): { mounts: Mount[]; masks: string[] } {
  const resolved = mounts.map((mount) => ({ ...mount, source: realSource(mount.source) }));
  const masks: string[] = [];
  for (const { source, destination } of resolved) {
    for (const folder of hidden) {
      if (isWithin(source, folder)) {
        throw new Error(
          `the volume ${source} lies in ${folder}, which functions must not see: choose another folder`,
        );
      }
      if (isWithin(folder, source))
        masks.push(join(destination, folder.slice(source === '/' ? 0 : source.length)));
    }
  }
  return { mounts: resolved, masks };
}

function realSource(source: string): string {
  try {
    return realpathSync(source);
  } catch (error) {
    throw new Error(
      `unable to start lambda container: the volume ${source} cannot be mounted: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`);
}
