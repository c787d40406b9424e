/** The stand-in for S3, driven by AWS's own client (SDK v2, which scripts for V1 have). */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import AWS from 'aws-sdk';
import { Cloud } from './harness.js';

let api: Cloud;
let s3: AWS.S3;
beforeAll(async () => {
  api = await Cloud.start({ auth: 'sigv4' });
  s3 = client();
});
afterAll(() => api.stop());

function client(options: AWS.S3.ClientConfiguration = {}): AWS.S3 {
  const { endpoint, region, credentials } = api.clientConfig;
  return new AWS.S3({ endpoint, region, credentials, s3ForcePathStyle: true, maxRetries: 0, ...options });
}

const pathOf = (...parts: string[]) => join(api.objectsFolder, ...parts);

describe('objects', () => {
  it('are put, looked at and read; keys may be called anything', async () => {
    const [Bucket, Key] = ['greengrass-models', "deep/a b/ü+(1)'!*%41.bin"];
    const Body = Buffer.from([0, 255, 7]);
    const { ETag } = await s3.putObject({ Bucket, Key, Body }).promise();
    expect(readFileSync(pathOf(Bucket, Key))).toEqual(Body);
    const found = await s3.headObject({ Bucket, Key }).promise();
    expect(found).toMatchObject({ ContentLength: 3, ETag });
    expect(Math.abs(Date.now() - (found.LastModified?.getTime() ?? 0))).toBeLessThan(60_000);
    expect((await s3.getObject({ Bucket, Key }).promise()).Body).toEqual(Body);
  });

  it('are replaced whole, and IfMatch sees it', async () => {
    const name = { Bucket: 'models', Key: 'm' };
    const { ETag = '' } = await s3.putObject({ ...name, Body: 'one' }).promise();
    await s3.putObject({ ...name, Body: 'two' }).promise();
    expect((await s3.getObject(name).promise()).Body?.toString()).toBe('two');
    await expect(s3.getObject({ ...name, IfMatch: ETag }).promise()).rejects.toMatchObject({
      code: 'PreconditionFailed',
      statusCode: 412,
    });
  });

  it('that are not there have no key', async () => {
    await expect(s3.getObject({ Bucket: 'models', Key: 'nothing' }).promise()).rejects.toMatchObject({
      code: 'NoSuchKey',
      statusCode: 404,
      message: expect.stringContaining(pathOf('models', 'nothing')),
    });
    await expect(s3.headObject({ Bucket: 'models', Key: 'nothing' }).promise()).rejects.toMatchObject({
      statusCode: 404,
    });
  });

  it.each(['../evil', 'a/../../evil', 'a//b', './a', 'folder/', 'x'.repeat(1025)])(
    'are not put at %s',
    async (Key) => {
      await expect(s3.putObject({ Bucket: 'models', Key, Body: 'x' }).promise()).rejects.toThrow();
      expect(existsSync(join(dirname(api.objectsFolder), 'evil')) || existsSync(pathOf('evil'))).toBe(false);
    },
  );

  it('are not written through a link that leads out', async () => {
    const outside = join(dirname(api.objectsFolder), 'outside');
    mkdirSync(outside, { recursive: true });
    mkdirSync(pathOf('linked'), { recursive: true });
    symlinkSync(outside, pathOf('linked', 'out'));
    writeFileSync(join(outside, 'secret'), 'secret');
    const put = s3.putObject({ Bucket: 'linked', Key: 'out/evil', Body: 'x' }).promise();
    await expect(put).rejects.toMatchObject({ code: 'InvalidRequest' });
    expect(existsSync(join(outside, 'evil'))).toBe(false);
    const get = s3.getObject({ Bucket: 'linked', Key: 'out/secret' }).promise();
    await expect(get).rejects.toMatchObject({ code: 'NoSuchKey' });
  });

  it('come and go in parts, as clients send and fetch all above 8 MB', async () => {
    const name = { Bucket: 'greengrass-models', Key: 'deep/large' };
    const Body = randomBytes(12 * 1024 * 1024 + 7);
    await s3.upload({ ...name, Body }, { partSize: 5 * 1024 * 1024 }).promise();
    expect(readFileSync(pathOf(name.Bucket, name.Key)).equals(Body)).toBe(true);
    expect(readdirSync(pathOf('.uploads'))).toEqual([]);
    const middle = await s3.getObject({ ...name, Range: 'bytes=6000000-7999999' }).promise();
    expect(middle).toMatchObject({ ContentRange: `bytes 6000000-7999999/${Body.length}` });
    expect(Body.subarray(6_000_000, 8_000_000).equals(middle.Body as Buffer)).toBe(true);
    const end = await s3.getObject({ ...name, Range: 'bytes=-7' }).promise();
    expect(Body.subarray(-7).equals(end.Body as Buffer)).toBe(true);
    const beyond = s3.getObject({ ...name, Range: `bytes=${Body.length}-` }).promise();
    await expect(beyond).rejects.toMatchObject({ code: 'InvalidRange', statusCode: 416 });
  });

  it('in parts are complete with the parts that were sent, in their order, or not at all', async () => {
    const name = { Bucket: 'greengrass-models', Key: 'parts' };
    const { UploadId = '' } = await s3.createMultipartUpload(name).promise();
    const upload = { ...name, UploadId };
    const part = (PartNumber: number, Body: string) =>
      s3.uploadPart({ ...upload, PartNumber, Body }).promise();
    await part(2, 'old');
    const [two, one] = [await part(2, 'two'), await part(1, 'one')];
    const parts = [
      { PartNumber: 1, ...one },
      { PartNumber: 2, ...two },
    ];
    const complete = (Parts: object[]) =>
      s3.completeMultipartUpload({ ...upload, MultipartUpload: { Parts } }).promise();
    const stale = [{ PartNumber: 2, ETag: `"${'0'.repeat(32)}"` }];
    await expect(complete(stale)).rejects.toMatchObject({ code: 'InvalidPart' });
    await expect(complete([...parts].reverse())).rejects.toMatchObject({ code: 'InvalidPartOrder' });
    const other = s3.uploadPart({ ...upload, Key: 'other', PartNumber: 1, Body: 'x' }).promise();
    await expect(other).rejects.toMatchObject({ code: 'NoSuchUpload', statusCode: 404 });
    expect((await s3.listParts(upload).promise()).Parts?.map(({ Size }) => Size)).toEqual([3, 3]);
    expect(existsSync(pathOf('greengrass-models', 'parts'))).toBe(false);
    await complete(parts);
    expect((await s3.getObject(name).promise()).Body?.toString()).toBe('onetwo');
    await expect(complete(parts)).rejects.toMatchObject({ code: 'NoSuchUpload' });
    const { UploadId: second = '' } = await s3.createMultipartUpload(name).promise();
    await s3.abortMultipartUpload({ ...name, UploadId: second }).promise();
    expect(readdirSync(pathOf('.uploads'))).toEqual([]);
  });

  it('that a checksum contradicts are not stored', async () => {
    const name = { Bucket: 'greengrass-models', Key: 'sum' };
    const put = s3.putObject({ ...name, Body: 'x', ContentMD5: 'XUFAKrxLKna5cZ2REBfFkg==' }).promise();
    await expect(put).rejects.toMatchObject({ code: 'BadDigest', statusCode: 400 });
    expect(existsSync(pathOf(name.Bucket, name.Key))).toBe(false);
  });

  it('are put and read by address, where the address is signed', async () => {
    const name = { Bucket: 'greengrass-models', Key: 'by address' };
    const signed = client({ signatureVersion: 'v4' });
    const put = await fetch(signed.getSignedUrl('putObject', name), { method: 'PUT', body: 'here' });
    expect([put.status, await put.text()]).toEqual([200, '']);
    const url = signed.getSignedUrl('getObject', name);
    expect(await (await fetch(url)).text()).toBe('here');
    const forged = await fetch(url.replace('address', 'other'));
    expect(forged.status).toBe(403);
    expect(await forged.text()).toContain('<Code>InvalidSignatureException</Code>');
  });

  it('are removed, and their folders with them', async () => {
    const name = { Bucket: 'greengrass-models', Key: 'a/b/c' };
    await s3.putObject({ ...name, Body: 'x' }).promise();
    await s3.deleteObject(name).promise();
    expect(existsSync(pathOf(name.Bucket, 'a'))).toBe(false);
    await s3.deleteObject(name).promise();
  });

  it('are not read or replaced by requests for something else of them', async () => {
    const name = { Bucket: 'greengrass-models', Key: 'tagged' };
    await s3.putObject({ ...name, Body: 'x' }).promise();
    const tags = s3.putObjectTagging({ ...name, Tagging: { TagSet: [] } }).promise();
    await expect(tags).rejects.toMatchObject({ code: 'NotImplemented' });
    await expect(s3.getObjectAcl(name).promise()).rejects.toMatchObject({ code: 'NotImplemented' });
    const copy = s3.copyObject({ ...name, CopySource: 'greengrass-models/sum' }).promise();
    await expect(copy).rejects.toMatchObject({ code: 'NotImplemented' });
    expect((await s3.getObject(name).promise()).Body?.toString()).toBe('x');
  });

  it('are for who has a key of this installation', async () => {
    const { accessKeyId } = api.credentials;
    const stranger = client({ credentials: { accessKeyId, secretAccessKey: 'wrong' } });
    await expect(
      stranger.putObject({ Bucket: 'models', Key: 'stranger', Body: 'x' }).promise(),
    ).rejects.toMatchObject({ code: 'InvalidSignatureException', statusCode: 403 });
    expect(existsSync(pathOf('models', 'stranger'))).toBe(false);
  });

  it('do not stand in the way of paths that are another service’s', async () => {
    // For S3 a bucket of that name; for AWS IoT a thing.
    await s3.putObject({ Bucket: 'things', Key: 'lamp', Body: 'x' }).promise();
    const iot = new AWS.Iot({ ...api.clientConfig, maxRetries: 0 });
    await iot.createThing({ thingName: 'lamp' }).promise();
    expect(await iot.describeThing({ thingName: 'lamp' }).promise()).toMatchObject({ thingName: 'lamp' });
    expect((await s3.getObject({ Bucket: 'things', Key: 'lamp' }).promise()).Body?.toString()).toBe('x');
  });
});

