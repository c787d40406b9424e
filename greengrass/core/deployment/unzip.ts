/**
 * Unpacks a function's zip as if its maker were hostile: nothing outside the folder, no links, no special files, no
 * setuid bits, bounded in entries and in bytes that really come out. All or nothing: the folder appears when complete.
 */
import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Entry, open, type ZipFile } from 'yauzl';
import { syncFileSystemOf } from '../../lib/sync-file-system.js';
import { DeploymentError } from '../errors.js';
import { diskFull, isDiskFull } from './disk-space.js';

export interface UnzipLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
}

/** AWS Lambda's limit for an unpacked function is 250 MB. */
export const UNZIP_LIMITS: UnzipLimits = { maxEntries: 10_000, maxBytes: 250 * 1024 * 1024 };

const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;
const FOLDER = 0o040000;

/** Unpacks `zip` to `folder`, replacing what is there. `name` is for messages. Throws DeploymentError. */
export async function unzip(zip: string, folder: string, name: string, limits = UNZIP_LIMITS): Promise<void> {
  mkdirSync(dirname(folder), { recursive: true, mode: 0o755 });
  const temporary = mkdtempSync(join(dirname(folder), '.unzip-'));
  try {
    await extract(zip, temporary, name, limits);
    // The name says "complete": after a power cut no file behind it may be empty.
    await syncFileSystemOf(temporary);
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (error instanceof DeploymentError) throw error;
    if (isDiskFull(error)) throw diskFull(`the code of ${name} was unpacked`, error);
    throw unsafe(name, `it can't be read as a zip file (${(error as Error).message})`, error);
  }
}

/** What the zip's table of contents says will come out of it, in bytes. Throws DeploymentError. */
export async function unpackedBytes(zip: string, name: string, limits = UNZIP_LIMITS): Promise<number> {
  let archive: ZipFile | undefined;
  try {
    archive = await openZip(zip);
    let bytes = 0;
    for await (const entry of entriesOf(archive)) bytes += entry.uncompressedSize;
    if (bytes > limits.maxBytes) throw tooLarge(name, `it unpacks to more than ${limits.maxBytes} bytes`);
    return bytes;
  } catch (error) {
    if (error instanceof DeploymentError) throw error;
    throw unsafe(name, `it can't be read as a zip file (${(error as Error).message})`, error);
  } finally {
    archive?.close();
  }
}

async function extract(zip: string, target: string, name: string, limits: UnzipLimits): Promise<void> {
  const archive = await openZip(zip);
  const seen = new Set<string>();
  let bytes = 0;
  try {
    if (archive.entryCount > limits.maxEntries) {
      throw tooLarge(name, `${archive.entryCount} entries are more than ${limits.maxEntries}`);
    }
    for await (const entry of entriesOf(archive)) {
      const path = safePath(entry, name);
      if (seen.has(path)) throw unsafe(name, `entry "${entry.fileName}" is there twice`);
      seen.add(path);
      if (isFolder(entry)) {
        mkdirSync(join(target, path), { recursive: true, mode: 0o755 });
        continue;
      }
      const count = (size: number) => {
        bytes += size;
        if (bytes > limits.maxBytes) throw tooLarge(name, `it unpacks to more than ${limits.maxBytes} bytes`);
      };
      await writeEntry(archive, entry, join(target, path), count);
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
function safePath(entry: Entry, name: string): string {
  const { fileName } = entry;
  const parts = fileName.replace(/\/$/, '').split('/');
  const bad =
    fileName === '' ||
    fileName.startsWith('/') ||
    fileName.includes('\\') ||
    fileName.includes('\0') ||
    /^[A-Za-z]:/.test(fileName) ||
    parts.some((part) => part === '' || part === '.' || part === '..') ||
    Buffer.byteLength(fileName) > 1024;
  if (bad)
    throw unsafe(name, `entry "${fileName.slice(0, 200)}" leads out of the function's folder or is no path`);
  const type = (entry.externalFileAttributes >>> 16) & TYPE_MASK;
  if (type !== 0 && type !== REGULAR && type !== FOLDER) {
    throw unsafe(name, `entry "${fileName}" is a link or a special file`);
  }
  if (entry.generalPurposeBitFlag & 1) throw unsafe(name, `entry "${fileName}" is encrypted`);
  return parts.join('/');
}

function isFolder(entry: Entry): boolean {
  return entry.fileName.endsWith('/');
}

async function writeEntry(
  zip: ZipFile,
  entry: Entry,
  path: string,
  count: (bytes: number) => void,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  if (existsAsFile(dirname(path))) throw new Error(`"${entry.fileName}" lies below a file`);
  const source = await new Promise<NodeJS.ReadableStream>((resolve, reject) =>
    zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream))),
  );
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        count(chunk.length);
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  // Readable by the function's user, writable by root; executable where the zip says so. No other bits survive.
  const mode = ((entry.externalFileAttributes >>> 16) & 0o111) !== 0 ? 0o755 : 0o644;
  await pipeline(source, meter, createWriteStream(path, { flags: 'wx', mode }));
}

function existsAsFile(path: string): boolean {
  return !statSync(path).isDirectory();
}

function unsafe(name: string, reason: string, cause?: unknown): DeploymentError {
  return new DeploymentError('ArtifactUnsafe', `the code of ${name} was refused: ${reason}`, { cause });
}

function tooLarge(name: string, reason: string): DeploymentError {
  return new DeploymentError('ArtifactTooLarge', `the code of ${name} was refused: ${reason}`);
}
