/** The stand-in for S3, driven by AWS's own client (SDK v2, which scripts for V1 have). */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
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

  it('in parts are refused, with what to do', async () => {
    const upload = s3.createMultipartUpload({ Bucket: 'models', Key: 'large' }).promise();
    await expect(upload).rejects.toMatchObject({
      code: 'NotImplemented',
      message: expect.stringContaining('multipart_threshold'),
    });
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
