/** Buckets of the folder that stands in for S3: made, listed, removed; their objects listed in either of S3's two ways. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { ObjectFolder } from './objects.js';
import { type Call, type Operation, Reply } from './operation.js';
import { etagOf } from './s3.js';
import {
  BUCKET_PATH,
  bucketOf,
  notServed,
  refuseOthers,
  unwritable,
  type XmlContent,
  xmlReply,
} from './s3-names.js';

const MAX_KEYS = 1000;

export function bucketOperations({ objects, region }: ApiContext): Operation[] {
  const at = { path: BUCKET_PATH, isS3: true } as const;
  return [
    { path: '/', isS3: true, name: 'ListBuckets', method: 'GET', handle: () => listBuckets(objects) },
    {
      ...at,
      parameter: 'location',
      name: 'GetBucketLocation',
      method: 'GET',
      handle: async (call) => {
        await checkBucket(objects, bucketOf(call));
        return xmlReply('LocationConstraint', {});
      },
    },
    { ...at, name: 'ListObjects', method: 'GET', handle: (call) => listObjects(objects, call, region) },
    { ...at, name: 'CreateBucket', method: 'PUT', handle: (call) => createBucket(objects, call) },
    {
      ...at,
      name: 'DeleteBucket',
      method: 'DELETE',
      status: 204,
      handle: (call) => deleteBucket(objects, call),
    },
    {
      ...at,
      name: 'PostBucket',
      method: 'POST',
      handle: async () => {
        throw notServed('Requests with POST to a bucket are not served here');
      },
    },
  ];
}

async function listBuckets(objects: ObjectFolder): Promise<Reply> {
  const Bucket: XmlContent[] = [];
  for (const entry of await entriesOf(objects.folder)) {
    if (entry.name.startsWith('.') || !entry.isDirectory()) continue;
    const { birthtime } = await stat(join(objects.folder, entry.name));
    Bucket.push({ Name: entry.name, CreationDate: birthtime.toISOString() });
  }
  return xmlReply('ListAllMyBucketsResult', { Buckets: { Bucket } });
}

/** Making one's own bucket again is no error. */
async function createBucket(objects: ObjectFolder, call: Call): Promise<Reply> {
  refuseOthers(call);
  const bucket = bucketOf(call);
  try {
    mkdirSync(join(objects.folder, bucket), { recursive: true });
  } catch (error) {
    throw unwritable(bucket, error);
  }
  return new Reply('application/xml', '', 0, { location: `/${bucket}` });
}

async function deleteBucket(objects: ObjectFolder, call: Call): Promise<undefined> {
  refuseOthers(call);
  const bucket = bucketOf(call);
  await checkBucket(objects, bucket);
  try {
    rmdirSync(join(objects.folder, bucket));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw unwritable(bucket, error);
    throw refusal('BucketNotEmpty', 'The bucket you tried to delete is not empty');
  }
}

async function checkBucket(objects: ObjectFolder, bucket: string): Promise<void> {
  const found = await stat(join(objects.folder, bucket)).catch(() => undefined);
  if (!found?.isDirectory()) throw refusal('NoSuchBucket', `The bucket ${bucket} does not exist`);
}

/** ListObjectsV2 where `list-type` is 2, ListObjects without it, and HeadBucket. Keys are in the order of their bytes. */
async function listObjects(objects: ObjectFolder, call: Call, region: string): Promise<Reply> {
  refuseOthers(call);
  const bucket = bucketOf(call);
  await checkBucket(objects, bucket);
  if (call.method === 'HEAD') return new Reply('application/xml', '', 0, { 'x-amz-bucket-region': region });
  const [prefix, delimiter] = [call.query('prefix') ?? '', call.query('delimiter') ?? ''];
  const isSecond = call.query('list-type') === '2';
  const after = isSecond ? startOf(call) : (call.query('marker') ?? '');
  const size = Number(call.query('max-keys') ?? MAX_KEYS);
  if (!Number.isInteger(size) || size < 0) {
    throw refusal('InvalidRequest', 'max-keys must be a number from 0 on');
  }
  const encoded = call.query('encoding-type') === 'url' ? encodeKey : (key: string) => key;
  const keys = await keysUnder(join(objects.folder, bucket));
  const all = rolledUp(keys, prefix, delimiter).filter(
    ({ name }) => Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0,
  );
  const shown = all.slice(0, Math.min(size, MAX_KEYS));
  const last = all.length > shown.length ? shown.at(-1)?.name : undefined;
  const Contents: XmlContent[] = [];
  for (const { name, isPrefix } of shown) {
    if (!isPrefix) Contents.push(...(await factsOf(objects, bucket, name, encoded)));
  }
  const CommonPrefixes = shown
    .filter(({ isPrefix }) => isPrefix)
    .map(({ name }) => ({ Prefix: encoded(name) }));
  const next =
    last === undefined
      ? {}
      : isSecond
        ? { NextContinuationToken: tokenOf(last) }
        : { NextMarker: encoded(last) };
  return xmlReply('ListBucketResult', {
    Name: bucket,
    Prefix: encoded(prefix),
    Delimiter: delimiter === '' ? undefined : encoded(delimiter),
    MaxKeys: size,
    EncodingType: call.query('encoding-type'),
    KeyCount: isSecond ? shown.length : undefined,
    Marker: isSecond ? undefined : encoded(after),
    IsTruncated: last !== undefined,
    ...next,
    Contents,
    CommonPrefixes,
  });
}

async function factsOf(
  objects: ObjectFolder,
  bucket: string,
  key: string,
  encoded: (key: string) => string,
): Promise<XmlContent[]> {
  // One that was removed since, or a link that leads out, is not there.
  const found = await objects.find(`s3://${bucket}/${key}`).catch(() => undefined);
  if (!found) return [];
  const { modifiedAt, version, sizeBytes } = found;
  const facts = { LastModified: modifiedAt.toISOString(), ETag: etagOf(version), Size: sizeBytes };
  return [{ Key: encoded(key), ...facts, StorageClass: 'STANDARD' }];
}

/** Keys with what the delimiter cuts off behind the prefix taken together, each once. */
function rolledUp(
  keys: readonly string[],
  prefix: string,
  delimiter: string,
): Array<{ name: string; isPrefix: boolean }> {
  const rolled = new Map<string, boolean>();
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    rolled.set(cut < 0 ? key : key.slice(0, cut + delimiter.length), cut >= 0);
  }
  return [...rolled].map(([name, isPrefix]) => ({ name, isPrefix }));
}

async function keysUnder(root: string): Promise<string[]> {
  const keys: string[] = [];
  async function walk(folder: string, prefix: string): Promise<void> {
    for (const entry of await entriesOf(folder)) {
      const key = `${prefix}${entry.name}`;
      if (entry.isDirectory()) await walk(join(folder, entry.name), `${key}/`);
      else keys.push(key);
    }
  }
  await walk(root, '');
  return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function entriesOf(folder: string) {
  return readdir(folder, { withFileTypes: true }).catch(() => []);
}

function startOf(call: Call): string {
  const token = call.query('continuation-token');
  if (token === undefined) return call.query('start-after') ?? '';
  const key = Buffer.from(token, 'base64url').toString('utf8');
  if (tokenOf(key) !== token) throw refusal('InvalidRequest', 'The continuation token provided is incorrect');
  return key;
}

function tokenOf(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function encodeKey(key: string): string {
  return encodeURIComponent(key).replaceAll('%2F', '/');
}
