/**
 * Functions that are broken, in every way that was thought of: each says so in its own log or in runtime.log, with its
 * ARN, fails who waits for it, and costs its neighbour nothing.
 */
import { randomUUID } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { EXECUTABLE_RUNTIME } from '../../greengrass/model/function-config.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

/** Invokes the event's target and publishes what came back; knows how to make large payloads. */
const CALLER = `
import base64, json
from greengrass_common.env_vars import ROUTER_FUNCTION_ARN
from greengrass_ipc_python_sdk.ipc_client import IPCClient, IPCException
ipc = IPCClient()
def encoded(value):
    return base64.b64encode(json.dumps(value).encode())
def handler(event, context):
    payload = json.dumps(event['payload']).encode()
    if 'bytes' in event:
        payload = b'"' + b'x' * (event['bytes'] - 2) + b'"'
    try:
        result = ipc.get_work_result(event['target'], ipc.post_work(event['target'], payload, encoded({})))
        text = result.payload.decode()
        answer = {'error': result.func_err, 'payload': text if len(text) < 5000 else len(text)}
    except IPCException as error:
        answer = {'error': str(error), 'payload': ''}
    ipc.post_work(ROUTER_FUNCTION_ARN, json.dumps(answer).encode(), encoded({'custom': {'subject': 'out'}}), 'Event')
`;

const PYTHON = `
import ctypes, json, os, sys, time
def handler(event, context):
    if event == 'ok' or len(event) > 1000:
        return len(event)
    return globals()[event](event)
def exit(_): os._exit(5)
def sys_exit(_): sys.exit(6)
def loop(_):
    while True: pass
def flood(_):
    line = b'x' * 1023 + b'\\n'
    for _ in range(100 * 1024): os.write(1, line)
    return 'flooded'
def endless_line(_):
    for _ in range(100): os.write(1, b'y' * 1024 * 1024)
    return 'flooded'
def not_json(_): return object()
def large(_): return 'x' * (6 * 1024 * 1024)
def full(_): return 'x' * (6 * 1024 * 1024 - 2)
def fork_bomb(_):
    while True:
        try: os.fork()
        except OSError: pass
def close_all(_): os.closerange(0, 100)
`;

const NODE = `
exports.handler = (event, context, callback) => {
  if (event === 'ok') return callback(null, 2);
  if (event === 'throw') throw new Error('thrown');
  if (event === 'loop') for (;;);
  if (event === 'exit') process.exit(5);
  if (event === 'later') return void setTimeout(() => { throw new Error('too late'); }, 10);
  if (event === 'circular') { const a = {}; a.a = a; return callback(null, a); }
  if (event === 'large') return callback(null, 'x'.repeat(6 * 1024 * 1024));
  if (event === 'flood') { for (let i = 0; i < 100; i++) require('fs').writeSync(1, ('x'.repeat(1023) + '\\n').repeat(1024)); return callback(null, 'flooded'); }
};
`;

/** The head of an ELF file for 64-bit ARM, with nothing behind it. */
const FOREIGN = Buffer.concat([
  Buffer.from([
    0x7f,
    0x45,
    0x4c,
    0x46,
    2,
    1,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    3,
    0,
    process.arch === 'arm64' ? 62 : 183,
    0,
  ]),
  Buffer.alloc(200),
]);

