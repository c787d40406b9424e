/**
 * What stands in for S3: a folder with a folder for each bucket, in which the objects lie under their keys. Addresses
 * are understood in all forms that S3 has, so that scripts keep theirs.
 */
import { readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

/** An object that can't be read, in words for its caller. */
export class ObjectError extends Error {
  override readonly name = 'ObjectError';
}

const BUCKET = '[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]';
const FORMS = [
  // s3://BUCKET/KEY
  new RegExp(`^s3://(?<bucket>${BUCKET})/(?<key>.+)$`),
  // https://BUCKET.s3.REGION.amazonaws.com/KEY, with a hyphen before the region, or without one
  new RegExp(`^https://(?<bucket>${BUCKET})\\.s3(?:[.-][a-z0-9-]+)?\\.amazonaws\\.com(?:\\.cn)?/(?<key>.+)$`),
  // https://s3.REGION.amazonaws.com/BUCKET/KEY
  new RegExp(`^https://s3(?:[.-][a-z0-9-]+)?\\.amazonaws\\.com(?:\\.cn)?/(?<bucket>${BUCKET})/(?<key>.+)$`),
];

export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

/** Bucket and key in an address of S3; undefined where it is none. */
export function parseObjectUri(uri: string): ObjectName | undefined {
  for (const form of FORMS) {
    const { bucket, key } = form.exec(uri)?.groups ?? {};
    if (bucket === undefined || key === undefined) continue;
    try {
      return { bucket, key: uri.startsWith('s3:') ? key : decodeURIComponent(key) };
    } catch {
      return undefined;
    }
  }
  return undefined;
}

export class ObjectFolder {
  constructor(readonly folder: string) {}

  /** The object's bytes. Rejects with ObjectError: no address of S3, no such object, or more than `maxBytes`. */
  async read(uri: string, maxBytes: number): Promise<Buffer> {
    const name = parseObjectUri(uri);
    if (!name) throw new ObjectError(`${uri} is not the address of an object in S3`);
    const path = join(this.folder, name.bucket, name.key);
    const isInside = path.startsWith(join(this.folder, name.bucket) + sep) && !name.key.includes('\0');
    const real = isInside ? await realpath(path).catch(() => undefined) : undefined;
    const root = await realpath(this.folder).catch(() => this.folder);
    const facts = real?.startsWith(root + sep) ? await stat(real) : undefined;
    if (real === undefined || !facts?.isFile()) {
      throw new ObjectError(
        `bucket ${name.bucket} has no object ${name.key}: this service reads it from ${path}`,
      );
    }
    if (facts.size > maxBytes)
      throw new ObjectError(`${uri} has ${facts.size} bytes; at most ${maxBytes} are read`);
    return readFile(real).catch((error: Error) => {
      throw new ObjectError(`${uri} can't be read: ${error.message}`);
    });
  }
}
