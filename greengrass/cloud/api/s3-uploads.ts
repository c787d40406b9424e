/**
 * Uploads in parts: clients send whatever is above 8 MB so. Until an upload is completed its parts lie under `.uploads` in the folder
 * of objects, which no bucket is called; an upload that nobody completes is removed after a week.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { syncFolder, writeFileAtomic } from '../../lib/atomic-file.js';
import type { ApiContext } from './context.js';
import { refusal } from './errors.js';
import type { ObjectFolder } from './objects.js';
import { type Call, type Operation, Reply } from './operation.js';
import { currentEtag } from './s3.js';
import { nameOf, notServed, OBJECT_PATH, refuseOthers, unwritable, xmlReply } from './s3-names.js';

const FOLDER = '.uploads';
/** Which object the upload is for. */
const NAME_FILE = 'name.json';
const MAX_AGE_MS = 7 * 24 * 3_600_000;
const MAX_PARTS = 10_000;

export function uploadOperations({ objects }: ApiContext): Operation[] {
  const at = { path: OBJECT_PATH, isS3: true } as const;
  const one = { ...at, parameter: 'uploadId' } as const;
  return [
    {
      ...at,
      parameter: 'uploads',
      name: 'CreateMultipartUpload',
      method: 'POST',
      handle: (call) => create(objects, call),
    },
    { ...one, name: 'UploadPart', method: 'PUT', handle: (call) => uploadPart(objects, call) },
    { ...one, name: 'CompleteMultipartUpload', method: 'POST', handle: (call) => complete(objects, call) },
    { ...one, name: 'ListParts', method: 'GET', handle: (call) => listParts(objects, call) },
    {
      ...one,
      name: 'AbortMultipartUpload',
      method: 'DELETE',
      status: 204,
      handle: (call) => abort(objects, call),
    },
  ];
}

interface Upload {
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly folder: string;
}

async function create(objects: ObjectFolder, call: Call): Promise<Reply> {
  refuseOthers(call, 'uploads');
  const { bucket, key } = nameOf(call);
  await removeOld(join(objects.folder, FOLDER));
  const id = randomUUID();
  const folder = join(objects.folder, FOLDER, id);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, NAME_FILE), JSON.stringify([bucket, key]));
  return xmlReply('InitiateMultipartUploadResult', { Bucket: bucket, Key: key, UploadId: id });
}

async function removeOld(root: string): Promise<void> {
  for (const id of await readdir(root).catch(() => [])) {
    const { mtimeMs } = await stat(join(root, id)).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > MAX_AGE_MS) await rm(join(root, id), { recursive: true, force: true });
  }
}

async function find(objects: ObjectFolder, call: Call): Promise<Upload> {
  refuseOthers(call, 'uploadId', 'partNumber');
  const { bucket, key } = nameOf(call);
  const id = call.query('uploadId') ?? '';
  const folder = join(objects.folder, FOLDER, id);
  const isId = /^[0-9a-f-]{36}$/.test(id);
  const name = isId ? await readFile(join(folder, NAME_FILE), 'utf8').catch(() => undefined) : undefined;
  if (name !== JSON.stringify([bucket, key])) {
    throw refusal(
      'NoSuchUpload',
      'The specified upload does not exist. It may have been aborted or completed.',
    );
  }
  return { id, bucket, key, folder };
}

/** A part's file is called by its number and the MD5 of its content, which is its ETag. */
async function uploadPart(objects: ObjectFolder, call: Call): Promise<Reply> {
  if (call.header('x-amz-copy-source') !== undefined) throw notServed('Parts are not copied here: send them');
  const number = Number(call.query('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > MAX_PARTS) {
    throw refusal('InvalidRequest', `partNumber must be an integer from 1 to ${MAX_PARTS}`);
  }
  const { folder } = await find(objects, call);
  const md5 = createHash('md5').update(call.body).digest('hex');
  const file = `${number}-${md5}`;
  const before = (await readdir(folder)).filter((name) => name.startsWith(`${number}-`) && name !== file);
  try {
    writeFileAtomic(join(folder, file), call.body);
  } catch (error) {
    throw unwritable(`part ${number}`, error);
  }
  for (const name of before) await rm(join(folder, name), { force: true });
  return new Reply('application/xml', '', 0, { etag: `"${md5}"` });
}

async function complete(objects: ObjectFolder, call: Call): Promise<Reply> {
  const upload = await find(objects, call);
  const files = await filesOf(upload, call.text());
  const whole = join(upload.folder, 'whole');
  try {
    for (const [index, file] of files.entries()) {
      const out = createWriteStream(whole, {
        flags: index === 0 ? 'w' : 'a',
        flush: index === files.length - 1,
      });
      await pipeline(createReadStream(file), out);
    }
    const path = objects.placeFor(upload);
    await rename(whole, path);
    syncFolder(join(path, '..'));
  } catch (error) {
    throw unwritable(upload.key, error);
  }
  await rm(upload.folder, { recursive: true, force: true });
  const { bucket, key } = upload;
  const ETag = await currentEtag(objects, bucket, key);
  return xmlReply('CompleteMultipartUploadResult', {
    Location: `/${bucket}/${key}`,
    Bucket: bucket,
    Key: key,
    ETag,
  });
}

/** The files of the parts that the request names, in its order. */
async function filesOf({ folder }: Upload, request: string): Promise<string[]> {
  const present = new Set(await readdir(folder));
  let last = 0;
  const files = [...request.matchAll(/<Part>([\s\S]*?)<\/Part>/g)].map(([, part = '']) => {
    const number = Number(/<PartNumber>\s*(\d{1,5})\s*<\/PartNumber>/.exec(part)?.[1]);
    const md5 = /<ETag>\s*(?:"|&quot;|&#34;)?([0-9a-f]{32})(?:"|&quot;|&#34;)?\s*<\/ETag>/.exec(part)?.[1];
    if (number <= last) throw refusal('InvalidPartOrder', 'The parts are not in ascending order.');
    const file = `${number}-${md5}`;
    if (!present.has(file)) {
      throw refusal('InvalidPart', `Part ${number} was not uploaded, or its ETag is another one.`);
    }
    last = number;
    return join(folder, file);
  });
  if (files.length === 0) throw refusal('InvalidRequest', 'The body names no parts.');
  return files;
}

async function listParts(objects: ObjectFolder, call: Call): Promise<Reply> {
  const { id, bucket, key, folder } = await find(objects, call);
  const parts = (await readdir(folder)).flatMap((file) => {
    const [, number, md5] = /^(\d+)-([0-9a-f]{32})$/.exec(file) ?? [];
    return number === undefined ? [] : [{ file, number: Number(number), md5 }];
  });
  parts.sort((a, b) => a.number - b.number);
  const Part = await Promise.all(
    parts.map(async ({ file, number, md5 }) => {
      const { size, mtime } = await stat(join(folder, file));
      return { PartNumber: number, LastModified: mtime.toISOString(), ETag: `"${md5}"`, Size: size };
    }),
  );
  const head = { Bucket: bucket, Key: key, UploadId: id, MaxParts: MAX_PARTS, IsTruncated: false };
  return xmlReply('ListPartsResult', { ...head, Part });
}

async function abort(objects: ObjectFolder, call: Call): Promise<undefined> {
  const { folder } = await find(objects, call);
  await rm(folder, { recursive: true, force: true });
}