describeAsRoot('a broken function', () => {
  let bench: FunctionBench;
  let caller: DeployedFunction;
  let neighbour: DeployedFunction;
  beforeAll(async () => {
    bench = await startFunctions();
    caller = bench.define(
      'caller',
      { 'main.py': CALLER },
      { timeoutMs: 30_000, memoryKb: 262144, pinned: true },
    );
    neighbour = bench.define('neighbour', { 'main.py': PYTHON }, { pinned: true });
  });
  afterAll(() => bench.close(), 30_000);

  async function invoke(
    target: DeployedFunction,
    payload: unknown,
    more: object = {},
  ): Promise<{ error: string; payload: string | number }> {
    const before = bench.published.length;
    bench.deliver(caller, 't', JSON.stringify({ target: target.arn, payload, ...more }));
    const { payload: text } = await waitFor(() => bench.published[before], {
      timeoutMs: 30_000,
      what: `an answer of ${target.arn}; log: ${JSON.stringify(bench.entries.slice(-3)).slice(0, 2000)}`,
    });
    return JSON.parse(text.toString('utf8')) as { error: string; payload: string };
  }

  /** How an invocation of the function ended, asked for at the desk itself. */
  async function errorOf({ functions }: FunctionBench, f: DeployedFunction): Promise<string> {
    const asker = { workerId: randomUUID(), functionArn: caller.arn };
    const posted = await functions.post(asker, f.arn, 'RequestResponse', '', Buffer.from('"ok"'));
    if (posted.kind !== 'accepted') return posted.kind;
    return (await functions.result(asker, posted.invocationId))?.functionError ?? 'forgotten';
  }

  const python = (overrides: Partial<DeployedFunction> = {}) =>
    bench.define('python', { 'main.py': PYTHON }, { timeoutMs: 5000, memoryKb: 262144, ...overrides });
  const node = (timeoutMs: number) =>
    bench.define('node', { 'main.js': NODE }, { runtime: 'nodejs20.x', timeoutMs, memoryKb: 262144 });
  /** Everything that any log says about the function. */
  const said = (f: DeployedFunction) =>
    [
      ...bench.entries.filter((entry) => entry.functionArn === f.arn).map(({ message }) => message),
      ...bench.lines
        .filter((line) => line.functionArn === f.arn || line.funcArn === f.arn)
        .map((line) => JSON.stringify(line)),
    ].join('\n');
  const neighbourServes = async () => {
    const pid = bench.functions.workers().find(({ FuncArn }) => FuncArn === neighbour.arn)?.ProcessId;
    expect(await invoke(neighbour, 'ok')).toEqual({ error: '', payload: '2' });
    expect(pid).toBe(bench.functions.workers().find(({ FuncArn }) => FuncArn === neighbour.arn)?.ProcessId);
  };

  describe('that can not be loaded', () => {
    const answers = new Map<string, Promise<string>>();
    const functions = new Map<string, DeployedFunction>();
    const CASES: ReadonlyArray<readonly [string, string, string, string, RegExp]> = [
      ['Python: no such function', 'python3.11', 'main.nothing', PYTHON, /has no attribute 'nothing'/],
      ['Python: no such module', 'python3.11', 'nowhere.handler', PYTHON, /No module named 'nowhere'/],
      ['Python: not a function', 'python3.11', 'main.handler', 'handler = 7', /is not a function/],
      [
        'Python: a syntax error',
        'python3.11',
        'main.handler',
        'def handler(:\n',
        /SyntaxError|invalid syntax/,
      ],
      ['Python: a module for another machine', 'python3.11', 'foreign.handler', PYTHON, /foreign.*\.so/],
      ['Python: an exit while it loads', 'python3.11', 'main.handler', 'import sys\nsys.exit(9)', /code":9/],
      ['Node: no such function', 'nodejs20.x', 'main.nothing', NODE, /is not a function/],
      ['Node: no such module', 'nodejs20.x', 'nowhere.handler', NODE, /Cannot find module/],
      ['Node: a syntax error', 'nodejs20.x', 'main.handler', 'exports.handler = ((', /SyntaxError/],
      [
        'Node: an addon for another machine',
        'nodejs20.x',
        'main.handler',
        "require('./foreign.node')",
        /foreign\.node/,
      ],
      ['executable: for another machine', EXECUTABLE_RUNTIME, 'foreign.node', '', /[Ee]xec format error/],
      ['executable: no interpreter', EXECUTABLE_RUNTIME, 'main.py', '#!/not/there\n', /No such file/],
    ];

    // Each takes a second and three starts, so they go side by side.
    beforeAll(async () => {
      for (const [at, [what, runtime, handler, text]] of CASES.entries()) {
        const f = bench.define(`loads-${at}`, { 'main.py': text, 'main.js': text }, { runtime, handler });
        for (const name of ['foreign.so', 'foreign.node']) {
          writeFileSync(join(f.codeFolder, name), FOREIGN);
          chmodSync(join(f.codeFolder, name), 0o755);
        }
        chmodSync(join(f.codeFolder, 'main.py'), 0o755);
        functions.set(what, f);
      }
      await bench.deploy(caller, neighbour, ...functions.values());
      for (const [what, f] of functions) answers.set(what, errorOf(bench, f));
    });

    it.each(CASES)(
      '%s',
      async (what, _runtime, _handler, _text, expected) => {
        expect(await answers.get(what)).toBe('Unhandled');
        expect(said(functions.get(what) as DeployedFunction)).toMatch(expected);
        await neighbourServes();
      },
      40_000,
    );
  });

  it('a worker that never asks for work is stopped, and fails what waits', async () => {
    const impatient = await startFunctions({ startLimitMs: 300 });
    try {
      const silent = { 'main.py': '#!/bin/sh\ntrap "exit 0" TERM\nsleep 1000 &\nwait\n' };
      const f = impatient.define('silent', silent, { runtime: EXECUTABLE_RUNTIME, handler: 'main.py' });
      chmodSync(join(f.codeFolder, 'main.py'), 0o755);
      await impatient.deploy(f);
      expect(await errorOf(impatient, f)).toBe('Unhandled');
      expect(impatient.lines.filter(({ functionArn }) => functionArn === f.arn)).toContainEqual(
        expect.objectContaining({
          msg: 'Worker did not ask for work within 0.3 seconds and is stopped.',
        }),
      );
    } finally {
      await impatient.close();
    }
  }, 40_000);

  it.each<[string, RegExp, RegExp]>([
    ['exit', /WorkerExited.*|exited with code 5/, /code":5/],
    ['sys_exit', /exited with code 6/, /code":6/],
    ['loop', /timed out after 1 seconds/, /Timing out work item/],
    ['not_json', /not JSON serializable/, /not JSON serializable/],
    ['large', /Response payload size exceeded/, /could not be posted/],
  ])(
    'Python: %s',
    async (task, payload, log) => {
      const f = python(task === 'loop' ? { timeoutMs: 1000 } : {});
      await bench.deploy(caller, neighbour, f);
      const answer = await invoke(f, task);
      expect(answer.error).toMatch(/Handled|Unhandled/);
      expect(answer.payload).toMatch(payload);
      await waitFor(() => log.test(said(f)));
      await neighbourServes();
      expect(await invoke(f, 'ok')).toEqual({ error: '', payload: '2' });
    },
    40_000,
  );

  it.each<[string, RegExp, RegExp]>([
    ['throw', /thrown/, /thrown/],
    ['loop', /timed out after 1 seconds/, /Timing out work item/],
    ['exit', /exited with code 5/, /code":5/],
    ['later', /exited with code 1/, /too late/],
    ['circular', /circular/, /./],
    ['large', /Response payload size exceeded/, /could not be posted/],
  ])(
    'Node: %s',
    async (task, payload, log) => {
      const f = node(task === 'loop' ? 1000 : 5000);
      await bench.deploy(caller, neighbour, f);
      const answer = await invoke(f, task);
      expect(answer.error).toMatch(/Handled|Unhandled/);
      expect(answer.payload).toMatch(payload);
      await waitFor(() => log.test(said(f)));
      await neighbourServes();
      expect(await invoke(f, 'ok')).toEqual({ error: '', payload: '2' });
    },
    40_000,
  );

  it.each(['flood', 'endless_line'])(
    '100 MB of output at once (%s): the neighbour is served meanwhile',
    async (task) => {
      const f = python({ timeoutMs: 60_000 });
      await bench.deploy(caller, neighbour, f);
      bench.deliver(f, 't', JSON.stringify(task));
      await waitFor(() =>
        bench.functions
          .workers()
          .some(({ FuncArn, WorkerState }) => FuncArn === f.arn && WorkerState === 'Working'),
      );
      const times: number[] = [];
      do {
        const before = Date.now();
        await neighbourServes();
        times.push(Date.now() - before);
      } while (
        bench.functions
          .workers()
          .some(({ FuncArn, WorkerState }) => FuncArn === f.arn && WorkerState === 'Working')
      );
      expect(Math.max(...times)).toBeLessThan(2000);
      const bytes = bench.entries
        .filter(({ functionArn }) => functionArn === f.arn)
        .reduce((sum, { message }) => sum + message.length, 0);
      expect(bytes).toBeGreaterThan(100_000_000);
      bench.entries.length = 0;
    },
    60_000,
  );

  it('a function that closes all descriptors harms itself at most', async () => {
    const f = python({ timeoutMs: 2000 });
    await bench.deploy(caller, neighbour, f);
    await invoke(f, 'close_all');
    await neighbourServes();
    expect(await invoke(f, 'ok')).toEqual({ error: '', payload: '2' });
  });

  it('a payload of 6 MB arrives, one byte more is refused', async () => {
    const f = python({ timeoutMs: 20_000 });
    await bench.deploy(caller, neighbour, f);
    const limit = 6 * 1024 * 1024;
    expect(await invoke(f, '', { bytes: limit })).toEqual({ error: '', payload: String(limit - 2) });
    expect(await invoke(f, 'full')).toEqual({ error: '', payload: limit });
    expect((await invoke(f, '', { bytes: limit + 1 })).error).toMatch(/413/);
    await neighbourServes();
  });

  it('processes without end are stopped at the limit, with all of them gone after the time', async () => {
    const f = python({ timeoutMs: 2000 });
    await bench.deploy(caller, neighbour, f);
    expect((await invoke(f, 'fork_bomb')).payload).toMatch(/timed out/);
    await neighbourServes();
    expect(await invoke(f, 'ok')).toEqual({ error: '', payload: '2' });
  }, 40_000);
});
