/**
 * The operations of S3 that bring models and lists into the folder that stands in for it, and read and remove them: so far as
 * `aws s3` and scripts need them. Requests are for S3 where their signature says so. Parts are in s3-uploads.ts, buckets in
 * s3-buckets.ts.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { type ByteRange, type FoundFile, ObjectError, type ObjectFolder } from './objects.js';
import { type Call, type Operation, Reply } from './operation.js';
import { nameOf, notServed, OBJECT_PATH, refuseOthers, unwritable } from './s3-names.js';

export function objectOperations({ objects }: ApiContext): Operation[] {
  const common = { path: OBJECT_PATH, isS3: true } as const;
  return [
    { ...common, name: 'GetObject', method: 'GET', handle: (call) => getObject(objects, call) },
    { ...common, name: 'PutObject', method: 'PUT', handle: (call) => putObject(objects, call) },
    {
      ...common,
      name: 'DeleteObject',
      method: 'DELETE',
      status: 204,
      handle: (call) => deleteObject(objects, call),
    },
  ];
}

/** HEAD too. */
async function getObject(objects: ObjectFolder, call: Call): Promise<Reply> {
  refuseOthers(call, 'partNumber');
  const { bucket, key } = nameOf(call);
  const found = await objects.find(`s3://${bucket}/${key}`).catch((error: Error) => {
    throw error instanceof ObjectError ? refusal('NoSuchKey', error.message) : error;
  });
  const etag = etagOf(found.version);
  const wanted = call.header('if-match');
  if (wanted !== undefined && wanted !== '*' && wanted !== etag) {
    throw refusal('PreconditionFailed', `${key} is another object by now: its ETag is ${etag}`);
  }
  const headers = { etag, 'last-modified': found.modifiedAt.toUTCString(), 'accept-ranges': 'bytes' };
  const range = rangeOf(call.header('range'), found);
  if (!range) return new Reply('application/octet-stream', await found.open(), found.sizeBytes, headers);
  const { start, end } = range;
  const partHeaders = { ...headers, 'content-range': `bytes ${start}-${end}/${found.sizeBytes}` };
  return new Reply('application/octet-stream', await found.open(range), end - start + 1, partHeaders, 206);
}

/** One range of bytes; several at once are not served by S3 either, and answered with the whole. */
function rangeOf(header: string | undefined, { sizeBytes }: FoundFile): ByteRange | undefined {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  const start = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (start > end) throw refusal('InvalidRange', 'The requested range is not satisfiable');
  return { start, end };
}

/** The bucket comes into being with its first object. */
async function putObject(objects: ObjectFolder, call: Call): Promise<Reply> {
  refuseOthers(call);
  if (call.header('x-amz-copy-source') !== undefined) {
    throw notServed('Objects are not copied here: put the content again, or copy the file');
  }
  const { bucket, key } = nameOf(call);
  try {
    writeFileAtomic(objects.placeFor({ bucket, key }), call.body, 0o644);
  } catch (error) {
    throw unwritable(key, error);
  }
  return new Reply('application/xml', '', 0, { etag: await currentEtag(objects, bucket, key) });
}

/** What is not there is deleted too, as in S3. */
async function deleteObject(objects: ObjectFolder, call: Call): Promise<undefined> {
  refuseOthers(call);
  const name = nameOf(call);
  const path = await objects.locate(name).catch(() => undefined);
  if (path === undefined) return;
  try {
    rmSync(path);
  } catch (error) {
    throw unwritable(name.key, error);
  }
  objects.tidy(name);
}

export async function currentEtag(objects: ObjectFolder, bucket: string, key: string): Promise<string> {
  return etagOf((await objects.find(`s3://${bucket}/${key}`)).version);
}

/** Not the MD5 of the content: the number behind the hyphen tells clients so. */
export function etagOf(version: string): string {
  return `"${createHash('sha256').update(version).digest('hex').slice(0, 32)}-1"`;
}
