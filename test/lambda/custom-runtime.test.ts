/** Functions that bring their own runtime: a `bootstrap` that speaks AWS Lambda's Runtime API, alone at its door. */
import { chmodSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

/** Answers with the event and all that the API told it; `{"fail": true}` is answered with an error. */
const PYTHON = `#!/usr/bin/python3
import http.client, json, os
api = os.environ['AWS_LAMBDA_RUNTIME_API']
base = '/2018-06-01/runtime/'
connection = http.client.HTTPConnection(api)
def call(method, path, body=None, headers={}):
    connection.request(method, base + path, body, headers)
    response = connection.getresponse()
    return response, response.read()
print('bootstrap at ' + api, flush=True)
while True:
    response, body = call('GET', 'invocation/next')
    id = response.headers['Lambda-Runtime-Aws-Request-Id']
    event = json.loads(body)
    if 'wrongId' in event:
        refused, text = call('POST', 'invocation/00000000-0000-4000-8000-000000000000/response', b'{}')
        print('refused with %d %s' % (refused.status, json.loads(text)['errorType']), flush=True)
    if 'exit' in event:
        os._exit(event['exit'])
    if 'fail' in event:
        call('POST', 'invocation/%s/error' % id, json.dumps({'errorMessage': 'no', 'errorType': 'Bad'}),
             {'Lambda-Runtime-Function-Error-Type': 'Bad'})
        continue
    answer = {'event': event, 'headers': dict((k.lower(), v) for k, v in response.headers.items()),
              'env': dict((k, v) for k, v in os.environ.items() if k.startswith('AWS_LAMBDA') or k == '_HANDLER'
                          or k == 'LAMBDA_TASK_ROOT')}
    accepted, _ = call('POST', 'invocation/%s/response' % id, json.dumps(answer))
    assert accepted.status == 202
`;

/** The least that works, after the example in AWS Lambda's guide. */
const SHELL = `#!/bin/sh
set -eu
while true; do
  head=$(mktemp)
  event=$(curl -sS -D "$head" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
  id=$(tr -d '\\r' < "$head" | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //Ip')
  curl -sS -X POST "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" -d "{\\"echo\\":$event}"
done
`;

/** Invokes the event's target as V1's SDK does and publishes what came back. */
const CALLER = `
import base64, json
from greengrass_common.env_vars import ROUTER_FUNCTION_ARN
from greengrass_ipc_python_sdk.ipc_client import IPCClient
ipc = IPCClient()
def encoded(value):
    return base64.b64encode(json.dumps(value).encode())
def handler(event, context):
    context = encoded({'custom': {'k': 'gr\\u00fc\\u00dfe'}})
    id = ipc.post_work(event['target'], json.dumps(event['payload']).encode(), context)
    result = ipc.get_work_result(event['target'], id)
    answer = {'error': result.func_err, 'payload': result.payload.decode()}
    ipc.post_work(ROUTER_FUNCTION_ARN, json.dumps(answer).encode(), encoded({'custom': {'subject': 'out'}}), 'Event')
`;

describeAsRoot('the custom runtime', () => {
  let bench: FunctionBench;
  let caller: DeployedFunction;
  beforeEach(async () => {
    bench = await startFunctions();
    caller = bench.define('caller', { 'main.py': CALLER });
  });
  afterEach(() => bench.close(), 30_000);

  function bootstrap(
    name: string,
    text: string,
    overrides: Partial<DeployedFunction> = {},
  ): DeployedFunction {
    const made = bench.define(
      name,
      { bootstrap: text },
      { runtime: 'provided.al2023', handler: 'my.handler', ...overrides },
    );
    chmodSync(join(made.codeFolder, 'bootstrap'), 0o755);
    return made;
  }

  interface Answer {
    readonly event: unknown;
    readonly headers: Record<string, string>;
    readonly env: Record<string, string>;
  }

  async function invoke(
    target: DeployedFunction,
    payload: unknown,
  ): Promise<{ error: string; payload: string }> {
    const before = bench.published.length;
    bench.deliver(caller, 't', JSON.stringify({ target: target.arn, payload }));
    const { payload: text } = await waitFor(() => bench.published[before], {
      what: `an answer; log: ${JSON.stringify(bench.entries.slice(-5))}`,
    });
    return JSON.parse(text.toString('utf8')) as { error: string; payload: string };
  }

  it.each(['provided', 'provided.al2', 'provided.al2023'])('%s runs a bootstrap', async (runtime) => {
    const f = bootstrap('custom', PYTHON, { runtime });
    await bench.deploy(f, caller);
    const { error, payload } = await invoke(f, { n: 1 });
    const { event, headers, env } = JSON.parse(payload) as Answer;
    expect(error).toBe('');
    expect(event).toEqual({ n: 1 });
    expect(headers).toMatchObject({ 'lambda-runtime-invoked-function-arn': f.arn });
    expect(JSON.parse(headers['lambda-runtime-client-context'] ?? '')).toEqual({ custom: { k: 'grüße' } });
    expect(Number(headers['lambda-runtime-deadline-ms'])).toBeGreaterThan(Date.now() - 1000);
    expect(env).toMatchObject({
      _HANDLER: 'my.handler',
      LAMBDA_TASK_ROOT: '/lambda',
      AWS_LAMBDA_FUNCTION_NAME: 'custom',
      AWS_LAMBDA_FUNCTION_VERSION: '1',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
    });
  });

  it('carries errors, keeps the worker, and refuses an item that it does not hold', async () => {
    const f = bootstrap('custom', PYTHON, { pinned: true });
    await bench.deploy(f, caller);
    expect(await invoke(f, { fail: true })).toEqual({
      error: 'Handled',
      payload: JSON.stringify({ errorMessage: 'no', errorType: 'Bad' }).replace(/([:,])/g, '$1 '),
    });
    expect((await invoke(f, { wrongId: true })).error).toBe('');
    await waitFor(() => bench.entries.some(({ message }) => message === 'refused with 403 InvalidRequestID'));
    expect(bench.lines.filter(({ msg }) => msg === 'Created worker.')).toHaveLength(2);
  });

  it('a bootstrap that exits fails what it held, and a new one serves the next', async () => {
    const f = bootstrap('custom', PYTHON);
    await bench.deploy(f, caller);
    expect(await invoke(f, { exit: 3 })).toMatchObject({
      error: 'Unhandled',
      payload: expect.stringContaining('WorkerExited'),
    });
    expect((await invoke(f, {})).error).toBe('');
  });

  it('runs without a container', async () => {
    const { memoryKb: _none, ...rest } = bootstrap('custom', PYTHON);
    const f = { ...rest, isolation: 'NoContainer' as const };
    await bench.deploy(f, caller);
    const { env } = JSON.parse((await invoke(f, {})).payload) as Answer;
    expect(env.LAMBDA_TASK_ROOT).toBe(f.codeFolder);
  });

  it('runs a shell script with curl', async () => {
    const f = bootstrap('sh', SHELL);
    await bench.deploy(f, caller);
    expect(JSON.parse((await invoke(f, { a: [1] })).payload)).toEqual({ echo: { a: [1] } });
  });

  it.each(['GreengrassContainer', 'NoContainer'] as const)(
    "nobody else is let in at a worker's own door: %s",
    async (isolation) => {
      const made = bootstrap('custom', PYTHON, { pinned: true });
      const { memoryKb: _none, ...plain } = made;
      const f = isolation === 'NoContainer' ? { ...plain, isolation } : made;
      const thief = bench.define(
        'thief',
        {
          'main.py': `
import http.client, json
def handler(event, context):
    try:
        c = http.client.HTTPConnection(event['api'], timeout=5)
        c.request('GET', '/2018-06-01/runtime/invocation/next')
        print('STOLEN %d' % c.getresponse().status)
    except Exception as error:
        print('refused: ' + type(error).__name__)
`,
        },
        { isolation: f.isolation, pinned: true },
      );
      await bench.deploy(f, thief, caller);
      const { message } = await waitFor(() =>
        bench.entries.find(
          (entry) => entry.functionArn === f.arn && entry.message.startsWith('bootstrap at'),
        ),
      );
      const api = message.slice('bootstrap at '.length);
      bench.deliver(thief, 't', JSON.stringify({ api }));
      await waitFor(() => bench.entries.some((entry) => entry.message.includes('refused: ')));
      // Not even root outside: the connection must be the worker's own.
      const outcome = await new Promise<string>((resolve) => {
        const [host, port] = api.split(':');
        const asked = request({ host, port, path: '/2018-06-01/runtime/invocation/next' }, () =>
          resolve('in'),
        );
        asked.on('error', () => resolve('refused'));
        asked.end();
      });
      expect(outcome).toBe('refused');
      expect(bench.entries.some((entry) => entry.message.includes('STOLEN'))).toBe(false);
      expect((await invoke(f, {})).error).toBe('');
    },
  );

  it('a bootstrap that is missing or not executable fails the deployment', async () => {
    const none = bench.define('none', { other: '' }, { runtime: 'provided' });
    await expect(bench.functions.prepare([none])).rejects.toThrow(/its code has no file bootstrap/);
    const plain = bench.define('plain', { bootstrap: '#!/bin/sh\n' }, { runtime: 'provided.al2' });
    await expect(bench.functions.prepare([plain])).rejects.toThrow(/chmod \+x bootstrap/);
  });
});
