/**
 * The three operations of S3 that bring models and lists into the folder that stands in for it, and read them: so far as
 * `aws s3 cp` and scripts need them for objects of one piece. Requests are for S3 where their signature says so.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, realpathSync } from 'node:fs';
import { dirname, sep } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import { isPlainKey, ObjectError, type ObjectFolder } from './objects.js';
import { type Call, type Operation, Reply } from './operation.js';

const PATH = '/:bucket/*key';
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const MAX_KEY_BYTES = 1024;

export function objectOperations({ objects }: ApiContext): Operation[] {
  const common = { path: PATH, isS3: true } as const;
  return [
    { ...common, name: 'GetObject', method: 'GET', handle: (call) => getObject(objects, call) },
    { ...common, name: 'PutObject', method: 'PUT', handle: (call) => putObject(objects, call) },
    { ...common, name: 'CreateMultipartUpload', method: 'POST', handle: refuseParts },
  ];
}

/** HEAD too. */
async function getObject(objects: ObjectFolder, call: Call): Promise<Reply> {
  const { bucket, key } = nameOf(call);
  const found = await objects.find(`s3://${bucket}/${key}`).catch((error: Error) => {
    throw error instanceof ObjectError ? refusal('NoSuchKey', error.message) : error;
  });
  const etag = etagOf(found.version);
  const wanted = call.header('if-match');
  if (wanted !== undefined && wanted !== '*' && wanted !== etag) {
    throw refusal('PreconditionFailed', `${key} is another object by now: its ETag is ${etag}`);
  }
  return new Reply('application/octet-stream', await found.open(), found.sizeBytes, {
    etag,
    'last-modified': found.modifiedAt.toUTCString(),
  });
}

/** The bucket comes into being with its first object. */
async function putObject(objects: ObjectFolder, call: Call): Promise<Reply> {
  const { bucket, key } = nameOf(call);
  if (call.header('x-amz-copy-source') !== undefined || call.query('partNumber') !== undefined) {
    return refuseParts();
  }
  if (call.header('content-encoding')?.includes('aws-chunked')) {
    throw refusal(
      'NotImplemented',
      'Bodies in signed pieces (aws-chunked) are not served: send the object whole',
    );
  }
  const path = objects.pathOf({ bucket, key });
  try {
    mkdirSync(dirname(path), { recursive: true });
    const [root, folder] = [realpathSync(objects.folder), realpathSync(dirname(path))];
    if (!folder.startsWith(root + sep)) throw new Error('a link leads out of the folder of objects');
    writeFileAtomic(path, call.body, 0o644);
  } catch (error) {
    throw refusal('InvalidRequest', `${key} can't be written to ${path}: ${(error as Error).message}`);
  }
  const { version } = await objects.find(`s3://${bucket}/${key}`);
  return new Reply('application/xml', '', 0, { etag: etagOf(version) });
}

async function refuseParts(): Promise<never> {
  throw refusal(
    'NotImplemented',
    'Objects are put here in one piece: raise the threshold (aws configure set default.s3.multipart_threshold 100MB), or copy larger ones into the folder of objects',
  );
}

function nameOf(call: Call): { bucket: string; key: string } {
  const [bucket, key] = [call.param('bucket'), call.param('key')];
  if (!BUCKET.test(bucket)) throw refusal('InvalidRequest', `"${bucket}" is not the name of a bucket`);
  if (!isPlainKey(key) || key.endsWith('/') || Buffer.byteLength(key) > MAX_KEY_BYTES) {
    throw refusal('InvalidRequest', 'The key must be a path of 1 to 1024 bytes without "." and ".."');
  }
  return { bucket, key };
}

/** Not the MD5 of the content: the number behind the hyphen tells clients so. */
function etagOf(version: string): string {
  return `"${createHash('sha256').update(version).digest('hex').slice(0, 32)}-1"`;
}
