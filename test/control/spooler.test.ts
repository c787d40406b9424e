/** `gg spooler` against a spooler and a connection behind a real control socket. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ControlServer } from '../../greengrass/core/control/control-server.js';
import { spoolerRoute } from '../../greengrass/core/control/spooler-route.js';
import { CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import { DEFAULT_SPOOL } from '../../greengrass/core/iot-client/spool-settings.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { controlSocketPath } from '../../greengrass/model/control-socket.js';
import { runGg } from '../cli/gg.js';
import { CloudBench } from '../iot-client/bench.js';
import { waitFor } from '../support/wait-for.js';

let root: string;
let bench: CloudBench;
let cloud: CloudEndpoint;
let connection: ReturnType<CloudBench['connection']>;
let server: ControlServer;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'gg-spooler-'));
  mkdirSync(join(root, 'config'));
  const config = {
    coreThing: {
      ...{ caPath: 'ca.pem', certPath: 'c.pem', keyPath: 'k.pem' },
      thingArn: 'arn:aws:iot:us-east-1:123456789012:thing/core',
      iotHost: 'iot.example',
      ggHost: 'gg.example',
    },
    runtime: { cgroup: { useSystemd: 'yes' } },
  };
  writeFileSync(join(root, 'config', 'config.json'), JSON.stringify(config));
  bench = await CloudBench.create();
  await bench.start();
  connection = bench.connection({ maxRetryIntervalS: 1000 });
  cloud = new CloudEndpoint({
    connection,
    onMessage: () => undefined,
    writeDirectory: root,
    logger: silentLogger(),
  });
  await cloud.start();
  server = new ControlServer({
    path: controlSocketPath(join(root, 'ggc')),
    routes: [spoolerRoute({ cloud, connection })],
    logger: silentLogger(),
  });
  await server.start();
});
afterEach(async () => {
  await server.stop();
  await cloud.stop();
  await bench.close();
  rmSync(root, { recursive: true, force: true });
});

const deliver = (topic: string, size: number, wishes = {}) =>
  cloud.deliver({ source: 's', topic, payload: Buffer.alloc(size), qos: 0 }, 'cloud', wishes);

it('tells what waits, since when, what was lost and why, and how the connection stands', async () => {
  cloud.configure({ ...DEFAULT_SPOOL, storage: 'FileSystem', maxBytes: 300_000 });
  const before = Date.now();
  for (let n = 0; n < 4; n++) deliver('many', 100_000);
  deliver('urgent', 10, { priority: 9 });
  deliver('late', 10, { ttlMs: 0, priority: 10 });
  deliver('loose', 10, { qos: 0 });
  cloud.settle();
  const { code, out, err } = await runGg({}, 'spooler', '--root', root);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^connection {2}stopped for \d+ s {2}localhost:\d+\n/);
  expect(out).toMatch(/waiting {5}4 messages, 200\d+ of 300000 bytes \(67 %\), 0 under way/);
  expect(out).toMatch(/oldest {6}\d{4}-.*Z, \d+ s ago/);
  expect(out).toMatch(/priority 10: late\n.*priority 9: urgent\n.*priority 0: many\n/);
  expect(out).toMatch(/storage {5}FileSystem, keepNewest; from the cloud AtMostOnce/);
  expect(out).toMatch(/lost {8}2 gave way: the spool was full/);
  expect(out).toMatch(/lost {8}1 not kept \(Qos 0\)/);
  await connection.start();
  await waitFor(() => cloud.waiting.messages === 0);
  const { out: text } = await runGg({}, 'spooler', '--root', root, '--json');
  const facts = JSON.parse(text);
  expect(facts).toMatchObject({ messages: 0, dropped: 2, expired: 1, unsent: 1, underWay: 0, next: [] });
  expect(facts.connection).toMatchObject({ state: 'connected', host: 'localhost' });
  expect(facts.connection.since).toBeGreaterThanOrEqual(before);
  expect(facts.oldest).toBeUndefined();
});

it('says why there is no connection, and when the next one is tried', async () => {
  await connection.start();
  await waitFor(() => connection.connected);
  await bench.stop();
  await waitFor(() => connection.status.reason !== undefined);
  const { out } = await runGg({}, 'spooler', '--root', root);
  expect(out).toMatch(/connection {2}connecting for \d+ s .*\n {12}\S.*; (next attempt in|an attempt is)/);
  expect(out).toMatch(/waiting {5}0 messages, 0 of 2621440 bytes/);
  expect(out).toMatch(/lost {8}nothing since the core was started/);
});

it('ends with 1 and a reason where no core runs', async () => {
  await server.stop();
  const { code, err } = await runGg({}, 'spooler', '--root', root);
  expect(code).toBe(1);
  expect(err).toMatch(/is the core running/);
});
