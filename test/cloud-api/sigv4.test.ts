import { createHash, createHmac } from 'node:crypto';
import { request } from 'node:http';
import { readSignature } from '../../greengrass/cloud/api/sigv4.js';
import { Cloud } from './harness.js';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.start();
});
afterAll(() => cloud.stop());

interface Fields {
  readonly method?: string;
  /** Path and query as they are signed. */
  readonly path?: string;
  /** Path and query as they are sent, where they differ. */
  readonly sentPath?: string;
  readonly body?: string;
  readonly sentBody?: string;
  readonly service?: string;
  readonly region?: string;
  readonly at?: Date;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly extraHeaders?: Readonly<Record<string, string>>;
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Signs by hand, after the document of Signature Version 4 and not after our own code. */
function signed(fields: Fields): { path: string; body: string; headers: Record<string, string> } {
  const {
    method = 'GET',
    path = '/greengrass/groups',
    body = '',
    service = 'greengrass',
    region = 'us-east-1',
    at = new Date(),
    accessKeyId = cloud.credentials.accessKeyId,
    secretAccessKey = cloud.credentials.secretAccessKey,
  } = fields;
  const time = at.toISOString().replace(/[-:]|\.\d+/g, '');
  const date = time.slice(0, 8);
  const host = cloud.url.slice('http://'.length);
  const [plain = '', query = ''] = path.split('?');
  const encoded = plain.replaceAll('%', '%25').replaceAll('$', '%24');
  const canonicalQuery = query.split('&').sort().join('&');
  const canonical = `${method}\n${encoded}\n${canonicalQuery}\nhost:${host}\nx-amz-date:${time}\n\nhost;x-amz-date\n${hash(body)}`;
  const scope = `${date}/${region}/${service}/aws4_request`;
  const key = hmac(hmac(hmac(hmac(`AWS4${secretAccessKey}`, date), region), service), 'aws4_request');
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hash(canonical)}`).toString('hex');
  return {
    path: fields.sentPath ?? path,
    body: fields.sentBody ?? body,
    headers: {
      host,
      'x-amz-date': time,
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
      ...fields.extraHeaders,
    },
  };
}

async function send(method: string, path: string, headers: Record<string, string>, body = '') {
  return new Promise<{ status: number; type: string; body: string }>((resolve, reject) => {
    const { port } = new URL(cloud.url);
    const outgoing = request({ host: '127.0.0.1', port, method, path, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: String(response.headers['x-amzn-errortype']),
          body: Buffer.concat(parts).toString(),
        }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

async function sendSigned(fields: Fields) {
  const { path, body, headers } = signed(fields);
  return send(fields.method ?? 'GET', path, headers, body);
}

describe('a signed request', () => {
  it('passes, with a query in any order and with a dollar or an encoded colon in its path', async () => {
    expect(await sendSigned({})).toMatchObject({ status: 200 });
    expect(await sendSigned({ path: '/greengrass/groups?NextToken=&MaxResults=5' })).toMatchObject({
      status: 200,
    });
    const reset = { method: 'POST', path: '/greengrass/groups/x/deployments/$reset', body: '{}' };
    expect(await sendSigned(reset)).toMatchObject({ status: 404, type: 'ResourceNotFoundException' });
    const encoded = { ...reset, path: '/greengrass/groups/x/deployments/%24reset' };
    expect(await sendSigned(encoded)).toMatchObject({ status: 404, type: 'ResourceNotFoundException' });
    expect(await sendSigned({ path: '/tags/arn%3Aaws%3Ax' })).toMatchObject({
      status: 404,
      type: 'ResourceNotFoundException',
    });
  });

  it('is refused where its path, query, body, method or a signed header was changed', async () => {
    const changes: Fields[] = [
      { sentPath: '/greengrass/servicerole' },
      { sentPath: '/greengrass/groups?MaxResults=1' },
      { method: 'POST', body: '{"Name":"a"}', sentBody: '{"Name":"b"}' },
      {
        extraHeaders: { 'x-amz-date': new Date(Date.now() - 1000).toISOString().replace(/[-:]|\.\d+/g, '') },
      },
      { secretAccessKey: 'wrong' },
      { extraHeaders: { 'x-amz-content-sha256': hash('other') } },
    ];
    for (const change of changes) {
      expect(await sendSigned(change)).toMatchObject({ status: 403, type: 'InvalidSignatureException' });
    }
    const { path, headers } = signed({});
    expect(await send('DELETE', path, headers)).toMatchObject({ status: 403 });
    expect((await cloud.store.containers.list('groups', 10)).length).toBe(0);
  });

  it('is refused fifteen minutes before and after its time', async () => {
    const minute = 60_000;
    for (const off of [-16 * minute, 16 * minute]) {
      const refused = await sendSigned({ at: new Date(Date.now() + off) });
      expect(refused).toMatchObject({ status: 403, type: 'InvalidSignatureException' });
    }
    expect(await sendSigned({ at: new Date(Date.now() - 14 * minute) })).toMatchObject({ status: 200 });
  });

  it('is refused for another service, another region and an unknown key', async () => {
    expect(await sendSigned({ service: 'iot' })).toMatchObject({
      status: 403,
      type: 'InvalidSignatureException',
      body: expect.stringContaining("correct service: 'greengrass'"),
    });
    expect((await sendSigned({ region: 'eu-west-1' })).body).toContain("'us-east-1'");
    const unknown = await sendSigned({ accessKeyId: 'AKIAUNKNOWN' });
    expect(unknown).toMatchObject({ status: 403, type: 'UnrecognizedClientException' });
    expect(unknown.body).toContain('The security token included in the request is invalid.');
    const token = await sendSigned({ extraHeaders: { 'x-amz-security-token': 'session' } });
    expect(token).toMatchObject({ type: 'UnrecognizedClientException' });
  });

  it('is refused without a signature, or with half of one', async () => {
    for (const path of ['/greengrass/groups', '/nothing/here', '/things']) {
      for (const method of ['GET', 'OPTIONS', 'POST']) {
        expect(await send(method, path, {})).toMatchObject({
          status: 403,
          type: 'MissingAuthenticationTokenException',
        });
      }
    }
    const halves = ['AWS4-HMAC-SHA256', 'Basic YTpi', 'AWS4-HMAC-SHA256 Credential=a/b', '='];
    for (const authorization of halves) {
      expect(await send('GET', '/greengrass/groups', { authorization })).toMatchObject({
        status: 403,
        type: 'IncompleteSignatureException',
      });
    }
  });

  it('is told of an operation that does not exist', async () => {
    expect(await sendSigned({ path: '/greengrass/nothing/like/it' })).toMatchObject({
      status: 404,
      type: 'UnknownOperationException',
    });
  });
});

describe('bodies', () => {
  it('are read only from callers with a key, and only up to the limit of the service', async () => {
    const large = `{"Name":"${'x'.repeat(7 * 1024 * 1024)}"}`;
    const refused = await sendSigned({ method: 'POST', body: large }).catch((error: Error) => error.message);
    // A server that stops reading may be seen as its answer or as a broken pipe.
    if (typeof refused === 'string') expect(refused).toMatch(/EPIPE|ECONNRESET/);
    else expect(refused).toMatchObject({ status: 413, type: 'RequestEntityTooLargeException' });
  });
});

describe('without signatures', () => {
  it('no web page of another place is served, and no name that was made to point here', async () => {
    const open = await Cloud.start({ auth: 'none' });
    const { host, port } = new URL(open.url);
    const statusOf = (headers: Record<string, string>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const outgoing = request({ host: '127.0.0.1', port, path: '/things', headers }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        outgoing.on('error', reject);
        outgoing.end();
      });
    expect(await statusOf({})).toBe(200);
    expect(await statusOf({ origin: `http://${host}` })).toBe(200);
    expect(await statusOf({ origin: 'https://example.com' })).toBe(403);
    expect(await statusOf({ host: 'example.com' })).toBe(403);
    await open.stop();
  });
});