describe('buckets', () => {
  it('are made, found, listed and removed', async () => {
    const Bucket = 'made-here';
    await expect(s3.headBucket({ Bucket }).promise()).rejects.toMatchObject({ statusCode: 404 });
    await s3.createBucket({ Bucket }).promise();
    await s3.createBucket({ Bucket }).promise();
    await s3.headBucket({ Bucket }).promise();
    const names = async () => (await s3.listBuckets().promise()).Buckets?.map(({ Name }) => Name);
    expect(await names()).toContain(Bucket);
    expect(await names()).not.toContain('.uploads');
    await s3.putObject({ Bucket, Key: 'k', Body: 'x' }).promise();
    await expect(s3.deleteBucket({ Bucket }).promise()).rejects.toMatchObject({ code: 'BucketNotEmpty' });
    await s3.deleteObject({ Bucket, Key: 'k' }).promise();
    await s3.deleteBucket({ Bucket }).promise();
    await expect(s3.listObjectsV2({ Bucket }).promise()).rejects.toMatchObject({ code: 'NoSuchBucket' });
  });

  it.each(['a', '.uploads', '..', 'Upper', '-a-'])('are not called %s', async (Bucket) => {
    await expect(s3.createBucket({ Bucket }).promise()).rejects.toMatchObject({
      statusCode: expect.any(Number),
    });
    expect(readdirSync(api.objectsFolder)).not.toContain('Upper');
  });

  it('list their objects in pages, in the order of bytes, cut at a delimiter', async () => {
    const Bucket = 'listed';
    const keys = ['a', 'b-', 'b/1', 'b/2', 'b0', 'c/d e&<', 'ü'];
    for (const Key of keys) await s3.putObject({ Bucket, Key, Body: Key }).promise();
    const all: unknown[] = [];
    let ContinuationToken: string | undefined;
    do {
      const request = { Bucket, MaxKeys: 2, ...(ContinuationToken ? { ContinuationToken } : {}) };
      const page = await s3.listObjectsV2(request).promise();
      all.push(...(page.Contents ?? []).map(({ Key }) => Key));
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(all).toEqual(keys);
    const cut = await s3.listObjects({ Bucket, Delimiter: '/' }).promise();
    expect(cut.CommonPrefixes).toEqual([{ Prefix: 'b/' }, { Prefix: 'c/' }]);
    expect(cut.Contents?.map(({ Key }) => Key)).toEqual(['a', 'b-', 'b0', 'ü']);
    const inside = await s3.listObjectsV2({ Bucket, Prefix: 'b/', StartAfter: 'b/1' }).promise();
    expect(inside.Contents).toMatchObject([{ Key: 'b/2', Size: 3 }]);
    const forged = s3.listObjectsV2({ Bucket, ContinuationToken: '!!' }).promise();
    await expect(forged).rejects.toMatchObject({ code: 'InvalidRequest' });
  });
});
