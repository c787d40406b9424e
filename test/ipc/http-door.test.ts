/** The HTTP of the workers' door against clients that are slow, wrong or hostile: what a function may send. */
import { connect, type Socket } from 'node:net';
import fc from 'fast-check';
import { type HttpCall, IpcRefusal } from '../../greengrass/core/ipc/http-call.js';
import { HttpServer } from '../../greengrass/core/ipc/http-server.js';
import { waitFor } from '../support/wait-for.js';

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

describe('HTTP of the door', () => {
  let server: HttpServer;
  let seen: Seen[];
  let held: HttpCall[];
  const clients: Socket[] = [];

  /** `/echo` gives the body back, `/unread` does not read it, `/hold` answers when the test says so. */
  async function handle(call: HttpCall): Promise<void> {
    try {
      if (call.path === '/hold') {
        held.push(call);
        return;
      }
      if (call.path === '/unread') {
        await call.answer(401, {}, 'who?');
        return;
      }
      const body = await call.payload();
      seen.push({ method: call.method, path: call.path, body: body.toString('latin1') });
      await call.answer(200, { 'X-Token': call.header('authorization') }, body);
    } catch (error) {
      if (!call.isAnswered)
        await call.answer(error instanceof IpcRefusal ? error.status : 400, {}, String(error));
    }
  }

  beforeEach(async () => {
    seen = [];
    held = [];
    server = new HttpServer({ handle: (call) => void handle(call), maxConnections: 20 });
    await server.listen(0, '127.0.0.1');
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await server.close();
  });

  function open(): Socket & { readonly text: () => string } {
    const socket = connect({ host: '127.0.0.1', port: server.port, noDelay: true });
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    clients.push(socket);
    return Object.assign(socket, { text: () => text });
  }

  /** Sends and answers what came until the server ended the connection. */
  async function talk(...parts: Array<string | Buffer>): Promise<string> {
    const socket = open();
    for (const part of parts) socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part);
    const ended = () => socket.readableEnded || socket.destroyed;
    await waitFor(ended, { timeoutMs: 10_000, intervalMs: 2, what: 'the end' });
    return socket.text();
  }

  const post = (body: string, ...headers: string[]) =>
    `POST /echo HTTP/1.1\r\nHost: x\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n${body}`;
  const CLOSE = 'Connection: close';

  it.each<[string, string, string]>([
    ['a body with a length', post('abc', 'Content-Length: 3', CLOSE), 'abc'],
    [
      'a body in chunks',
      post('1\r\na\r\n2;x=y\r\nbc\r\n0\r\nT: 1\r\n\r\n', 'Transfer-Encoding: chunked', CLOSE),
      'abc',
    ],
    ['no body', post('', CLOSE), ''],
    ['HTTP/1.0', 'POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc', 'abc'],
    ['headers in any case', post('abc', 'cOnTeNt-LeNgTh:3', 'CONNECTION:\t Close '), 'abc'],
  ])('reads %s', async (_what, request, body) => {
    const answer = await talk(request);
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer.split('\r\n\r\n')[1]).toBe(body);
    expect(seen).toEqual([{ method: 'POST', path: '/echo', body }]);
  });

  it.each<[string, string, number]>([
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['another version', 'GET / HTTP/2.0\r\nHost: x\r\n\r\n', 505],
    ['bare line feeds', 'GET / HTTP/1.1\nHost: x\r\n\r\n', 400],
    ['a folded header', post('', 'A: b\r\n c'), 400],
    ['a space before the colon', post('', 'Content-Length : 3'), 400],
    ['a header without a colon', post('', 'nonsense'), 400],
    ['a zero byte', post('', 'A: \0'), 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['two lengths', post('abc', 'Content-Length: 3', 'Content-Length: 3'), 400],
    ['two tokens', post('', 'Authorization: a', 'Authorization: b'), 400],
    ['a length and chunks', post('0\r\n\r\n', 'Content-Length: 5', 'Transfer-Encoding: chunked'), 400],
    ['a negative length', post('', 'Content-Length: -1'), 400],
    ['a length in hex', post('', 'Content-Length: 0x3'), 400],
    ['a length without end', post('', `Content-Length: ${'9'.repeat(30)}`), 400],
    ['a coding that is not known', post('', 'Transfer-Encoding: gzip, chunked'), 501],
    ['an expectation that is not known', post('', 'Expect: wonders'), 417],
    ['too many headers', post('', ...Array.from({ length: 200 }, (_, n) => `A${n}: 1`)), 431],
    ['a head that is too large', post('', `A: ${'a'.repeat(50_000)}`), 431],
    ['a head that never ends', `GET / HTTP/1.1\r\nA: ${'a'.repeat(60_000)}`, 431],
    ['spaces without end', post('', `A: b${' \t'.repeat(23_000)}\0`), 400],
  ])('refuses %s, and ends the connection', async (_what, request, status) => {
    expect(await talk(request)).toMatch(
      new RegExp(`^HTTP/1.1 ${status} [^\r]+\r\n[\\s\\S]*Connection: close\r\n`),
    );
    expect(seen).toEqual([]);
  });

  it.each<[string, string]>([
    ['a size that is none', 'x\r\n'],
    ['a negative size', '-1\r\n'],
    ['a size that is too large', 'fffffffff\r\n'],
    ['no line end behind the data', '1\r\nabc'],
    ['a bare line feed', '1\na\n0\n\n'],
    ['an extension without end', `1;${'a'.repeat(5000)}`],
    ['trailers without end', `0\r\n${'a: b\r\n'.repeat(2000)}\r\n`],
  ])('refuses chunks with %s', async (_what, body) => {
    expect(await talk(post(body, 'Transfer-Encoding: chunked'))).toMatch(/^HTTP\/1.1 400 /);
    expect(seen).toEqual([]);
  });

  it('reads requests whatever pieces they come in, and answers in order', async () => {
    const body = fc.string({ unit: 'binary-ascii', maxLength: 300 });
    const request = fc.record({ body, chunks: fc.option(fc.array(fc.nat({ max: 40 }), { maxLength: 5 })) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }),
        async (requests, cuts) => {
          seen = [];
          const bytes = Buffer.from(
            requests
              .map(({ body, chunks }, at) => {
                const end = at === requests.length - 1 ? [CLOSE] : [];
                if (chunks === null) return post(body, `Content-Length: ${body.length}`, ...end);
                return post(inChunks(body, chunks), 'Transfer-Encoding: chunked', ...end);
              })
              .join(''),
            'latin1',
          );
          const answer = await talk(...inPieces(bytes, cuts));
          expect(seen.map(({ body }) => body)).toEqual(requests.map(({ body }) => body));
          expect(answer.match(/HTTP\/1.1 200 OK/g)?.length).toBeGreaterThanOrEqual(requests.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('stands whatever bytes come', async () => {
    const grain = fc.oneof(
      fc.constantFrom(
        'GET ',
        'POST ',
        '/echo',
        ' HTTP/1.1',
        '\r\n',
        '\r\n\r\n',
        '\n',
        ':',
        'Host: x\r\n',
        '0',
        ' ',
      ),
      fc.constantFrom(
        'Content-Length: ',
        'Transfer-Encoding: chunked\r\n',
        'Expect: 100-continue\r\n',
        'ffffffff',
      ),
      fc.string({ unit: 'binary-ascii', maxLength: 30 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(grain, { maxLength: 30 }), async (grains) => {
        const socket = open();
        socket.end(Buffer.from(grains.join(''), 'latin1'));
        const ended = () => socket.destroyed || socket.readableEnded;
        await waitFor(ended, { timeoutMs: 10_000, intervalMs: 2 });
        expect(socket.text()).toMatch(/^$|^HTTP\/1.1 \d{3} /);
      }),
      { numRuns: 200 },
    );
    expect(await talk(post('abc', 'Content-Length: 3', CLOSE))).toMatch(/^HTTP\/1.1 200 /);
  });

  it('keeps the connection for the next request, also behind a body that no route read', async () => {
    const socket = open();
    socket.write('POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc');
    await waitFor(() => socket.text().includes('who?'));
    socket.write(post('later', 'Content-Length: 5'));
    await waitFor(() => socket.text().endsWith('later'));
  });

  it('tells a client that still sends why it was refused', async () => {
    const head = `POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: ${8 << 20}\r\n\r\n`;
    const answer = await talk(head, Buffer.alloc(8 << 20));
    expect(answer).toMatch(/^HTTP\/1.1 401 [\s\S]*Connection: close\r\n[\s\S]*who\?$/);
  });

  it('refuses a body that is too large when it is read, and takes the next request', async () => {
    const socket = open();
    socket.write(post('', `Content-Length: ${7 << 20}`));
    socket.write(Buffer.alloc(7 << 20));
    await waitFor(() => socket.text().startsWith('HTTP/1.1 413 '), { timeoutMs: 10_000 });
    socket.write(post('next', 'Content-Length: 4', CLOSE));
    await waitFor(() => socket.text().endsWith('next'));
  });

  it('refuses at once a body of which nobody would see the end', async () => {
    expect(await talk(post('', 'Content-Length: 99999999999'))).toMatch(/^HTTP\/1.1 413 /);
  });

  it('reads a body in chunks of one byte without an object for each', async () => {
    const count = 1 << 20;
    const before = process.memoryUsage().rss;
    const answer = await talk(
      post(`${'1\r\na\r\n'.repeat(count)}0\r\n\r\n`, 'Transfer-Encoding: chunked', CLOSE),
    );
    expect(answer.length).toBeGreaterThan(count);
    expect(process.memoryUsage().rss - before).toBeLessThan(120 << 20);
  });

  it('says "continue" to who waits for it', async () => {
    const socket = open();
    socket.write(post('', 'Content-Length: 3', 'Expect: 100-continue', CLOSE));
    await waitFor(() => socket.text() === 'HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('abc');
    await waitFor(() => socket.text().endsWith('abc'));
  });

  it('leaves what is sent ahead of an answer in the socket of who sends it', async () => {
    const socket = open();
    socket.write('GET /hold HTTP/1.1\r\nHost: x\r\n\r\n');
    await waitFor(() => held.length === 1);
    const ahead = Buffer.from(post('z'.repeat(1000), 'Content-Length: 1000').repeat(20_000), 'latin1');
    socket.write(ahead);
    // What the kernel holds for both sides, and no more.
    await waitFor(() => socket.bytesWritten > 0);
    expect(seen).toEqual([]);
    await held[0]?.answer(200, {});
    await waitFor(() => seen.length === 20_000, { timeoutMs: 30_000 });
  });

  it('tells a route that its client is gone, by reset or by end', async () => {
    for (const leave of ['destroy', 'end'] as const) {
      const socket = open();
      socket.write('GET /hold HTTP/1.1\r\nHost: x\r\n\r\n');
      const call = await waitFor(() => held.shift());
      const { gone } = call;
      expect(gone.aborted).toBe(false);
      socket[leave]();
      await waitFor(() => gone.aborted);
      expect(await call.answer(200, {}, 'too late')).toBe(false);
    }
  });

  it('ends connections that take too long, but no long poll', async () => {
    const [silent, slowHead, slowBody, poll] = [open(), open(), open(), open()];
    slowHead.write('GET / HTTP/1.1\r\nHos');
    slowBody.write(post('a', 'Content-Length: 3'));
    poll.write('GET /hold HTTP/1.1\r\nHost: x\r\n\r\n');
    await waitFor(() => held.length === 1);
    // A request behind the others: those were read.
    const last = open();
    last.write(post('', CLOSE));
    await waitFor(() => last.text().includes('200'));
    server.sweep(20);
    await waitFor(() => slowHead.text().startsWith('HTTP/1.1 408 '));
    expect(slowBody.destroyed).toBe(false);
    server.sweep(50);
    await waitFor(() => slowBody.destroyed);
    expect(silent.destroyed).toBe(false);
    server.sweep(3600);
    await waitFor(() => silent.destroyed);
    expect(poll.destroyed).toBe(false);
    await held[0]?.answer(200, {}, 'worth it');
    await waitFor(() => poll.text().endsWith('worth it'));
  });

  it('makes room for a new connection at the cost of one without a call, never of a call', async () => {
    const polls = Array.from({ length: 12 }, () => open());
    for (const poll of polls) poll.write('GET /hold HTTP/1.1\r\nHost: x\r\n\r\n');
    await waitFor(() => held.length === 12);
    const idle = Array.from({ length: 30 }, () => open());
    await waitFor(() => idle.filter((socket) => socket.destroyed).length === 22);
    expect(await talk(post('in', 'Content-Length: 2', CLOSE))).toMatch(/in$/);
    expect(polls.some((socket) => socket.destroyed)).toBe(false);
  });

  it('gives no header away that would be two', async () => {
    open().write('GET /hold HTTP/1.1\r\nHost: x\r\n\r\n');
    const call = await waitFor(() => held[0]);
    await expect(call.answer(200, { A: 'b\r\nc: d' })).rejects.toThrow(/forbidden/);
  });
});

function inChunks(body: string, sizes: readonly number[]): string {
  let text = '';
  let at = 0;
  for (const size of [...sizes, body.length]) {
    const part = body.slice(at, at + size);
    at += part.length;
    if (part !== '') text += `${part.length.toString(16)}\r\n${part}\r\n`;
  }
  return `${text}0\r\n\r\n`;
}

function inPieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (let n = 0; at < bytes.length; n++) {
    const size = cuts[n % cuts.length] as number;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}
