/**
 * What a container sees as its root file system: an overlay of the host's root, or, where the kernel refuses that, the
 * host's top folders bound read-only into a small root of its own. Also: where hidden folders show up in either.
 */
import {
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
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
 * Throws where a volume's place is not there in a root of binds: the engine would make it, in the host's own folder. (An
 * overlay takes it in its upper layer.) Places at the top, or in what the container has of its own, can be made.
 */
export function checkPlaces(mounts: readonly Mount[]): void {
  const rootDevice = statSync('/').dev;
  for (const { destination } of mounts) {
    const top = destination.split('/').find((part) => part !== '') ?? '';
    const stat = statSync(join('/', top), { throwIfNoEntry: false });
    const isOwn = OWN_PLACES.has(top) || !stat?.isDirectory() || (stat.dev !== rootDevice && top !== 'usr');
    const isInVolume = mounts.some((other) => destination.startsWith(`${other.destination}/`));
    if (isOwn || isInVolume || statSync(destination, { throwIfNoEntry: false })) continue;
    throw new Error(
      `unable to start lambda container: ${destination} is not there, and without overlayfs it can't be made for one container: make it on this device, or choose a destination that is there`,
    );
  }
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

/** Lines of mountinfo for the mount that holds a path, and for all below it. */
export function mountsOf(path: string, mountinfo: string): string[] {
  const lines = mountinfo
    .split('\n')
    .flatMap((line) => parseMount(line).map(({ point }) => ({ line, point })));
  const holder = lines
    .filter(({ point }) => isWithin(path, point))
    .reduce<{ line: string; point: string } | undefined>(
      (best, mount) => (best && best.point.length > mount.point.length ? best : mount),
      undefined,
    );
  const below = lines.filter((mount) => mount !== holder && isWithin(mount.point, path));
  return [...(holder ? [holder] : []), ...below].map(({ line }) => line);
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

/** A volume whose source is held open: what is mounted is what was looked at, whatever becomes of its name. */
export interface HeldVolume extends Mount {
  /** An O_PATH descriptor of the source; whoever asked for it closes it. */
  readonly fd: number;
  /** The path that the group gave; `source` is what lies behind its links. */
  readonly path: string;
  /** Device and inode. */
  readonly identity: string;
  readonly isFolder: boolean;
}

/** Not in Node's constants; the same on every machine that we know. */
const O_PATH = 0o10000000;

/**
 * Volumes with the sources behind all links, as they are now: what a deployment has checked may have become a link since,
 * and where a volume lies in another one, a function can change it at any moment. Throws where one lies in a hidden folder,
 * with nothing left open; answers what of hidden folders lies in volumes, as the container sees it.
 */
export function volumes(
  mounts: readonly Mount[],
  hidden: readonly string[],
): { volumes: HeldVolume[]; masks: string[] } {
  const held: HeldVolume[] = [];
  const masks: string[] = [];
  try {
    for (const mount of mounts) {
      const volume = hold(mount);
      held.push(volume);
      for (const folder of hidden) {
        if (!mount.isOwn && isWithin(volume.source, folder)) {
          throw new Error(
            `the volume ${volume.source} lies in ${folder}, which functions must not see: choose another folder`,
          );
        }
        if (isWithin(folder, volume.source))
          masks.push(
            join(volume.destination, folder.slice(volume.source === '/' ? 0 : volume.source.length)),
          );
      }
    }
  } catch (error) {
    for (const { fd } of held) closeSync(fd);
    throw error;
  }
  return { volumes: held, masks };
}

function hold(mount: Mount): HeldVolume {
  try {
    const fd = openSync(mount.source, O_PATH);
    const stat = fstatSync(fd, { bigint: true });
    return {
      ...mount,
      fd,
      path: mount.source,
      source: readlinkSync(`/proc/self/fd/${fd}`),
      identity: `${stat.dev}:${stat.ino}`,
      isFolder: stat.isDirectory(),
    };
  } catch (error) {
    throw new Error(
      `unable to start lambda container: the volume ${mount.source} cannot be mounted: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || folder === '/' || path.startsWith(`${folder}/`);
}
