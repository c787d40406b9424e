/** Requests of the core to the Greengrass service, against a real HTTPS server that asks for the core's certificate. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { ServiceClient, ServiceError } from '../../greengrass/core/service-client.js';
import { createLogger } from '../../greengrass/lib/log.js';
import {
  type CertifiedKey,
  createKeyPair,
  createSelfSigned,
  issueCertificate,
} from '../../greengrass/lib/x509.js';
import { waitFor } from '../support/wait-for.js';

const DIGEST = 'c'.repeat(64);
const ARTIFACT_PATH = `/greengrass/groups/g/deployments/d/artifacts/lambda/${DIGEST}`;

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

let ca: CertifiedKey;
let core: CertifiedKey;
let folder: string;
let server: Server;
let client: ServiceClient;
let warnings: string[];
/** Answers to requests in order; the last one answers all that follow. */
let answers: Answer[];
let requests: Array<{ method: string; url: string; range: string | undefined; body: string; core: string }>;

async function issue(name: string, hosts: string[]): Promise<CertifiedKey> {
  const keys = await createKeyPair();
  const notAfter = new Date(Date.now() + 3_600_000);
  const certificatePem = issueCertificate(ca, keys.publicKeyPem, {
    subject: [['CN', name]],
    notAfter,
    hosts,
    usage: 'both',
  });
  return { certificatePem, privateKeyPem: keys.privateKeyPem };
}

function makeClient(overrides: { port?: number; host?: string; caPem?: string } = {}): ServiceClient {
  const { port } = server.address() as AddressInfo;
  return new ServiceClient({
    host: '127.0.0.1',
    port,
    caPem: ca.certificatePem,
    certPem: core.certificatePem,
    keyPem: core.privateKeyPem,
    retryBaseMs: 5,
    maxArtifactBytes: 100_000,
    logger: createLogger({
      level: 'warn',
      stream: { write: (line: string) => warnings.push((JSON.parse(line) as { reason: string }).reason) },
    }),
    ...overrides,
  });
}

beforeAll(async () => {
  const notAfter = new Date(Date.now() + 3_600_000);
  ca = await createSelfSigned({ subject: [['CN', 'root']], notAfter, isCa: true });
  core = await issue('test-core', []);
  const identity = await issue('service', ['localhost', '127.0.0.1']);
  server = createServer(
    {
      key: identity.privateKeyPem,
      cert: identity.certificatePem,
      ca: ca.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
    },
    async (request, response) => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      const { method = '', url = '', headers } = request;
      const peer = String((request.socket as TLSSocket).getPeerCertificate().subject.CN);
      requests.push({ method, url, range: headers.range, body, core: peer });
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      answer?.(request, response, body);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-service-'));
  [warnings, answers, requests] = [[], [], []];
  client = makeClient();
});
afterEach(() => {
  client.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});

const ok =
  (body: string | Buffer): Answer =>
  (_request, response) =>
    response.end(body);

const status =
  (code: number, body = ''): Answer =>
  (_request, response) => {
    response.statusCode = code;
    response.end(body);
  };

/** Announces `bytes`, sends the first `count` of them behind the range, and is gone once they have arrived. */
const breakOff =
  (bytes: Buffer, count: number, arrived: () => boolean = () => true): Answer =>
  (request, response) => {
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': String(bytes.length - from) });
    response.write(bytes.subarray(from, from + count));
    void waitFor(arrived).then(() => request.socket.destroy());
  };

const sendRange =
  (bytes: Buffer): Answer =>
  (request, response) => {
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from >= bytes.length) response.writeHead(416).end();
    else response.writeHead(from > 0 ? 206 : 200).end(bytes.subarray(from));
  };

describe('a request', () => {
  it('shows the certificate of the core and answers the exact bytes', async () => {
    const document = randomBytes(200_000);
    answers = [ok(document)];
    expect((await client.groupDocument('g', 'd')).equals(document)).toBe(true);
    expect(requests).toEqual([
      {
        method: 'GET',
        url: '/greengrass/groups/g/deployments/d',
        range: undefined,
        body: '',
        core: 'test-core',
      },
    ]);
  });

  it.each([500, 502, 503, 429, 408])('is repeated after %i', async (code) => {
    answers = [status(code, 'busy'), status(code, 'busy'), ok('done')];
    expect((await client.groupDocument('g', 'd')).toString()).toBe('done');
    expect(requests).toHaveLength(3);
    expect(warnings[0]).toMatch(new RegExp(`GET https://127.0.0.1:\\d+/.* was answered with ${code}: busy`));
  });

  it.each([400, 401, 403, 404, 301, 204])('is not repeated after %i', async (code) => {
    answers = [status(code, JSON.stringify({ errorMessage: 'that is how it is' }))];
    const error = await client.groupDocument('g', 'd').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ServiceError);
    expect(error).toMatchObject({ recoverable: false });
    expect((error as Error).message).toContain(`was answered with ${code}`);
    if (code >= 400) expect((error as Error).message).toMatch(/: that is how it is$/);
    expect(requests).toHaveLength(1);
  });

  it('gives up after five attempts', async () => {
    answers = [status(500, '<html>a proxy speaks</html>')];
    await expect(client.groupDocument('g', 'd')).rejects.toMatchObject({
      recoverable: true,
      message: expect.stringContaining('was answered with 500: <html>a proxy speaks</html>'),
    });
    expect(requests).toHaveLength(5);
  });

  it('is repeated where the connection breaks before or within the answer', async () => {
    answers = [(request) => request.socket.destroy(), breakOff(Buffer.alloc(1000), 10), ok('done')];
    expect((await client.groupDocument('g', 'd')).toString()).toBe('done');
    expect(warnings).toHaveLength(2);
  });

  it('fails at an answer that is larger than allowed, without reading it all', async () => {
    let sent = 0;
    answers = [
      (_request, response) => {
        const more = () => {
          while (!response.destroyed && sent < 64 * 1024 * 1024) {
            sent += 65_536;
            if (!response.write(Buffer.alloc(65_536, 0x20))) {
              response.once('drain', more);
              return;
            }
          }
        };
        more();
      },
    ];
    await expect(client.connectivityInfo('test-core')).rejects.toMatchObject({
      recoverable: false,
      message: expect.stringMatching(/the answer is larger than 1048576 bytes$/),
    });
    expect(sent).toBeLessThan(32 * 1024 * 1024);
    expect(requests).toHaveLength(1);
  });

  it('trusts no server of another CA, and no other host', async () => {
    const other = await createSelfSigned({
      subject: [['CN', 'other root']],
      notAfter: new Date(Date.now() + 60_000),
      isCa: true,
    });
    answers = [ok('secret')];
    for (const overrides of [{ caPem: other.certificatePem }, { host: '127.0.0.2' }]) {
      const wrong = makeClient(overrides);
      await expect(wrong.groupDocument('g', 'd')).rejects.toThrow(/failed: .*(altnames|certificate)/);
      wrong.close();
    }
    expect(requests).toEqual([]);
  });

  it('never leaves its path, whatever the ids hold', async () => {
    answers = [ok('x')];
    await client.groupDocument('../../admin?', 'd/../../x#');
    expect(requests[0]?.url).toBe('/greengrass/groups/..%2F..%2Fadmin%3F/deployments/d%2F..%2F..%2Fx%23');
  });
});

