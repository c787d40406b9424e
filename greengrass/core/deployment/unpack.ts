/**
 * Unpacking archives as if their maker were hostile: what zip and tar have in common. All or nothing: the folder appears
 * when it is complete.
 */
import { createWriteStream, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { syncFileSystemOf } from '../../lib/sync-file-system.js';
import { DeploymentError } from '../errors.js';
import { diskFull, isDiskFull } from './disk-space.js';

export interface UnpackLimits {
  readonly maxEntries: number;
  readonly maxBytes: number;
  /** Called about every 16 MB with what has come out so far; may throw. */
  readonly onProgress?: (bytes: number) => void;
}

/** Between two calls of `onProgress`. */
const PROGRESS_BYTES = 16 * 1024 * 1024;

/**
 * Lets `fill` make the content of a new folder beside `folder`, then puts it in the place of `folder`, durably. `what` is
 * for messages ("the code of …"). Throws DeploymentError and leaves nothing then.
 */
export async function unpackInto(
  folder: string,
  what: string,
  format: string,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  mkdirSync(dirname(folder), { recursive: true, mode: 0o755 });
  const temporary = mkdtempSync(join(dirname(folder), '.unpack-'));
  try {
    await fill(temporary);
    // The name says "complete": after a power cut no file behind it may be empty.
    await syncFileSystemOf(temporary);
    rmSync(folder, { recursive: true, force: true });
    renameSync(temporary, folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (error instanceof DeploymentError) throw error;
    if (isDiskFull(error)) throw diskFull(`${what} was unpacked`, error);
    throw unsafe(what, `it can't be read as a ${format} (${(error as Error).message})`, error);
  }
}

/** What has come out of one archive, held against its limits. */
export class UnpackMeter {
  #bytes = 0;
  #entries = 0;
  #told = 0;

  constructor(
    private readonly what: string,
    private readonly limits: UnpackLimits,
  ) {}

  /** Throws DeploymentError where there are more entries than allowed. */
  entries(count: number): void {
    this.#entries += count;
    const { maxEntries } = this.limits;
    if (this.#entries > maxEntries) {
      throw tooLarge(this.what, `${this.#entries} entries are more than ${maxEntries}`);
    }
  }

  /** Throws DeploymentError where there are more bytes than allowed. */
  bytes(count: number): void {
    this.#bytes += count;
    const { maxBytes, onProgress } = this.limits;
    if (this.#bytes > maxBytes) throw tooLarge(this.what, `it unpacks to more than ${maxBytes} bytes`);
    if (this.#bytes - this.#told < PROGRESS_BYTES) return;
    this.#told = this.#bytes;
    onProgress?.(this.#bytes);
  }
}

/** True where the path is relative, plain, and stays in its folder. */
export function isSafePath(path: string): boolean {
  return !(
    path === '' ||
    path.includes('\\') ||
    path.includes('\0') ||
    /^[A-Za-z]:/.test(path) ||
    path.split('/').some((part) => part === '' || part === '.' || part === '..') ||
    path.split('/').some((part) => Buffer.byteLength(part) > 255) ||
    Buffer.byteLength(path) > 1024
  );
}

/** Writes a file that is not there yet, and the folders above it. No bits of its mode survive but "executable". */
export async function writeUnpacked(
  content: NodeJS.ReadableStream | AsyncIterable<Uint8Array>,
  path: string,
  isExecutable: boolean,
  meter: UnpackMeter,
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  if (!statSync(dirname(path)).isDirectory()) throw new Error(`an entry lies below a file`);
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        meter.bytes(chunk.length);
        done(null, chunk);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  // Readable by the function's user, writable by root.
  const mode = isExecutable ? 0o755 : 0o644;
  await pipeline(content, count, createWriteStream(path, { flags: 'wx', mode }));
}

export function unsafe(what: string, reason: string, cause?: unknown): DeploymentError {
  return new DeploymentError('ArtifactUnsafe', `${what} was refused: ${reason}`, { cause });
}

export function tooLarge(what: string, reason: string): DeploymentError {
  return new DeploymentError('ArtifactTooLarge', `${what} was refused: ${reason}`);
}
