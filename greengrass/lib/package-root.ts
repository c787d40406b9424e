/** Where this program's own files lie: the folder of package.json, in a clone as in an installed package. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json was not found above the program');
    folder = parent;
  }
  return folder;
}

/** Absolute path of the folder that holds package.json, `greengrass/runtimes`, `lambdas`, … */
export const PACKAGE_ROOT = findPackageRoot();

/** The tree that this program was unpacked into as a package, `<root>/ggc/packages/<version>`; undefined in a clone. */
export function unpackedRoot(): string | undefined {
  const folder = realpathSync(PACKAGE_ROOT);
  return dirname(folder).endsWith('/ggc/packages') ? resolve(folder, '../../..') : undefined;
}

/** Version of the Core software, as in package.json. */
export const VERSION = String(
  (JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { version: unknown }).version,
);
