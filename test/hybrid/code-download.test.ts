import { createHash } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import { downloadCode } from '../../greengrass/cloud/aws/code-download.js';

const ZIP = Buffer.from('the zip');
const SHA256 = createHash('sha256').update(ZIP).digest('base64');

describe("the download of a function's code", () => {
  let server: Server;
  let answer: RequestListener;
  let url: string;
  const fetchCode = (change: object = {}) =>
    downloadCode({
      ...{ url, sha256: SHA256, subject: 'function double:1', mayBePlain: true },
      ...{ closed: new AbortController().signal, ...change },
    });

  beforeEach(async () => {
    answer = (_request, response) => response.end(ZIP);
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/code?proof=secret`;
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('answers the zip', async () => {
    expect(await fetchCode()).toEqual(ZIP);
  });

  it.each<[string, RequestListener, RegExp]>([
    ['other code', (_q, r) => r.end('other'), /its SHA-256 is not the CodeSha256/],
    ['an expired address', (_q, r) => r.writeHead(403).end(), /the answer was HTTP 403/],
    ['an address that leads elsewhere', (_q, r) => r.writeHead(302, { location: '/x' }).end(), /redirect/],
    [
      'an end in the middle',
      (_q, r) => r.writeHead(200, { 'content-length': '99' }).write('x', () => r.destroy()),
      /./,
    ],
  ])('refuses %s, names the function and keeps the address to itself', async (_what, listener, reason) => {
    answer = listener;
    const error: Error = await fetchCode().then(
      () => new Error('not refused'),
      (refused: Error) => refused,
    );
    expect(error.message).toMatch(/^The code of function double:1 could not be fetched from AWS Lambda: /);
    expect(error.message).toMatch(reason);
    expect(error.message).not.toContain('proof');
  });

  it('refuses more than Lambda allows without reading it all', async () => {
    let isOpen = true;
    answer = (request, response) => {
      request.socket.on('close', () => {
        isOpen = false;
      });
      const part = Buffer.alloc(1024 * 1024);
      const more = (): void => {
        while (isOpen && response.write(part));
        if (isOpen) response.once('drain', more);
      };
      more();
    };
    await expect(fetchCode()).rejects.toThrow(/larger than 262144000 bytes/);
  });

  it('takes no plain HTTP from AWS itself', async () => {
    await expect(fetchCode({ mayBePlain: false })).rejects.toThrow(/its address is not https/);
    await expect(fetchCode({ url: 'file:///etc/passwd' })).rejects.toThrow(/its address is not https/);
  });

  it('ends when the cloud stops', async () => {
    const closed = new AbortController();
    answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '99' }).write('x', () => closed.abort());
    };
    await expect(fetchCode({ closed: closed.signal })).rejects.toThrow(/the cloud stops/);
  });
});
