/** How workers live: pinned and on-demand, timeouts, crashes, memory, redeployment. Real runtimes in real containers. */
import { DeploymentError } from '../../greengrass/core/errors.js';
import { describeAsRoot } from '../support/as-root.js';
import { arnOf, type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

/** Publishes what it was called with; the event says what else to do. */
const PYTHON = `
import os, time
from greengrass_common.env_vars import ROUTER_FUNCTION_ARN
from greengrass_ipc_python_sdk.ipc_client import IPCClient
import base64, json
ipc = IPCClient()
count = 0
def publish(topic, value):
    context = base64.b64encode(json.dumps({'custom': {'subject': topic}}).encode())
    ipc.post_work(ROUTER_FUNCTION_ARN, json.dumps(value).encode(), context, 'Event')
def handler(event, context):
    global count
    count += 1
    if 'sleep' in event:
        time.sleep(event['sleep'])
    if 'exit' in event:
        os._exit(event['exit'])
    if 'hog' in event:
        return len([bytearray(1 << 20) for _ in range(event['hog'])])
    if 'raise' in event:
        raise ValueError(event['raise'])
    publish('done', {'count': count, 'topic': context.client_context.custom['subject'], 'event': event})
    return {'count': count}
`;

describeAsRoot('functions', () => {
  let bench: FunctionBench;
  beforeEach(async () => {
    bench = await startFunctions();
  });
  afterEach(() => bench.close(), 30_000);

  const done = (index = 0) =>
    waitFor(() => bench.published[index], { what: `publication ${index}` }).then(
      ({ payload }) =>
        JSON.parse(payload.toString('utf8')) as { count: number; topic: string; event: unknown },
    );
  const logged = (msg: string) => bench.lines.find((line) => line.msg.includes(msg));

  it('on-demand: a worker comes with the work, is reused, and knows the topic', async () => {
    const f = bench.define('f', { 'main.py': PYTHON });
    await bench.deploy(f);
    expect(bench.functions.workers()).toEqual([]);
    bench.deliver(f, 'a/b', '{"n":1}');
    expect(await done(0)).toEqual({ count: 1, topic: 'a/b', event: { n: 1 } });
    await waitFor(() => bench.functions.workers()[0]?.WorkerState === 'Waiting');
    bench.deliver(f, 'a/c', '{}');
    expect(await done(1)).toMatchObject({ count: 2, topic: 'a/c' });
    expect(bench.functions.workers()).toHaveLength(1);
    expect(logged('Created worker.')).toMatchObject({ functionArn: f.arn });
  });

  it('on-demand: work that comes at once runs in workers side by side, up to the limit', async () => {
    await bench.close();
    bench = await startFunctions({ maxConcurrentLimit: 2, lruSize: 2 });
    const f = bench.define('f', { 'main.py': PYTHON });
    await bench.deploy(f);
    for (let n = 0; n < 5; n++) bench.deliver(f, 't', '{"sleep":0.3}');
    await waitFor(() => bench.functions.workers().filter((w) => w.WorkerState === 'Working').length === 2);
    await done(4);
    expect(bench.lines.filter((line) => line.msg === 'Created worker.')).toHaveLength(2);
  });

  it('on-demand: a worker that is idle for long gives its memory back', async () => {
    await bench.close();
    bench = await startFunctions({ idleMs: 200 });
    const f = bench.define('f', { 'main.py': PYTHON });
    await bench.deploy(f);
    bench.deliver(f, 't', '{}');
    await done();
    await waitFor(() => bench.functions.workers().length === 0);
  });

  it('pinned: one worker from the start, one item at a time, in order', async () => {
    const f = bench.define('f', { 'main.py': PYTHON }, { pinned: true });
    await bench.deploy(f);
    expect(bench.functions.workers()).toHaveLength(1);
    for (let n = 0; n < 3; n++) bench.deliver(f, 't', JSON.stringify({ n }));
    await done(2);
    expect(
      bench.published.map(({ payload }) => (JSON.parse(payload.toString()) as { event: unknown }).event),
    ).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
    expect(bench.functions.workers()).toHaveLength(1);
  });

  it('a handler that takes too long is ended, and the next item gets a new worker', async () => {
    const f = bench.define('f', { 'main.py': PYTHON }, { pinned: true, timeoutMs: 500 });
    await bench.deploy(f);
    bench.deliver(f, 't', '{"sleep":60}');
    bench.deliver(f, 't', '{"next":true}');
    expect(await done()).toMatchObject({ count: 1, event: { next: true } });
    expect(logged('Timing out work item.')).toMatchObject({ funcArn: f.arn, invoker: 'cloud' });
  });

  it('a worker that exceeds its memory is killed, and the log says why', async () => {
    const f = bench.define('f', { 'main.py': PYTHON }, { pinned: true, memoryKb: 65536 });
    await bench.deploy(f);
    bench.deliver(f, 't', '{"hog":300}');
    bench.deliver(f, 't', '{"next":true}');
    expect(await done()).toMatchObject({ count: 1, event: { next: true } });
    expect(logged('Worker consumed all allocated memory (65536 KB)')).toMatchObject({ functionArn: f.arn });
  });

  it('a worker that exits is restarted, with back-off when it happens again', async () => {
    const f = bench.define('f', { 'main.py': PYTHON }, { pinned: true });
    await bench.deploy(f);
    bench.deliver(f, 't', '{"exit":3}');
    bench.deliver(f, 't', '{"exit":3}');
    bench.deliver(f, 't', '{"next":true}');
    await done();
    const restarts = bench.lines.filter((line) => line.msg === 'Worker will be restarted.');
    expect(restarts.map(({ delayMs }) => delayMs)).toEqual([0, 1000]);
  });

  it('an exception of the handler is logged with its traceback and ends nothing', async () => {
    const f = bench.define('f', { 'main.py': PYTHON }, { pinned: true });
    await bench.deploy(f);
    bench.deliver(f, 't', '{"raise":"oh"}');
    bench.deliver(f, 't', '{}');
    expect(await done()).toMatchObject({ count: 2 });
    expect(
      bench.entries.some(({ level, message }) => level === 'ERROR' && message.includes('ValueError: oh')),
    ).toBe(true);
  });

  it('code that cannot be loaded fails what waits for it, and costs the others nothing', async () => {
    const bad = bench.define('bad', { 'main.py': 'import nothing_of_that_name\n' });
    const good = bench.define('good', { 'main.py': PYTHON });
    await bench.deploy(bad, good);
    bench.deliver(bad, 't', '{}');
    bench.deliver(good, 't', '{}');
    await done();
    await waitFor(() =>
      bench.entries.some(({ level, functionArn }) => level === 'FATAL' && functionArn === bad.arn),
    );
    await waitFor(() => bench.functions.waiting === 0, { timeoutMs: 15_000 });
  });

  it('a redeployment keeps what did not change, moves waiting work to what did', async () => {
    const same = bench.define('same', { 'main.py': PYTHON }, { pinned: true });
    const before = bench.define('changed', { 'main.py': PYTHON }, { pinned: true, timeoutMs: 30_000 });
    await bench.deploy(same, before);
    const pid = bench.functions.workers().find(({ FuncArn }) => FuncArn === same.arn)?.ProcessId;
    const after = { ...before, environment: { NEW: '1' } };
    await bench.deploy(same, after);
    expect(bench.functions.workers().find(({ FuncArn }) => FuncArn === same.arn)?.ProcessId).toBe(pid);
    bench.deliver(after, 't', '{"still":"here"}');
    expect(await done()).toMatchObject({ event: { still: 'here' } });
    await bench.deploy();
    expect(bench.functions.workers()).toEqual([]);
    expect(bench.deliver(after, 't', '{}')).toBe(false);
  });

  it('rolls a deployment back where a worker cannot be started', async () => {
    const old = bench.define('f', { 'main.py': PYTHON }, { pinned: true });
    await bench.deploy(old);
    const broken = { ...old, mounts: [{ source: '/not/there', destination: '/dest', readOnly: true }] };
    const plan = await bench.functions.prepare([broken]);
    await expect(bench.functions.apply(plan)).rejects.toThrow(/unable to start lambda container/);
    bench.deliver(old, 't', '{"back":true}');
    expect(await done()).toMatchObject({ event: { back: true } });
  });

  it('a runtime that nothing here can run fails with the name of what to install', async () => {
    const f = bench.define('f', {}, { runtime: 'python2.7' });
    const found = await bench.functions.prepare([f]).catch((error: unknown) => error);
    if (found instanceof DeploymentError) {
      expect(found.message).toMatch(
        /cannot find executable python2\.7 under any of the provided paths \[\/usr\/bin \/usr\/local\/bin\]/,
      );
    }
    await expect(bench.functions.prepare([{ ...f, runtime: 'ruby2.7' }])).rejects.toThrow(
      /ruby2\.7 is not supported/,
    );
  });

  it('refuses work beyond maxWorkItemCount', async () => {
    await bench.close();
    bench = await startFunctions({ maxWorkItemCount: 3 });
    const f = bench.define('f', { 'main.py': PYTHON }, { pinned: true });
    await bench.deploy(f);
    await waitFor(() => bench.functions.workers()[0]?.WorkerState === 'Waiting');
    bench.deliver(f, 't', '{"sleep":1}');
    expect([1, 2, 3, 4].map(() => bench.deliver(f, 't', '{}'))).toEqual([true, true, true, false]);
    await done(2);
  });

  it('without a container: the same function, as its user', async () => {
    const { memoryKb: _none, ...rest } = bench.define('plain', { 'main.py': PYTHON });
    const f = { ...rest, isolation: 'NoContainer' as const };
    await bench.deploy(f);
    bench.deliver(f, 't', '{"plain":1}');
    expect(await done()).toMatchObject({ event: { plain: 1 } });
  });

  it('two versions of one function are never up at once: the old one stops first', async () => {
    const one = bench.define('f', { 'main.py': PYTHON }, { pinned: true });
    await bench.deploy(one);
    const two = bench.define('f', { 'main.py': PYTHON }, { pinned: true, arn: arnOf('f', 2) });
    await bench.deploy(two);
    expect(bench.functions.workers().map(({ FuncArn }) => FuncArn)).toEqual([two.arn]);
    const events = bench.lines.filter(({ msg }) => msg === 'Created worker.' || msg === 'Worker stopped.');
    expect(events.map(({ msg }) => msg)).toEqual(['Created worker.', 'Worker stopped.', 'Created worker.']);
  });
});
