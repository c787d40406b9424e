/** What subscriptions to the cloud ask for beyond V1, from the group's table to a real connection, over restarts and cuts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import type { IotConnection } from '../../greengrass/core/iot-client/connection.js';
import { DEFAULT_SPOOL } from '../../greengrass/core/iot-client/spool-settings.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import type { GroupSubscription } from '../../greengrass/model/group.js';
import { waitFor } from '../support/wait-for.js';
import { CloudBench } from './bench.js';
import { firsts, ScriptedCloud } from './scripted-cloud.js';

const LAMP = 'arn:aws:iot:us-east-1:123456789012:thing/lamp';
let root: string;
let bench: CloudBench;
let cloud: ScriptedCloud;
let connection: IotConnection;
let endpoint: CloudEndpoint;
let router: Router;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-wishes-'));
  bench = await CloudBench.create();
  await bench.start();
  cloud = new ScriptedCloud(bench);
  connection = bench.connection({ retryBaseMs: 20, maxRetryIntervalS: 0.05 });
  await open();
});
afterEach(async () => {
  await endpoint.stop();
  await bench.close();
  rmSync(root, { recursive: true, force: true });
});

async function open(): Promise<void> {
  endpoint = new CloudEndpoint({
    connection,
    onMessage: () => undefined,
    writeDirectory: root,
    quietMs: 20,
    logger: silentLogger(),
  });
  await endpoint.start();
  endpoint.configure({ ...DEFAULT_SPOOL, storage: 'FileSystem', maxBytes: 50_000_000 });
  router = new Router({ logger: silentLogger() });
  router.register('cloud', endpoint);
  const to = (Subject: string, wishes: Partial<GroupSubscription>) => ({
    ...{ Source: LAMP, Subject, Target: 'cloud' },
    ...wishes,
  });
  router.swap(
    compileTable([
      to('alarm/#', { Priority: 50 }),
      to('bulk/#', { Priority: -50 }),
      to('news/#', { Ttl: 1 }),
      to('loose/#', { Qos: 0 }),
      to('plain/#', {}),
    ]),
  );
}

function send(topic: string, payload: string): boolean {
  const { matched, refused } = router.route({ source: LAMP, topic, payload: Buffer.from(payload), qos: 1 });
  return matched === 1 && refused === 0;
}

it('alarms pass what waits, bulk comes last, also after a restart; each topic keeps its order', async () => {
  for (let n = 0; n < 200; n++) send(`${['bulk', 'plain', 'alarm'][n % 3]}/${n % 2}`, String(n));
  await endpoint.stop();
  await open();
  send('alarm/9', 'newest');
  send('bulk/9', 'last');
  await connection.start();
  await waitFor(() => endpoint.waiting.messages === 0);
  const of = (rest: number) => Array.from({ length: 200 }, (_, n) => n).filter((n) => n % 3 === rest);
  expect(cloud.payloads).toEqual([...of(2), 'newest', ...of(1), ...of(0), 'last'].map(String));
});

it('a cloud that cuts the connection all the time gets each topic in order, alarms before what waits', async () => {
  let count = 0;
  cloud.onPublish = (message) => {
    count += 1;
    if (count % 23 === 0) message.cut();
    else message.ack();
  };
  await connection.start();
  for (let n = 0; n < 600; n++) {
    send(`${['bulk', 'plain', 'alarm'][n % 3]}/${n % 2}`, String(n));
    if (n % 50 === 0) await waitFor(() => connection.connected);
  }
  await waitFor(() => endpoint.waiting.messages === 0, { timeoutMs: 40_000 });
  for (const topic of new Set(cloud.received.map((message) => message.topic))) {
    const got = firsts(cloud.received.filter((message) => message.topic === topic).map((m) => m.payload));
    expect(got).toEqual([...got].sort((a, b) => Number(a) - Number(b)));
  }
  expect(firsts(cloud.payloads)).toHaveLength(600);
  // At least once, and not again and again: what was under way at a cut, and no more than that.
  expect(cloud.received.length).toBeLessThan(600 + cloud.connections * 64);
});

it('what waited longer than its time to live does not arrive, and is counted', async () => {
  send('news/1', 'old');
  send('plain/1', 'kept');
  await endpoint.stop();
  const begin = Date.now();
  await waitFor(() => Date.now() - begin > 1050);
  await open();
  send('news/1', 'new');
  await connection.start();
  await waitFor(() => endpoint.waiting.messages === 0);
  expect(cloud.payloads).toEqual(['kept', 'new']);
  expect(endpoint.waiting.expired).toBe(1);
});

it('QoS 0 arrives with QoS 0 while there is a connection, and leaves no trace otherwise', async () => {
  expect(send('loose/1', 'away')).toBe(false);
  const acked = cloud.onPublish;
  cloud.onPublish = (message) => {
    if (message.topic.startsWith('plain')) acked(message);
  };
  await connection.start();
  await waitFor(() => connection.connected);
  expect([send('loose/1', 'there'), send('plain/1', 'x')]).toEqual([true, true]);
  await waitFor(() => cloud.received.length === 2 && endpoint.waiting.messages === 0);
  expect(firsts(cloud.payloads).sort()).toEqual(['there', 'x']);
  expect(cloud.received.find(({ payload }) => payload === 'there')?.isDuplicate).toBe(false);
  expect(endpoint.waiting).toMatchObject({ unsent: 1, dropped: 0, messages: 0 });
  // A broken connection brings it not back.
  bench.dropAll();
  await waitFor(() => cloud.connections === 2);
  send('plain/1', 'y');
  await waitFor(() => endpoint.waiting.messages === 0);
  expect(cloud.payloads.filter((payload) => payload === 'there')).toHaveLength(1);
});
