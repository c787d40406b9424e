/**
 * A function's folder → the zip that is uploaded: its files, and the Core SDK that it imports, as V1 users bundle it.
 * The same folder gives the same bytes, so that an unchanged function is not deployed again.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { ZipFile } from 'yazl';
import { PACKAGE_ROOT } from '../lib/package-root.js';

/** All entries carry this time; the clock must not change the digest. */
const ENTRY_TIME = new Date('2020-01-01T00:00:00Z');
const LEFT_OUT = new Set(['README.md', 'lambda.json', '__pycache__', '.git']);

export type BundledSdk = 'python' | 'nodejs' | 'none';

/** All files of a folder as they are, for code that was a zip before. Links become what they lead to, within the folder. */
export async function packFolder(folder: string): Promise<Buffer> {
  const files = new Map<string, string>();
  collect(folder, '', files, new Set());
  collectLinks(folder, files);
  return zipOf(files);
}

/** Throws where a link leads nowhere, out of the folder or to a folder that it lies in. */
function collectLinks(folder: string, files: Map<string, string>): void {
  const top = realpathSync(folder);
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isSymbolicLink()) continue;
    const link = join(entry.parentPath, entry.name);
    const target = existsSync(link) ? realpathSync(link) : undefined;
    const isWithin =
      target?.startsWith(`${top}/`) && !`${realpathSync(entry.parentPath)}/`.startsWith(`${target}/`);
    if (target === undefined || !isWithin) {
      throw new Error(
        `${link} is a link to ${readlinkSync(link)}: a function's code may only hold links to files within ${folder}`,
      );
    }
    const name = relative(folder, link);
    if (statSync(target).isDirectory()) collect(target, name, files, new Set());
    else files.set(name, target);
  }
}

export async function packLambda(folder: string, sdk: BundledSdk): Promise<Buffer> {
  const files = new Map<string, string>();
  collect(folder, '', files);
  if (sdk === 'python') collect(join(PACKAGE_ROOT, 'greengrass/sdk/python'), '', files);
  if (sdk === 'nodejs') collectPackage('aws-greengrass-core-sdk', join(PACKAGE_ROOT, 'package.json'), files);
  return zipOf(files);
}

async function zipOf(files: ReadonlyMap<string, string>): Promise<Buffer> {
  const zip = new ZipFile();
  for (const [name, path] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const mode = (statSync(path).mode & 0o111) === 0 ? 0o100644 : 0o100755;
    zip.addBuffer(readFileSync(path), name, { mtime: ENTRY_TIME, mode });
  }
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function collect(
  folder: string,
  prefix: string,
  files: Map<string, string>,
  leftOut: ReadonlySet<string> = LEFT_OUT,
): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (leftOut.has(entry.name) || (leftOut.size > 0 && entry.name.endsWith('.pyc'))) continue;
    const path = join(folder, entry.name);
    const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.isDirectory()) collect(path, name, files, leftOut);
    else if (entry.isFile()) files.set(name, path);
  }
}

/** A package and what it depends on, side by side under node_modules. */
function collectPackage(name: string, from: string, files: Map<string, string>): void {
  const target = `node_modules/${name}`;
  if (files.has(`${target}/package.json`)) return;
  const manifest = createRequire(from).resolve(`${name}/package.json`);
  collect(dirname(manifest), target, files);
  for (const path of [...files.keys()]) {
    // Nested copies would only be left-overs of the development tree.
    if (path.startsWith(`${target}/node_modules/`) || path.startsWith(`${target}/test/`)) files.delete(path);
  }
  const { dependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    dependencies?: Record<string, string>;
  };
  for (const dependency of Object.keys(dependencies)) collectPackage(dependency, manifest, files);
}
