/**
 * Unpacks a zip as if its maker were hostile: nothing outside the folder, no links, no special files, no setuid bits,
 * bounded in entries and in bytes that really come out.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Entry, open, type ZipFile } from 'yauzl';
import { DeploymentError } from '../errors.js';
import {
  isSafePath,
  tooLarge,
  type UnpackLimits,
  UnpackMeter,
  unpackInto,
  unsafe,
  writeUnpacked,
} from './unpack.js';

export type UnzipLimits = UnpackLimits;

/** AWS Lambda's limit for an unpacked function is 250 MB. */
export const UNZIP_LIMITS: UnzipLimits = { maxEntries: 10_000, maxBytes: 250 * 1024 * 1024 };

const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;
const FOLDER = 0o040000;

/** Unpacks a function's `zip` to `folder`, replacing what is there. `name` is for messages. Throws DeploymentError. */
export async function unzip(zip: string, folder: string, name: string, limits = UNZIP_LIMITS): Promise<void> {
  const what = codeOf(name);
  await unpackInto(folder, what, 'zip file', (temporary) => extractZip(zip, temporary, what, limits));
}

/** What the zip's table of contents says will come out of it, in bytes. Throws DeploymentError. */
export async function unpackedBytes(zip: string, name: string, limits = UNZIP_LIMITS): Promise<number> {
  return zipContentBytes(zip, codeOf(name), limits);
}

function codeOf(name: string): string {
  return `the code of ${name}`;
}

/** The same for any zip. `what` is for messages. */
export async function zipContentBytes(zip: string, what: string, limits: UnpackLimits): Promise<number> {
  let archive: ZipFile | undefined;
  try {
    archive = await openZip(zip);
    let bytes = 0;
    for await (const entry of entriesOf(archive)) bytes += entry.uncompressedSize;
    if (bytes > limits.maxBytes) throw tooLarge(what, `it unpacks to more than ${limits.maxBytes} bytes`);
    return bytes;
  } catch (error) {
    if (error instanceof DeploymentError) throw error;
    throw unsafe(what, `it can't be read as a zip file (${(error as Error).message})`, error);
  } finally {
    archive?.close();
  }
}

/** Unpacks to the folder `target`, which is there and empty. */
export async function extractZip(
  zip: string,
  target: string,
  what: string,
  limits: UnpackLimits,
): Promise<void> {
  const archive = await openZip(zip);
  const meter = new UnpackMeter(what, limits);
  const seen = new Set<string>();
  try {
    meter.entries(archive.entryCount);
    for await (const entry of entriesOf(archive)) {
      const path = safePath(entry, what);
      if (seen.has(path)) throw unsafe(what, `entry "${entry.fileName}" is there twice`);
      seen.add(path);
      if (isFolder(entry)) mkdirSync(join(target, path), { recursive: true, mode: 0o755 });
      else await writeEntry(archive, entry, join(target, path), meter);
    }
  } finally {
    archive.close();
  }
  // mkdtemp makes a folder for its owner only; the function's user must be able to read the code.
  chmodSync(target, 0o755);
}

function openZip(path: string): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    // yauzl checks names too (decodeStrings); our own rules are stricter and come on top.
    open(
      path,
      { lazyEntries: true, autoClose: false, strictFileNames: true, validateEntrySizes: true },
      (error, zip) => (error ? reject(error) : resolve(zip)),
    );
  });
}

async function* entriesOf(zip: ZipFile): AsyncGenerator<Entry> {
  for (;;) {
    const entry = await new Promise<Entry | undefined>((resolve, reject) => {
      const done = (settle: () => void) => {
        zip.removeAllListeners('entry');
        zip.removeAllListeners('end');
        zip.removeAllListeners('error');
        settle();
      };
      zip.once('entry', (next: Entry) => done(() => resolve(next)));
      zip.once('end', () => done(() => resolve(undefined)));
      zip.once('error', (error: Error) => done(() => reject(error)));
      zip.readEntry();
    });
    if (!entry) return;
    yield entry;
  }
}

/** The entry's path inside the folder; throws where it leads anywhere else or is not a plain file or folder. */
function safePath(entry: Entry, what: string): string {
  const { fileName } = entry;
  const path = fileName.replace(/\/$/, '');
  if (!isSafePath(path)) {
    throw unsafe(what, `entry "${fileName.slice(0, 200)}" leads out of its folder or is no path`);
  }
  const type = (entry.externalFileAttributes >>> 16) & TYPE_MASK;
  if (type !== 0 && type !== REGULAR && type !== FOLDER) {
    throw unsafe(what, `entry "${fileName}" is a link or a special file`);
  }
  if (entry.generalPurposeBitFlag & 1) throw unsafe(what, `entry "${fileName}" is encrypted`);
  return path;
}

function isFolder(entry: Entry): boolean {
  return entry.fileName.endsWith('/');
}

async function writeEntry(zip: ZipFile, entry: Entry, path: string, meter: UnpackMeter): Promise<void> {
  const source = await new Promise<NodeJS.ReadableStream>((resolve, reject) =>
    zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream))),
  );
  await writeUnpacked(source, path, ((entry.externalFileAttributes >>> 16) & 0o111) !== 0, meter);
}
