/** From a device to the cloud: a PUBACK to the device is a promise that the cloud will get the message. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { MqttServer } from '../../greengrass/core/broker/mqtt-server.js';
import { CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import { DEFAULT_SPOOL } from '../../greengrass/core/iot-client/spool-settings.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { openDatabase } from '../../greengrass/lib/sqlite.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { makeDevice } from '../broker/bench.js';
import { waitFor } from '../support/wait-for.js';
import { CloudBench } from './bench.js';
import { firsts, ScriptedCloud } from './scripted-cloud.js';

const isRoot = process.getuid?.() === 0;
const logger = createLogger({ level: 'error', stream: { write: () => undefined } });

let root: string;
let bench: CloudBench;
let cloud: ScriptedCloud;
let server: MqttServer;
let endpoint: CloudEndpoint;
let client: MqttClient;
let closed: number;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-puback-'));
  bench = await CloudBench.create();
  await bench.start();
  cloud = new ScriptedCloud(bench);
});
afterEach(async () => {
  client.end(true);
  await server.stop();
  await endpoint.stop();
  await bench.close();
  rmSync(root, { recursive: true, force: true });
});

/** A core with one device, whose messages go to the cloud. */
async function start(writeDirectory = root): Promise<void> {
  const device = await makeDevice('lamp');
  const router = new Router({ logger });
  router.swap(compileTable([{ Source: device.arn, Subject: '#', Target: 'cloud' }]));
  const connection = bench.connection({ retryBaseMs: 20, maxRetryIntervalS: 0.1 });
  endpoint = new CloudEndpoint({ connection, onMessage: () => undefined, writeDirectory, logger });
  await endpoint.start();
  endpoint.configure({ ...DEFAULT_SPOOL, storage: 'FileSystem', maxBytes: 10_000_000 });
  router.register('cloud', endpoint);
  const { certificatePem: certPem, privateKeyPem: keyPem } = bench.server;
  server = new MqttServer({
    port: 0,
    host: '127.0.0.1',
    certificate: () => ({ certPem, keyPem, caPem: bench.ca.certificatePem }),
    onPublish: (message) => router.route(message),
    settle: () => router.settle(),
    logger,
  });
  await server.start();
  server.setGroup({ devices: [device.member] });
  client = mqtt.connect({
    protocol: 'mqtts',
    host: '127.0.0.1',
    servername: 'localhost',
    port: server.port,
    ca: bench.ca.certificatePem,
    cert: device.certificatePem,
    key: device.privateKeyPem,
    clientId: 'lamp',
    reconnectPeriod: 0,
  });
  closed = 0;
  client.on('error', () => undefined);
  client.on('close', () => {
    closed += 1;
  });
  await connection.start();
  await waitFor(() => client.connected && connection.connected);
}

it('comes when the message is on the disk, many at a time, and never waits for the cloud', async () => {
  cloud.onPublish = () => undefined;
  await start();
  const file = openDatabase(join(root, 'var', 'state', 'spooler.db'), { migrations: [], readonly: true });
  const rows = file.prepare('SELECT count(*) FROM message').pluck();
  let acknowledged = 0;
  const missing: number[] = [];
  const published = Array.from({ length: 500 }, (_, n) =>
    client.publishAsync(`t/${n % 3}`, String(n), { qos: 1 }).then(() => {
      acknowledged += 1;
      if (Number(rows.get()) < acknowledged) missing.push(n);
    }),
  );
  await Promise.all(published);
  expect([missing, endpoint.waiting.messages]).toEqual([[], 500]);
  file.close();
  cloud.onPublish = (message) => message.ack();
  bench.dropAll();
  await waitFor(() => endpoint.waiting.messages === 0);
  expect(firsts(cloud.payloads)).toEqual(Array.from({ length: 500 }, (_, n) => String(n)));
});

(isRoot ? it : it.skip)('does not come where the message can be stored nowhere', async () => {
  const disk = join(root, 'disk');
  mkdirSync(disk);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
  try {
    cloud.onPublish = () => undefined;
    await start(disk);
    await client.publishAsync('t', 'stored', { qos: 1 });
    rmSync(join(disk, 'var', 'state', 'spooler.db-reserve'));
    await run('sh', ['-c', `cat /dev/zero > ${join(disk, 'filler')} 2>/dev/null; true`]);
    let isAcknowledged = false;
    for (let n = 0; n < 5; n++) {
      client.publish('t', Buffer.alloc(100_000), { qos: 1 }, (error) => {
        if (!error) isAcknowledged = true;
      });
    }
    await waitFor(() => closed > 0);
    expect(isAcknowledged).toBe(false);
    expect(endpoint.health()).toMatchObject({ healthy: false });
    // Everybody else goes on: what is in memory goes to the cloud, and to the disk as soon as there is room.
    rmSync(join(disk, 'filler'));
    await waitFor(() => endpoint.health().healthy);
    cloud.onPublish = (message) => message.ack();
    bench.dropAll();
    await waitFor(() => endpoint.waiting.messages === 0);
    expect(cloud.payloads).toContain('stored');
  } finally {
    client.end(true);
    await endpoint.stop();
    await run('umount', ['-l', disk]);
  }
});
