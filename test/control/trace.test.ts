/** `gg trace` against a router behind a real control socket: a process of its own, what it prints and how it ends. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { coreControl } from '../../greengrass/cli/core-control.js';
import { ControlServer } from '../../greengrass/core/control/control-server.js';
import { traceRoutes } from '../../greengrass/core/control/trace-routes.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { controlSocketPath } from '../../greengrass/model/control-socket.js';
import { GG_PATH, runGg } from '../cli/gg.js';
import { waitFor } from '../support/wait-for.js';

const LAMP = 'arn:aws:iot:us-east-1:123456789012:thing/lamp';
const FUNCTION = 'arn:aws:lambda:us-east-1:123456789012:function:counter:3';
const root = mkdtempSync(join(tmpdir(), 'gg-trace-'));
const router = new Router({ logger: silentLogger() });
const server = new ControlServer({
  path: controlSocketPath(join(root, 'ggc')),
  routes: traceRoutes(router),
  logger: silentLogger(),
});

beforeAll(async () => {
  mkdirSync(join(root, 'config'));
  const config = {
    coreThing: {
      caPath: 'ca.pem',
      certPath: 'c.pem',
      keyPath: 'k.pem',
      thingArn: LAMP,
      iotHost: 'iot.example',
      ggHost: 'gg.example',
    },
    runtime: { cgroup: { useSystemd: 'yes' } },
  };
  writeFileSync(join(root, 'config', 'config.json'), JSON.stringify(config));
  router.register('cloud', { deliver: () => true });
  router.swap(
    compileTable([
      { Id: 'up', Source: LAMP, Subject: 'sensor/#', Target: 'cloud' },
      { Id: 'count', Source: LAMP, Subject: 'sensor/+', Target: FUNCTION },
    ]),
  );
  await server.start();
});
afterAll(async () => {
  await server.stop();
  rmSync(root, { recursive: true, force: true });
});

function route(topic: string, source = LAMP): void {
  router.route({ source, topic, payload: Buffer.from('hush'), qos: 1 });
}

/** Sends until the answer is there: who follows has to be connected first. */
async function during<T>(promise: Promise<T>, send: () => void): Promise<T> {
  const done = { is: false };
  const ended = promise.finally(() => {
    done.is = true;
  });
  await waitFor(() => {
    if (!done.is) send();
    return done.is;
  });
  return ended;
}

it('shows each message with its subscriptions, targets, results and times', async () => {
  const { code, out, err } = await during(
    runGg({}, 'trace', 'sensor/#', '--root', root, '--count', '1'),
    () => {
      route('other');
      route('sensor/1');
    },
  );
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const lines = out.trimEnd().split('\n');
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}sensor\/1 {2}from device lamp {2}\(QoS 1, 4 bytes\)$/);
  expect(lines[1]).toMatch(/^ {4}→ cloud {2}taken in \d+ µs {2}\[up sensor\/#\]$/);
  expect(lines[2]).toBe(
    '    → function counter:3  REFUSED: there is no such target in this core  [count sensor/+]',
  );
  expect(out).not.toContain('hush');
});

it('names the nearest subscription and what differs', async () => {
  const { out } = await during(runGg({}, 'trace', '--unrouted', '--root', root, '--count', '1'), () =>
    route('sensor'),
  );
  expect(out).toContain('no subscription matches');
  expect(out).toContain('nearest: up: device lamp sensor/# → cloud');
  expect(out).toContain('differs in the topic: sensor/# takes what is below sensor, not sensor itself');
});

it('prints JSON for scripts, and the counters of messages without a target', async () => {
  const { out } = await during(
    runGg({}, 'trace', '--json', '--source', 'lamp', '--root', root, '--count', '2'),
    () => {
      route('a', 'cloud');
      route('sensor/1');
    },
  );
  const got = out
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text) as { source: string });
  expect(got.map(({ source }) => source)).toEqual([LAMP, LAMP]);
  const counters = await runGg({}, 'trace', '--counters', '--root', root);
  expect(counters.out).toMatch(/^ +\d+ {2}a {2}from cloud$/m);
});

it('ends well at Ctrl-C, and leaves the router alone', async () => {
  const child = spawn(process.execPath, [GG_PATH, 'trace', '--root', root], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
  });
  await waitFor(() => {
    route('sensor/1');
    return out !== '';
  });
  child.kill('SIGINT');
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect(code).toBe(0);
});

it('ends where the signal comes before the first answer of the core', async () => {
  const ended = new AbortController();
  const first = coreControl(root).follow('/trace', ended.signal).next();
  ended.abort();
  expect(await first).toEqual({ done: true, value: undefined });
});

it('is bounded: what a slow reader misses is counted', async () => {
  const seen: unknown[] = [];
  const ended = new AbortController();
  const items = coreControl(root).follow('/trace', ended.signal);
  const first = items.next();
  await during(first, () => route('sensor/1'));
  for (let n = 0; n < 5000; n++) route('sensor/1');
  for await (const item of items) {
    seen.push(item);
    if (Object.hasOwn(item as object, 'missed')) break;
  }
  expect(seen.length).toBeLessThan(2000);
  expect(seen.at(-1)).toMatchObject({ missed: expect.any(Number) });
});

it.each([
  [['a/#/b'], /'#' must stand alone/],
  [['--root', '/nowhere'], /no core at \/nowhere/],
])('refuses %j with the reason', async (args, reason) => {
  const root2 = args.includes('--root') ? [] : ['--root', root];
  const { code, err } = await runGg({}, 'trace', ...args, ...root2);
  expect(code).toBe(1);
  expect(err).toMatch(reason);
});

it('says so where no core runs', async () => {
  await server.stop();
  const { code, err } = await runGg({}, 'trace', '--root', root);
  await server.start();
  expect(code).toBe(1);
  expect(err).toMatch(/nothing listens on .*control\.sock: is the core running/);
});