describe('the requests of the service', () => {
  it('ask for a server certificate', async () => {
    const signed = { certificatePem: 'C', caPem: 'A', expiresAt: '2030-01-01T00:00:00Z' };
    answers = [ok(JSON.stringify(signed))];
    expect(await client.createServerCertificate('g', 'CSR')).toEqual(signed);
    expect(requests[0]).toMatchObject({
      method: 'POST',
      url: '/greengrass/groups/g/certificates',
      body: '{"csr":"CSR"}',
    });
  });

  it('read and write the connectivity information', async () => {
    const ConnectivityInfo = [{ Id: 'a', HostAddress: '10.0.0.1', PortNumber: 8883, Metadata: '' }];
    answers = [ok(JSON.stringify({ ConnectivityInfo, version: '1' })), ok('{"version":"2"}')];
    expect(await client.connectivityInfo('c')).toEqual(ConnectivityInfo);
    await client.updateConnectivityInfo('c', ConnectivityInfo);
    expect(requests[1]).toMatchObject({
      method: 'PUT',
      url: '/greengrass/connectivityInfo/thing/c',
      body: JSON.stringify({ ConnectivityInfo }),
    });
  });

  it.each(['', 'null', '{}', '<html>', '{"certificatePem":1}'])('refuse the answer %j', async (text) => {
    answers = [ok(text)];
    await expect(client.createServerCertificate('g', 'CSR')).rejects.toThrow(
      /answer of POST \/greengrass\/groups\/g\/certificates/,
    );
  });
});

describe('a download', () => {
  const zip = randomBytes(50_000);
  const file = () => join(folder, 'deep', 'er', 'x.zip');
  const download = () => client.downloadArtifact('g', 'd', DIGEST, file());

  it('writes the file, and makes its folder', async () => {
    answers = [sendRange(zip)];
    await download();
    expect(readFileSync(file()).equals(zip)).toBe(true);
    expect(requests[0]?.url).toBe(ARTIFACT_PATH);
  });

  it('goes on where it broke off, each time', async () => {
    const written = (bytes: number) => () => existsSync(file()) && statSync(file()).size >= bytes;
    answers = [
      breakOff(zip, 20_000, written(20_000)),
      breakOff(zip, 10_000, written(30_000)),
      sendRange(zip),
    ];
    await download();
    expect(readFileSync(file()).equals(zip)).toBe(true);
    expect(requests.map(({ range }) => range)).toEqual([undefined, 'bytes=20000-', 'bytes=30000-']);
  });

  it('starts anew where the server knows no ranges', async () => {
    answers = [breakOff(zip, 20_000), ok(zip)];
    await download();
    expect(readFileSync(file()).equals(zip)).toBe(true);
  });

  it('is content with a file that is whole', async () => {
    answers = [sendRange(zip)];
    await download();
    await download();
    expect(requests.map(({ range }) => range)).toEqual([undefined, 'bytes=50000-']);
    expect(readFileSync(file()).equals(zip)).toBe(true);
  });

  it('fails at once where there is no such artifact, and leaves no file', async () => {
    answers = [status(404, '{"errorMessage":"no such artifact"}')];
    await expect(download()).rejects.toThrow(/404: no such artifact$/);
    expect([existsSync(file()), requests.length]).toEqual([false, 1]);
  });

  it('fails at a zip that is larger than allowed, also by a resumed one, and leaves no file', async () => {
    answers = [ok(randomBytes(100_001))];
    await expect(download()).rejects.toThrow(/the answer is larger than 100000 bytes$/);
    expect(existsSync(file())).toBe(false);
    writeFileSync(file(), Buffer.alloc(60_000));
    answers = [(_request, response) => response.writeHead(206).end(randomBytes(50_000))];
    await expect(download()).rejects.toMatchObject({ recoverable: false });
    expect([existsSync(file()), requests.length]).toEqual([false, 2]);
  });
});
