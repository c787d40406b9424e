/**
 * What stands in for S3: a folder with a folder for each bucket, in which the objects lie under their keys. Addresses
 * are understood in all forms that S3 has, so that scripts keep theirs.
 */
import { mkdirSync, realpathSync, rmdirSync } from 'node:fs';
import { open, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { Readable } from 'node:stream';
import {
  type FoundObject,
  ObjectError,
  type ObjectName,
  type ObjectSource,
  parseObjectUri,
} from '../store/object-source.js';

export { ObjectError, parseObjectUri } from '../store/object-source.js';

/** True where the path has no part that leads elsewhere in a folder. */
export function isPlainKey(key: string): boolean {
  return !key.includes('\0') && !key.split('/').some((part) => part === '' || part === '.' || part === '..');
}

/** Bytes of an object, both ends counted. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface FoundFile extends FoundObject {
  readonly modifiedAt: Date;
  /** The content, or a part of it. */
  open(range?: ByteRange): Promise<NodeJS.ReadableStream>;
}

export class ObjectFolder implements ObjectSource {
  constructor(readonly folder: string) {}

  /** The object's bytes. Rejects with ObjectError: no address of S3, no such object, or more than `maxBytes`. */
  async read(uri: string, maxBytes: number): Promise<Buffer> {
    const { path, sizeBytes } = await this.#locate(uri);
    if (sizeBytes > maxBytes)
      throw new ObjectError(`${uri} has ${sizeBytes} bytes; at most ${maxBytes} are read`);
    return readFile(path).catch((error: Error) => {
      throw new ObjectError(`${uri} can't be read: ${error.message}`);
    });
  }

  async find(uri: string): Promise<FoundFile> {
    const { path, ...found } = await this.#locate(uri);
    return { ...found, open: async (range) => openUnchanged(path, found.version, uri, range) };
  }

  /** The file behind the address, which must lie in the folder also where links lead. */
  async #locate(uri: string): Promise<{ path: string; modifiedAt: Date } & Omit<FoundObject, 'open'>> {
    const name = parseObjectUri(uri);
    if (!name) throw new ObjectError(`${uri} is not the address of an object in S3`);
    const path = this.pathOf(name);
    const real = isPlainKey(name.key) ? await realpath(path).catch(() => undefined) : undefined;
    const root = await realpath(this.folder).catch(() => this.folder);
    const facts = real?.startsWith(root + sep) ? await stat(real, { bigint: true }) : undefined;
    if (real === undefined || !facts?.isFile()) {
      throw new ObjectError(
        `bucket ${name.bucket} has no object ${name.key}: this service reads it from ${path}`,
      );
    }
    return {
      path: real,
      sizeBytes: Number(facts.size),
      version: versionOf(facts),
      modifiedAt: facts.mtime,
      fileName: basename(name.key),
    };
  }

  /** Path of the object, which is there. Rejects with ObjectError. */
  async locate(name: ObjectName): Promise<string> {
    await this.#locate(`s3://${name.bucket}/${name.key}`);
    return this.pathOf(name);
  }

  /** Makes the folders in which the object is to lie; answers its path. Throws where a link leads out. */
  placeFor(name: ObjectName): string {
    const path = this.pathOf(name);
    mkdirSync(dirname(path), { recursive: true });
    const [root, folder] = [realpathSync(this.folder), realpathSync(dirname(path))];
    if (!folder.startsWith(root + sep)) throw new Error('a link leads out of the folder of objects');
    return path;
  }

  /** Removes the folders that have become empty with the object; the bucket stays. */
  tidy({ bucket, key }: ObjectName): void {
    for (let folder = dirname(key); folder !== '.'; folder = dirname(folder)) {
      try {
        rmdirSync(join(this.folder, bucket, folder));
      } catch {
        return;
      }
    }
  }

  /** Where the object lies, present or not. */
  pathOf({ bucket, key }: ObjectName): string {
    return join(this.folder, bucket, key);
  }
}

interface FileFacts {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: FileFacts): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join('-');
}

/** The file's content; fails at its end where somebody wrote to it meanwhile. */
function openUnchanged(
  path: string,
  version: string,
  uri: string,
  range: ByteRange | undefined,
): NodeJS.ReadableStream {
  async function* content() {
    const file = await open(path, 'r').catch((error: Error) => {
      throw new ObjectError(`${uri} can't be read: ${error.message}`);
    });
    try {
      yield* file.createReadStream({ ...range, autoClose: false }) as AsyncIterable<Buffer>;
      if (versionOf(await file.stat({ bigint: true })) !== version) {
        throw new ObjectError(`${uri} was changed while it was read: deploy again`);
      }
    } finally {
      await file.close();
    }
  }
  return Readable.from(content(), { objectMode: false });
}
