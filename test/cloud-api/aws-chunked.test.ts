/** Bodies in signed pieces: AWS's published example, and frames that somebody has tampered with. */
import { createHmac } from 'node:crypto';
import { request } from 'node:http';
import { readChunked } from '../../greengrass/cloud/api/aws-chunked.js';
import { scopeOf, sha256, signingKey } from '../../greengrass/cloud/api/sigv4.js';
import { Cloud } from './harness.js';

const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const WITH_TRAILER = `${SIGNED}-TRAILER`;
const UNSIGNED = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

/** From the documentation of S3: "Example: PUT object" with a body in pieces. */
const EXAMPLE = {
  signature: {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    ...{ date: '20130524', region: 'us-east-1', service: 's3', time: '20130524T000000Z' },
    signedHeaders: ['host'],
    signature: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    isPresigned: false,
  },
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const PIECES: ReadonlyArray<readonly [number, string]> = [
  [65536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648'],
  [1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497'],
  [0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9'],
];

function example(pieces = PIECES): string {
  return pieces
    .map(([size, proof]) => `${size.toString(16)};chunk-signature=${proof}\r\n${'a'.repeat(size)}\r\n`)
    .join('');
}

const read = (frame: string) => readChunked(Buffer.from(frame), SIGNED, EXAMPLE);

describe('a body in pieces', () => {
  it("is AWS's own example", () => {
    expect(read(example()).body.equals(Buffer.alloc(66560, 'a'))).toBe(true);
  });

  it.each<[string, string]>([
    ['another byte', example().replace('aaa', 'aab')],
    ['another order', example([1, 0, 2].flatMap((index) => PIECES.slice(index, index + 1)))],
    ['a piece left out', example([...PIECES.slice(0, 1), ...PIECES.slice(2)])],
    ['no signature', example().replace(/;chunk-signature=\w+/, '')],
  ])('with %s is refused', (_what, frame) => {
    expect(() => read(frame)).toThrow(expect.objectContaining({ type: 'InvalidSignatureException' }));
  });

  it.each<[string, string]>([
    ['no end', example(PIECES.slice(0, 2))],
    ['a size beyond the end', 'ffff\r\nabc\r\n0\r\n\r\n'],
    ['no sizes', 'abc'],
    ['nothing', ''],
    ['a wrong line end', '3\r\nabcd\r\n0\r\n\r\n'],
  ])('with %s is incomplete', (_what, frame) => {
    const unsigned = frame.startsWith('10000') ? SIGNED : UNSIGNED;
    expect(() => readChunked(Buffer.from(frame), unsigned, EXAMPLE)).toThrow(
      expect.objectContaining({ type: 'IncompleteBody' }),
    );
  });
});

describe('S3', () => {
  let api: Cloud;
  beforeAll(async () => {
    api = await Cloud.start({ auth: 'sigv4' });
  });
  afterAll(() => api.stop());

  /** Signs head and pieces, independently of the code under test but for its key. */
  function put(digest: string, options: { spoil?: boolean; checksum?: string } = {}) {
    const { accessKeyId, secretAccessKey } = api.credentials;
    const time = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
    const scope = { accessKeyId, date: time.slice(0, 8), region: 'us-east-1', service: 's3', time };
    const signature = { ...scope, signedHeaders: [], signature: '', isPresigned: false };
    const key = signingKey(signature, secretAccessKey);
    const sign = (lines: string[]) => createHmac('sha256', key).update(lines.join('\n')).digest('hex');
    const host = new URL(api.url).host;
    const headers = {
      host,
      'x-amz-content-sha256': digest,
      'x-amz-date': time,
      'x-amz-decoded-content-length': '11',
    };
    const names = Object.keys(headers).sort();
    const lines = names.map((name) => `${name}:${headers[name as keyof typeof headers]}`);
    const canonical = ['PUT', '/bucket/key', '', ...lines, '', names.join(';'), digest].join('\n');
    let previous = sign(['AWS4-HMAC-SHA256', time, scopeOf(signature), sha256(canonical)]);
    const credential = `${accessKeyId}/${scopeOf(signature)}`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${previous}`;
    let frame = '';
    const link = (kind: string, ...digests: string[]) => {
      previous = sign([`AWS4-HMAC-SHA256-${kind}`, time, scopeOf(signature), previous, ...digests]);
      return previous;
    };
    for (const piece of ['hello ', 'world', '']) {
      const proof =
        digest === UNSIGNED ? '' : `;chunk-signature=${link('PAYLOAD', sha256(''), sha256(piece))}`;
      frame += `${piece.length.toString(16)}${proof}\r\n${piece}${piece === '' ? '' : '\r\n'}`;
    }
    if (digest !== SIGNED) {
      // CRC-32 of "hello world"
      const trailer = `x-amz-checksum-crc32:${options.checksum ?? 'DUoRhQ=='}`;
      frame += `${trailer}\r\n`;
      if (digest === WITH_TRAILER) {
        frame += `x-amz-trailer-signature:${link('TRAILER', sha256(`${trailer}\n`))}\r\n`;
      }
    }
    frame += '\r\n';
    if (options.spoil) frame = frame.replace('hello', 'jello');
    return new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const extra = { authorization, expect: '100-continue', 'content-encoding': 'aws-chunked' };
      const sent = request(`${api.url}/bucket/key`, { method: 'PUT', headers: { ...headers, ...extra } });
      sent.on('continue', () => sent.end(frame));
      sent.on('error', reject);
      sent.on('response', async (response) => {
        let text = '';
        for await (const part of response) text += part;
        resolve({ status: response.statusCode, text });
      });
      sent.flushHeaders();
    });
  }

  it.each([SIGNED, WITH_TRAILER, UNSIGNED])('takes %s', async (digest) => {
    expect(await put(digest)).toEqual({ status: 200, text: '' });
    const stored = await api.context().objects.read('s3://bucket/key', 100);
    expect(stored.toString()).toBe('hello world');
  });

  it.each([SIGNED, WITH_TRAILER])('refuses a byte that is not as signed: %s', async (digest) => {
    const { status, text } = await put(digest, { spoil: true });
    expect([status, text]).toEqual([403, expect.stringContaining('InvalidSignatureException')]);
  });

  it.each([WITH_TRAILER, UNSIGNED])('refuses a checksum that is another: %s', async (digest) => {
    const { status, text } = await put(digest, { checksum: 'AAAAAA==' });
    expect([status, text]).toEqual([400, expect.stringContaining('BadDigest')]);
  });
});