describe('a presigned request', () => {
  it('is read from the query, and is good as long as it says', () => {
    const at = new Date('2026-01-01T00:00:00Z');
    const url = `/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101%2Fus-east-1%2Fiot%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=${'0'.repeat(64)}`;
    const read = (now: string, text = url) =>
      readSignature({ method: 'GET', url: text, rawHeaders: [] }, new Date(now));
    expect(read('2026-01-01T00:59:00Z')).toMatchObject({
      accessKeyId: 'AKIA',
      service: 'iot',
      isPresigned: true,
    });
    expect(() => read('2026-01-01T01:00:01Z')).toThrow(
      'Signature expired: 20260101T000000Z is now earlier than 20260101T000001Z (20260101T010001Z - 60 min.)',
    );
    expect(() => read('2025-12-31T23:44:59Z')).toThrow(
      'Signature not yet current: 20260101T000000Z is still later than 20251231T235959Z (20251231T234459Z + 15 min.)',
    );
    expect(() => read(at.toISOString(), url.replace('3600', '604801'))).toThrow('must be AWS4-HMAC-SHA256');
    expect(() => read(at.toISOString(), url.replace('=host', '=x-other'))).toThrow("'Host'");
    expect(() => read(at.toISOString(), url.replace('20260101T', '20260102T'))).toThrow('Date in Credential');
  });
});
