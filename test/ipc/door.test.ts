/** The workers' door, spoken to in raw HTTP: every operation's refusals, and that a token speaks for its function only. */
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { connect } from 'node:net';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { describeAsRoot } from '../support/as-root.js';
import { arnOf, type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

/** A worker that tells its token and then only waits: the test speaks in its name. */
const TELL_TOKEN = `
import base64, json, os, time
from greengrass_ipc_python_sdk.ipc_client import IPCClient
context = base64.b64encode(json.dumps({'custom': {'subject': 'token'}}).encode())
IPCClient().post_work(os.environ['ROUTER_FUNCTION_ARN'], os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN'], context, 'Event')
time.sleep(1000)
`;

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

describeAsRoot("the workers' door", () => {
  let bench: FunctionBench;
  let mine: DeployedFunction;
  let other: DeployedFunction;
  let token: string;
  let otherToken: string;

  beforeAll(async () => {
    bench = await startFunctions();
    mine = bench.define('mine', { 'main.py': TELL_TOKEN }, { pinned: true });
    other = bench.define('other', { 'main.py': TELL_TOKEN }, { pinned: true });
    await bench.deploy(mine, other);
    const tokenOf = (deployed: DeployedFunction) =>
      waitFor(() =>
        bench.published.find(({ topic, source }) => topic === 'token' && source === deployed.arn),
      ).then(({ payload }) => payload.toString('utf8'));
    token = await tokenOf(mine);
    otherToken = await tokenOf(other);
  });
  afterAll(() => bench.close(), 30_000);

  function call(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string | Buffer,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { host: '127.0.0.1', port: bench.ipc.port, method, path, headers, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks),
            }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  const F = (arn: string) => `/2016-11-01/functions/${arn}`;
  const auth = (value = token) => ({ Authorization: value });
  const ROUTER = 'arn:aws:lambda:::function:GGRouter';
  const context = (value: unknown) => ({
    'X-Amz-Client-Context': Buffer.from(JSON.stringify(value)).toString('base64'),
  });

  it.each<[string, () => Promise<Answer>, number]>([
    ['no token', () => call('GET', `${F(mine.arn)}/work`), 401],
    [
      'a guessed token',
      () => call('GET', `${F(mine.arn)}/work`, auth(`Basic ${Buffer.alloc(32).toString('base64')}`)),
      401,
    ],
    [
      'a token with one letter changed',
      () =>
        call(
          'GET',
          `${F(mine.arn)}/work`,
          auth(token.replace(/^Basic (.)/, (_all, first) => `Basic ${first === 'A' ? 'B' : 'A'}`)),
        ),
      401,
    ],
    ["another function's work", () => call('GET', `${F(other.arn)}/work`, auth()), 403],
    [
      "a result for another function's item",
      () => call('POST', `${F(other.arn)}/work`, { ...auth(), 'X-Amz-InvocationId': randomUUID() }, 'x'),
      403,
    ],
    [
      'initialisation of another function',
      () => call('PUT', `${F(other.arn)}/initialized`, auth(), '{"Success":true}'),
      403,
    ],
    [
      'an item that it does not hold',
      () => call('POST', `${F(mine.arn)}/work`, { ...auth(), 'X-Amz-InvocationId': randomUUID() }, 'x'),
      404,
    ],
    [
      'an invocation id that is none',
      () => call('POST', `${F(mine.arn)}/work`, { ...auth(), 'X-Amz-InvocationId': '../x' }, 'x'),
      400,
    ],
    [
      'the result of an item that it did not post',
      () => call('GET', F(other.arn), { ...auth(), 'X-Amz-InvocationId': randomUUID() }),
      404,
    ],
    ['a function that is not there', () => call('POST', F(arnOf('nobody')), auth(), 'x'), 404],
    ['an ARN that is none', () => call('POST', F('nonsense'), auth(), 'x'), 404],
    [
      'an invocation type that is none',
      () => call('POST', F(other.arn), { ...auth(), 'X-Amz-Invocation-Type': 'Maybe' }, 'x'),
      400,
    ],
    [
      'a context that is no base64',
      () => call('POST', F(ROUTER), { ...auth(), 'X-Amz-Client-Context': '{"a":1}' }, 'x'),
      400,
    ],
    ['a publish without a topic', () => call('POST', F(ROUTER), { ...auth(), ...context({}) }, 'x'), 400],
    [
      'a publish to a wildcard',
      () => call('POST', F(ROUTER), { ...auth(), ...context({ custom: { subject: 'a/#' } }) }, 'x'),
      400,
    ],
    [
      'a shadow topic that is none',
      () =>
        call(
          'POST',
          F('arn:aws:lambda:::function:GGShadowService'),
          { ...auth(), ...context({ custom: { subject: 'a' } }) },
          'x',
        ),
      400,
    ],
    [
      'a payload that is too large',
      () => call('POST', F(other.arn), auth(), Buffer.alloc(6 * 1024 * 1024 + 1)),
      413,
    ],
    ['a method that is not there', () => call('DELETE', F(other.arn), auth()), 405],
    ['a path that is not there', () => call('GET', '/', auth()), 404],
    ['a path that is broken', () => call('GET', '/2016-11-01/functions/%zz/work', auth()), 400],
    ['credentials without a group role', () => call('GET', '/2016-11-01/credentialprovider/', auth()), 404],
    [
      'a health request that is none',
      () => call('POST', '/2016-11-01/health/workers', {}, '{"FuncArns":7}'),
      400,
    ],
    [
      'a log request that is none',
      () => call('POST', '/2016-11-01/cloudwatch/logs/', auth(), '{"logEvents":[{}]}'),
      400,
    ],
  ])('refuses %s', async (_what, ask, expected) => {
    const { status, body } = await ask();
    expect({ status, body: JSON.parse(body.toString()) }).toEqual({
      status: expected,
      body: { message: expect.any(String) },
    });
  });

  it('publishes as the function of the token, whatever the context claims', async () => {
    const claimed = context({ custom: { subject: 'who', source: other.arn } });
    const { status } = await call(
      'POST',
      F(ROUTER),
      { ...auth(), ...claimed, 'X-Amz-Invocation-Type': 'Event' },
      'x',
    );
    expect(status).toBe(202);
    expect(bench.published.find(({ topic }) => topic === 'who')?.source).toBe(mine.arn);
  });

  it('carries an invocation from one function to the other and its result back, once, to who posted it', async () => {
    const path = encodeURIComponent(other.arn);
    const posted = await call(
      'POST',
      F(path),
      { ...auth(), ...context({ custom: { k: 1 } }) },
      Buffer.from([0, 255]),
    );
    expect(posted.status).toBe(200);
    const id = String(posted.headers['x-amz-invocationid']);
    const pending = call('GET', F(other.arn), { ...auth(), 'X-Amz-InvocationId': id });
    expect((await call('GET', F(other.arn), { ...auth(otherToken), 'X-Amz-InvocationId': id })).status).toBe(
      404,
    );
    const work = await call('GET', `${F(other.arn)}/work`, auth(otherToken));
    expect(work).toMatchObject({ status: 200, body: Buffer.from([0, 255]) });
    expect(work.headers['x-amz-invocationid']).toBe(id);
    expect(Buffer.from(String(work.headers['x-amz-client-context']), 'base64').toString()).toBe(
      '{"custom":{"k":1}}',
    );
    await call('POST', `${F(other.arn)}/work`, { ...auth(otherToken), 'X-Amz-InvocationId': id }, 'done');
    const result = await pending;
    expect(result).toMatchObject({ status: 200, body: Buffer.from('done') });
    // There and empty: SDKs since 1.5.0 fail where it is missing.
    expect(result.headers['x-amz-function-error']).toBe('');
  });

  it('answers a publish of the SDK 1.0.x, which waits for a result', async () => {
    const posted = await call(
      'POST',
      F(ROUTER),
      { ...auth(), ...context({ custom: { subject: 'old' } }) },
      'x',
    );
    const id = String(posted.headers['x-amz-invocationid']);
    const result = await call('GET', F(ROUTER), { ...auth(), 'X-Amz-InvocationId': id });
    expect(result).toMatchObject({ status: 200, body: Buffer.alloc(0) });
  });

  it('gives an item to the next request where the one that waited was gone', async () => {
    const lost = connect({ host: '127.0.0.1', port: bench.ipc.port });
    lost.write(`GET ${F(other.arn)}/work HTTP/1.1\r\nHost: x\r\nAuthorization: ${otherToken}\r\n\r\n`);
    await waitFor(
      () => bench.functions.workers().find((w) => w.FuncArn === other.arn)?.WorkerState === 'Waiting',
    );
    lost.destroy();
    await new Promise((resolve) => lost.once('close', resolve));
    bench.deliver(other, 't', '"kept"');
    const work = await call('GET', `${F(other.arn)}/work`, auth(otherToken));
    expect(work.body.toString()).toBe('"kept"');
    const id = String(work.headers['x-amz-invocationid']);
    await call('POST', `${F(other.arn)}/work`, { ...auth(otherToken), 'X-Amz-InvocationId': id }, 'x');
  });

  it('tells the state of workers, all or those asked for', async () => {
    const all = JSON.parse((await call('GET', '/2016-11-01/health/workers')).body.toString()) as Array<
      Record<string, string>
    >;
    expect(all.map(({ FuncArn }) => FuncArn).sort()).toEqual([mine.arn, other.arn].sort());
    expect(all[0]).toEqual({
      FuncArn: expect.any(String),
      WorkerId: expect.any(String),
      ProcessId: expect.stringMatching(/^\d+$/),
      WorkerState: expect.any(String),
    });
    const some = await call(
      'POST',
      '/2016-11-01/health/workers',
      {},
      JSON.stringify({ FuncArns: [mine.arn, 'x'] }),
    );
    expect(JSON.parse(some.body.toString())).toMatchObject({
      Workers: [{ FuncArn: mine.arn }],
      InvalidArns: ['x'],
    });
  });

  it('takes the log lines of old SDKs into the log of the caller', async () => {
    const body = {
      logGroupName: '/Lambda/x',
      logEvents: [{ timestamp: 1, message: '[WARN]-main.py:3,old ways\n' }],
    };
    expect((await call('POST', '/2016-11-01/cloudwatch/logs/', auth(), JSON.stringify(body))).status).toBe(
      200,
    );
    expect(bench.entries).toContainEqual({
      functionArn: mine.arn,
      level: 'WARN',
      message: 'main.py:3,old ways',
    });
  });
});
