/** The control socket on a real Unix socket: rights, sizes, errors, streams, and a path that the kernel finds too long. */
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlRefusal, type ControlRoute } from '../../greengrass/core/control/control-route.js';
import { ControlServer } from '../../greengrass/core/control/control-server.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { socketPath } from '../../greengrass/lib/unix-socket.js';
import { controlSocketPath } from '../../greengrass/model/control-socket.js';
import { waitFor } from '../support/wait-for.js';

const folder = mkdtempSync(join(tmpdir(), 'gg-control-'));
const path = controlSocketPath(folder);
let streamEnded = false;

async function* ticks(signal: AbortSignal) {
  try {
    yield { n: 1 };
    yield { n: 2 };
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  } finally {
    streamEnded = true;
  }
}

const routes: ControlRoute[] = [
  {
    method: 'GET',
    path: '/echo/{name}',
    handle: ({ params, query }) => ({ body: { params, q: query.get('q') } }),
  },
  {
    method: 'PUT',
    path: '/echo/{name}',
    handle: ({ body }) => ({ status: 201, body: { size: body.length } }),
  },
  { method: 'GET', path: '/ticks', handle: ({ signal }) => ({ stream: ticks(signal) }) },
  {
    method: 'GET',
    path: '/refused',
    handle: () => {
      throw new ControlRefusal(409, 'not now');
    },
  },
  {
    method: 'GET',
    path: '/broken',
    handle: () => {
      throw new Error('secret detail');
    },
  },
];
const server = new ControlServer({ path, routes, logger: silentLogger() });

beforeAll(() => server.start());
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function open(method: string, url: string, body = '', at = path): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const address = socketPath(at);
    const call = request({ socketPath: address.path, method, path: url, agent: false }, (response) => {
      address.release();
      resolve(response);
    });
    call.once('error', reject);
    call.end(body);
  });
}

async function call(method: string, url: string, body = '', at = path) {
  const response = await open(method, url, body, at);
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode, body: JSON.parse(text) as Record<string, unknown> };
}

describe('control socket', () => {
  it('is for its owner alone', () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('answers with pieces of the path, the query and the body', async () => {
    expect(await call('GET', '/echo/a%2Fb?q=1')).toEqual({
      status: 200,
      body: { params: { name: 'a/b' }, q: '1' },
    });
    expect(await call('PUT', '/echo/x', 'four')).toEqual({ status: 201, body: { size: 4 } });
  });

  it.each([
    ['GET', '/nothing', 404, 'nothing at /nothing'],
    ['DELETE', '/echo/x', 405, 'GET, PUT'],
    ['GET', '/echo/%', 400, 'percent-encoded'],
    ['GET', '/refused', 409, 'not now'],
    ['GET', '/broken', 500, 'internal error'],
  ])('%s %s is refused with %i', async (method, url, status, words) => {
    const answer = await call(method, url);
    expect(answer.status).toBe(status);
    expect(answer.body.message).toContain(words);
    expect(JSON.stringify(answer.body)).not.toContain('secret');
  });

  it('refuses a body that is too large', async () => {
    const answer = await call('PUT', '/echo/x', 'x'.repeat(1024 * 1024 + 1)).catch((error: Error) => error);
    if (!(answer instanceof Error)) expect(answer.status).toBe(413);
    expect((await call('GET', '/echo/still')).status).toBe(200);
  });

  it('streams lines, and ends the iteration when the reader goes', async () => {
    const response = await open('GET', '/ticks');
    let text = '';
    response.on('data', (chunk) => (text += String(chunk)));
    response.on('error', () => undefined);
    await waitFor(() => text.split('\n').length === 3);
    expect(text).toBe('{"n":1}\n{"n":2}\n');
    response.destroy();
    await waitFor(() => streamEnded);
  });

  it('has a bound of streams', async () => {
    const open8 = await Promise.all(Array.from({ length: 8 }, () => open('GET', '/ticks')));
    expect((await call('GET', '/ticks')).status).toBe(429);
    for (const response of open8) {
      response.on('error', () => undefined);
      response.destroy();
    }
    await waitFor(async () => {
      const response = await open('GET', '/ticks');
      response.on('error', () => undefined);
      response.destroy();
      return response.statusCode === 200;
    });
  });

  it('takes over a socket that was left behind, but no file', async () => {
    const other = join(folder, 'other.sock');
    const first = new ControlServer({ path: other, routes, logger: silentLogger() });
    await first.start();
    const second = new ControlServer({ path: other, routes, logger: silentLogger() });
    await second.start();
    expect((await call('GET', '/echo/x', '', other)).status).toBe(200);
    await second.stop();
    await first.stop();
    writeFileSync(other, 'mine');
    await expect(second.start()).rejects.toThrow('EADDRINUSE');
  });

  it('listens where the path is longer than the kernel takes', async () => {
    const deep = join(folder, 'd'.repeat(120));
    mkdirSync(deep);
    const long = new ControlServer({ path: controlSocketPath(deep), routes, logger: silentLogger() });
    await long.start();
    expect((await call('GET', '/echo/x', '', controlSocketPath(deep))).status).toBe(200);
    await long.stop();
    expect(statSync(controlSocketPath(deep), { throwIfNoEntry: false })).toBeUndefined();
  });
});
