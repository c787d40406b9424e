/** The HTTP client of our Node.js runtime against servers that close, split and stammer. */
import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../greengrass/lib/package-root.js';
import { waitFor } from '../support/wait-for.js';

interface Answer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}
interface Pool {
  readonly free: unknown[];
  request(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: Buffer | null,
    callback: (error: Error | null, answer: Answer) => void,
  ): void;
}
const CLIENT = join(
  PACKAGE_ROOT,
  'greengrass/runtimes/nodejs/node_modules/aws-greengrass-ipc-sdk-js/http-connection.js',
);
const ConnectionPool = createRequire(CLIENT)(CLIENT) as new (port: number) => Pool;

describe('the HTTP client of the Node.js runtime', () => {
  let server: Server;
  let sockets: Socket[];
  let received: string[];
  let pool: Pool;
  /** What the server does with each request, given its number and its connection's. */
  let serve: (socket: Socket, request: number, connection: number) => void;

  beforeEach(async () => {
    sockets = [];
    received = [];
    serve = (socket) => socket.write(answerOf('ok'));
    server = createServer((socket) => {
      const connection = sockets.push(socket);
      socket.on('error', () => {});
      socket.on('data', (chunk: Buffer) => {
        const request = received.push(chunk.toString('latin1'));
        serve(socket, request, connection);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    pool = new ConnectionPool((server.address() as AddressInfo).port);
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  const answerOf = (body: string, ...headers: string[]) =>
    ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...headers, '', body].join('\r\n');
  const ask = (body: Buffer | null = null, headers: Record<string, string> = {}, path = '/x') =>
    new Promise<Answer>((resolve, reject) =>
      pool.request('POST', path, headers, body, (error, answer) => (error ? reject(error) : resolve(answer))),
    );

  it('keeps its connection, sends head and body in one piece, and takes headers by lower-case name', async () => {
    serve = (socket) => socket.write(answerOf('', 'X-Amz-Function-Error:', 'X-A:  b '));
    const { headers, statusCode } = await ask(Buffer.from('abc'), { Authorization: 'Basic x' });
    await ask();
    expect(sockets).toHaveLength(1);
    expect(received[0]).toMatch(/^POST \/x HTTP\/1.1\r\nHost: localhost\r\nAuthorization: Basic x\r\n/);
    expect(received[0]).toMatch(/Content-Length: 3\r\n\r\nabc$/);
    expect([statusCode, headers['x-amz-function-error'], headers['x-a']]).toEqual([200, '', 'b']);
  });

  it('reads an answer in whatever pieces it comes, behind a "continue" too', async () => {
    const text = `HTTP/1.1 100 Continue\r\n\r\n${answerOf('the body')}`;
    serve = (socket) => {
      socket.setNoDelay(true);
      for (const letter of text) socket.write(letter);
    };
    expect((await ask()).body.toString()).toBe('the body');
  });

  it('opens as many connections as there are requests at once', async () => {
    const waiting: Socket[] = [];
    serve = (socket) => {
      if (waiting.push(socket) === 3) for (const each of waiting) each.write(answerOf('ok'));
    };
    await Promise.all([ask(), ask(), ask()]);
    expect(sockets).toHaveLength(3);
    expect(pool.free).toHaveLength(3);
  });

  it('asks once more where the core had closed the kept connection', async () => {
    serve = (socket, request) => {
      if (request === 2) socket.destroy();
      else socket.write(answerOf(`${request}`));
    };
    await ask();
    expect((await ask()).body.toString()).toBe('3');
    expect(sockets).toHaveLength(2);
  });

  it('does not ask once more on a new connection, or where the answer had begun', async () => {
    serve = (socket, request) => {
      if (request === 2) socket.end(answerOf('too long').slice(0, -4));
      else if (request === 3) socket.destroy();
      else socket.write(answerOf('ok'));
    };
    await ask();
    await expect(ask()).rejects.toThrow(/closed/);
    await expect(ask()).rejects.toThrow(/closed|ECONNRESET/);
    expect(received).toHaveLength(3);
  });

  it('leaves a connection that the core ends with its answer', async () => {
    serve = (socket) => socket.end(answerOf('ok', 'Connection: close'));
    await ask();
    await ask();
    expect(sockets).toHaveLength(2);
    expect(pool.free).toHaveLength(0);
  });

  it('ends a connection on which something comes that nobody asked for', async () => {
    await ask();
    sockets[0]?.write('HTTP/1.1 200 OK\r\n\r\n');
    await waitFor(() => pool.free.length === 0);
    expect((await ask()).statusCode).toBe(200);
  });

  it.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['an answer longer than it says', `${answerOf('ok')}surplus`],
  ])('does not go on with a connection that brought %s', async (_what, text) => {
    serve = (socket) => socket.write(text);
    await ask().catch(() => {});
    expect(pool.free).toHaveLength(0);
  });

  it('sends nothing that would become two lines', async () => {
    await expect(ask(null, { A: 'b\r\nc: d' })).rejects.toThrow(/forbidden/);
    await expect(ask(null, {}, '/x HTTP/1.1\r\n')).rejects.toThrow(/forbidden/);
    expect(received).toEqual([]);
  });
});
