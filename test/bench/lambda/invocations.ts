/**
 * Invocations in a second of one pinned function, through the frames and through HTTP. Floor: a bare loop in the same
 * language that makes the two HTTP exchanges of an invocation (work, result) with a server that does nothing, over one kept
 * connection.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { run } from '../../../greengrass/lib/subprocess.js';
import { startFunctions } from '../../support/functions.js';
import { waitFor } from '../../support/wait-for.js';
import type { Figure } from '../run.js';

const COUNT = 10_000;
const RUNS = 3;

/** Says when it sees the last event. Nothing of the SDK in between. */
const HANDLERS = {
  python: `
import os
def handler(event, context):
    if event['n'] == 0: os.write(1, b'the last\\n')
    return event
`,
  nodejs: `
exports.handler = (event, context, callback) => {
  if (event.n === 0) require('fs').writeSync(1, 'the last\\n');
  callback(null, event);
};
`,
};

const LOOPS = {
  python: (port: number) => `
import http.client, socket, time
c = http.client.HTTPConnection('127.0.0.1', ${port})
c.connect()
c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def once(method, path, body):
    c.request(method, path, body)
    return c.getresponse().read()
for _ in range(1000): once('GET', '/work', None)
start = time.perf_counter()
for _ in range(${COUNT}):
    once('POST', '/work', once('GET', '/work', None))
print(${COUNT} / (time.perf_counter() - start))
`,
  nodejs: (port: number) => `
const http = require('http');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const once = (method, body) => new Promise((resolve) => {
  const request = http.request({ host: '127.0.0.1', port: ${port}, method, path: '/work', agent }, (response) => {
    const chunks = [];
    response.on('data', (chunk) => chunks.push(chunk));
    response.on('end', () => resolve(Buffer.concat(chunks)));
  });
  request.setNoDelay(true);
  request.end(body);
});
(async () => {
  for (let i = 0; i < 1000; i++) await once('GET');
  const start = process.hrtime.bigint();
  for (let i = 0; i < ${COUNT}; i++) await once('POST', await once('GET'));
  console.log(${COUNT} / (Number(process.hrtime.bigint() - start) / 1e9));
})();
`,
};
type Language = keyof typeof HANDLERS;

/** The bare loop, in a process of its own, with a server that only reads and answers. */
async function floor(language: Language): Promise<number> {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end('{"n":1}'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const [program, flag] = language === 'python' ? ['/usr/bin/python3', '-c'] : [process.execPath, '-e'];
  const { stdout, stderr } = await run(program, [flag, LOOPS[language](port)], { timeoutMs: 120_000 });
  server.closeAllConnections();
  server.close();
  if (!Number.isFinite(Number.parseFloat(stdout))) throw new Error(stderr);
  return Number.parseFloat(stdout);
}

async function ours(language: Language, withoutFrames: boolean): Promise<number> {
  const bench = await startFunctions({ withoutFrames, maxWorkItemCount: COUNT + 2000 });
  try {
    const f = bench.define(
      'f',
      { 'main.py': HANDLERS.python, 'main.js': HANDLERS.nodejs },
      { pinned: true, runtime: language === 'python' ? 'python3.11' : 'nodejs20.x', timeoutMs: 60_000 },
    );
    await bench.deploy(f);
    // Only what is new: a look at all of it again and again would be measured too.
    const isOver = () => bench.entries.splice(0).some(({ message }) => message.includes('the last'));
    const all = async (count: number) => {
      bench.entries.length = 0;
      const start = performance.now();
      for (let n = count - 1; n >= 0; n--) bench.deliver(f, 't', `{"n":${n}}`);
      await waitFor(isOver, { timeoutMs: 120_000, intervalMs: 2 });
      return count / ((performance.now() - start) / 1000);
    };
    await all(1000);
    return await all(COUNT);
  } finally {
    await bench.close();
  }
}

export async function invocations(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const language of ['nodejs', 'python'] as const) {
    const rows: ReadonlyArray<readonly [string, () => Promise<number>]> = [
      [`floor: ${language}, bare loop of two HTTP exchanges`, () => floor(language)],
      [`one pinned ${language} function, frames`, () => ours(language, false)],
      [`one pinned ${language} function, HTTP`, () => ours(language, true)],
    ];
    // Side by side, so that what else the machine does meets all of them.
    const values = rows.map((): number[] => []);
    for (let round = 0; round < RUNS; round++) {
      for (const [index, [, measure]] of rows.entries()) values[index]?.push(await measure());
    }
    for (const [index, [name]] of rows.entries()) {
      const sorted = (values[index] ?? []).toSorted((a, b) => a - b);
      figures.push({ name, unit: '/s', value: sorted[Math.floor(sorted.length / 2)] ?? 0, runs: RUNS });
    }
  }
  return figures;
}
