/**
 * Unpacks a .tar.gz as if its maker were hostile: nothing outside the folder, links only to what lies in it, no special
 * files, no setuid bits, bounded in entries and in bytes that really come out.
 */
import { chmodSync, createReadStream, mkdirSync, symlinkSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { createGunzip } from 'node:zlib';
import { type TarEntry, tarEntries } from './tar-entries.js';
import { isSafePath, type UnpackLimits, UnpackMeter, unsafe, writeUnpacked } from './unpack.js';

/** Unpacks to the folder `target`, which is there and empty. `what` is for messages. */
export async function extractTarGz(
  archive: string,
  target: string,
  what: string,
  limits: UnpackLimits,
): Promise<void> {
  const meter = new UnpackMeter(what, limits);
  const seen = new Map<string, TarEntry['type']>();
  /** Made last: nothing is written through a link. */
  const links: Array<{ path: string; target: string }> = [];
  const source = createReadStream(archive);
  const plain = createGunzip();
  source.on('error', (error) => plain.destroy(error));
  try {
    for await (const entry of tarEntries(source.pipe(plain))) {
      meter.entries(1);
      const path = safePath(entry, what);
      if (path === '') continue;
      const before = seen.get(path);
      if (before !== undefined && !(before === 'folder' && entry.type === 'folder')) {
        throw unsafe(what, `entry "${entry.path.slice(0, 200)}" is there twice`);
      }
      seen.set(path, entry.type);
      if (entry.type === 'folder') mkdirSync(join(target, path), { recursive: true, mode: 0o755 });
      else if (entry.type === 'file') {
        await writeUnpacked(entry.content, join(target, path), entry.isExecutable, meter);
      } else links.push({ path, target: safeTarget(entry, path, what) });
    }
  } finally {
    source.destroy();
    plain.destroy();
  }
  for (const link of links) {
    // What looks like a way up would start elsewhere.
    if (ancestors(link.path).some((folder) => seen.get(folder) === 'link')) {
      throw unsafe(what, `link "${link.path.slice(0, 200)}" lies below another link`);
    }
    mkdirSync(dirname(join(target, link.path)), { recursive: true, mode: 0o755 });
    symlinkSync(link.target, join(target, link.path));
  }
  chmodSync(target, 0o755);
}

function ancestors(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}

/** The entry's path inside the folder, empty for the folder itself; `./` in front is what tar writes for `tar c .` */
function safePath({ path: given }: TarEntry, what: string): string {
  const path = given.replace(/^(\.\/+)+/, '');
  if (path === '.' || path === '') return '';
  if (isSafePath(path)) return path;
  throw unsafe(what, `entry "${given.slice(0, 200)}" leads out of its folder or is no path`);
}

/**
 * Where the link points, which must be inside. `..` counts at its beginning only: behind another link it would not be the
 * folder above that it looks like.
 */
function safeTarget({ target }: TarEntry, path: string, what: string): string {
  const plain = target.replace(/^(\.\.\/)*(\.\/)?/, '');
  const inside = posix.normalize(posix.join(posix.dirname(path), target));
  const isUp = /^(\.\.\/)*\.\.$/.test(target);
  const isPlain = isUp || isSafePath(plain.replace(/\/$/, ''));
  const leavesIt = target.startsWith('/') || inside === '..' || inside.startsWith('../');
  if (isPlain && !leavesIt) return target;
  throw unsafe(what, `link "${path.slice(0, 200)}" leads out of its folder, to "${target.slice(0, 200)}"`);
}
