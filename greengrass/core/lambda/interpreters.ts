/** Interpreters on this device: where V1 looks for them, Java's own places, and who may run what is found. */
import { accessSync, constants, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

/** V1's places. */
export const FOLDERS = ['/usr/bin', '/usr/local/bin'] as const;
/** Debian's, Red Hat's and others' place for Java. */
const JAVA_FOLDER = '/usr/lib/jvm';

/** The first of `names` (programs of the folders, or absolute paths) that every user may run. */
export function findInterpreter(names: readonly string[]): string | undefined {
  return names
    .flatMap((name) => (isAbsolute(name) ? [name] : FOLDERS.map((folder) => join(folder, name))))
    .find(isRunnableByAll);
}

/** Names of programs in the folders that match, in order. */
export function installed(pattern: RegExp): string[] {
  return FOLDERS.flatMap((folder) => namesIn(folder).filter((name) => pattern.test(name))).sort();
}

/** Java programs that run classes of release `wanted`: of that release first, then newer ones, lowest first. */
export function javaPrograms(wanted: number): string[] {
  const paths = [
    ...FOLDERS.map((folder) => join(folder, 'java')),
    ...namesIn(JAVA_FOLDER).map((name) => join(JAVA_FOLDER, name, 'bin/java')),
  ];
  const found = paths.flatMap((path) => {
    const release = javaRelease(path);
    return release !== undefined && release >= wanted ? [{ path, release }] : [];
  });
  return found.sort((a, b) => a.release - b.release).map(({ path }) => path);
}

/** Release of an installed Java (8, 11, 17 …) from the file that it brings along; undefined where there is none. */
export function javaRelease(path: string): number | undefined {
  try {
    const home = dirname(dirname(realpathSync(path)));
    const file = [home, dirname(home)]
      .map((folder) => join(folder, 'release'))
      .find((name) => statSync(name, { throwIfNoEntry: false })?.isFile());
    const version = /^JAVA_VERSION="(?:1\.)?(\d+)/m.exec(file ? readFileSync(file, 'utf8') : '');
    return version ? Number(version[1]) : undefined;
  } catch {
    return undefined;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** The function's user, not root, will run it: every folder on the real path must be open to others. */
function isRunnableByAll(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    let at = realpathSync(path);
    for (;;) {
      if ((statSync(at).mode & 0o001) === 0) return false;
      if (at === '/') return true;
      at = dirname(at);
    }
  } catch {
    return false;
  }
}
