/** The agent over a real connection to a real broker with real shadows. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import { IotConnection } from '../../greengrass/core/iot-client/connection.js';
import { TelemetryAgent } from '../../greengrass/core/telemetry/telemetry-agent.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import type { TelemetryMessage } from '../../greengrass/model/telemetry.js';
import { ALLOW_ALL, type CloudParts, type Identity, startCloudParts } from '../support/cloud-parts.js';
import { waitFor } from '../support/wait-for.js';

const FUNCTION = 'arn:aws:lambda:us-east-1:123456789012:function:f:1';
const DAY_MS = 86_400_000;

describe('the telemetry agent', () => {
  let cloud: CloudParts;
  let core: Identity;
  let watcher: MqttClient;
  let folder: string;
  let messages: TelemetryMessage[];
  const running: Array<{ stop(): Promise<void> }> = [];

  beforeEach(async () => {
    cloud = await startCloudParts();
    core = await cloud.identity('core', ALLOW_ALL);
    watcher = await cloud.connect(await cloud.identity('watcher', ALLOW_ALL), { clientId: 'watcher' });
    messages = [];
    watcher.on('message', (_topic, payload) => messages.push(JSON.parse(payload.toString())));
    await watcher.subscribeAsync('$aws/things/core/greengrass/health/json', { qos: 0 });
    folder = mkdtempSync(join(tmpdir(), 'gg-telemetry-'));
  });
  afterEach(async () => {
    for (const part of running.splice(0).reverse()) await part.stop();
    await cloud.close();
    rmSync(folder, { recursive: true });
  });

  const reported = async () =>
    (await cloud.shadows.get('core-gcf')).code === 200 &&
    JSON.parse((await cloud.shadows.get('core-gcf')).body.toString()).state.reported?.telemetry;
  const want = (telemetry: unknown) =>
    cloud.shadows.update('core-gcf', Buffer.from(JSON.stringify({ state: { desired: { telemetry } } })));
  const sumOf = (message: TelemetryMessage | undefined, namespace: string, metric: string) =>
    message?.ADP.findLast(({ NS }) => NS === namespace)?.M.find(({ N }) => N === metric)?.Sum;

  async function start(intervals = { aggregateIntervalMs: 40, publishIntervalMs: 120 }, dropped = () => 0) {
    const link = new IotConnection({
      ...{ host: '127.0.0.1', port: cloud.broker.port, clientId: 'core', caPem: cloud.caPem },
      ...{ certPem: core.certificatePem, keyPem: core.privateKeyPem },
      ...{ keepAliveS: 60, maxRetryIntervalS: 1, operationTimeoutS: 5, logger: silentLogger() },
    });
    const agent = new TelemetryAgent({
      ...{ thingName: 'core', writeDirectory: folder, link, ...intervals },
      ...{ droppedMessages: dropped, logger: silentLogger() },
    });
    await agent.start();
    await link.start();
    running.push(link, agent);
    return agent;
  }
  const stop = async () => {
    for (const part of running.splice(0).reverse()) await part.stop();
  };

  it('is on where nobody said anything, says so, and publishes what it added up', async () => {
    const agent = await start(undefined, () => 3);
    agent.count(FUNCTION, 'LambdaTimeout');
    expect(await waitFor(reported)).toBe('On');
    const message = await waitFor(() => messages[0]);
    expect(message).toMatchObject({ ThingName: 'core', Schema: '2020-06-30' });
    expect(message.ADP).toContainEqual({
      TS: expect.any(Number),
      NS: 'SystemMetrics',
      M: [
        { N: 'SystemMemUsage', Sum: expect.any(Number), U: 'Megabytes' },
        { N: 'CpuUsage', Sum: expect.any(Number), U: 'Percent' },
        { N: 'TotalNumberOfFDs', Sum: expect.any(Number), U: 'Count' },
      ],
    });
    expect(sumOf(message, 'CloudSpooler', 'DroppedMessageCount')).toBe(3);
    expect(sumOf(message, FUNCTION, 'LambdaTimeout')).toBe(1);
    // The next message holds what came since, and sums that went on.
    agent.count(FUNCTION, 'LambdaTimeout');
    await waitFor(() => sumOf(messages.at(-1), FUNCTION, 'LambdaTimeout') === 2);
    const times = messages.flatMap(({ ADP }) => ADP.map(({ TS, NS }) => `${TS} ${NS}`));
    expect(times.length).toBeGreaterThan(0);
    expect(sumOf(messages.at(-1), 'CloudSpooler', 'DroppedMessageCount')).toBe(3);
  });

  it('is switched off and on by the shadow, and silent meanwhile', async () => {
    const agent = await start();
    await waitFor(() => messages.length > 0);
    await want('Off');
    await waitFor(async () => (await reported()) === 'Off');
    const before = messages.length;
    agent.count(FUNCTION, 'LambdaError');
    // Something that takes longer than several intervals, with nothing to wait for: the silence itself.
    const quiet = Date.now() + 500;
    await waitFor(() => Date.now() > quiet);
    expect(messages.length).toBe(before);
    await want('On');
    await waitFor(async () => (await reported()) === 'On');
    await waitFor(() => messages.length > before);
    expect(sumOf(messages.at(-1), FUNCTION, 'LambdaError')).toBeUndefined();
  });

  it('leaves what is neither On nor Off alone, and does not claim to be in sync', async () => {
    await want('Perhaps');
    await start();
    await waitFor(() => messages.length > 0);
    expect(await reported()).toBeUndefined();
    await want('Off');
    await waitFor(async () => (await reported()) === 'Off');
  });

  it('keeps its switch, its sums and what waits over a restart', async () => {
    const slow = { aggregateIntervalMs: 20, publishIntervalMs: DAY_MS };
    const first = await start(slow);
    first.count(FUNCTION, 'LambdaError');
    await waitFor(() => existsSync(join(folder, 'telemetry', 'state.json')));
    await stop();
    const second = await start();
    second.count(FUNCTION, 'LambdaError');
    await waitFor(() => sumOf(messages.at(-1), FUNCTION, 'LambdaError') === 2);
    await want('Off');
    await waitFor(async () => (await reported()) === 'Off');
    await stop();
    const before = messages.length;
    await cloud.shadows.delete('core-gcf');
    await start();
    expect(await waitFor(reported)).toBe('Off');
    expect(messages.length).toBe(before);
  });

  it('begins anew where its file is broken', async () => {
    await start();
    await waitFor(() => messages.length > 0);
    await stop();
    writeFileSync(join(folder, 'telemetry', 'state.json'), '{"telemetry": 5');
    const before = messages.length;
    await start();
    await waitFor(() => messages.length > before);
  });

  it('sends what became due while the cloud was away once it is back, and keeps a bounded part of it', async () => {
    const agent = new TelemetryAgent({
      ...{ thingName: 'core', writeDirectory: folder, aggregateIntervalMs: 1, publishIntervalMs: DAY_MS },
      link: {
        connected: false,
        subscribe: () => {},
        publish: () => Promise.reject(new Error('away')),
        onConnected: () => {},
      },
      ...{ droppedMessages: () => 0, logger: silentLogger() },
    });
    await agent.start();
    for (let n = 0; n < 99; n++) agent.count(`f${n}`, 'LambdaError');
    const { TelemetryFile } = await import('../../greengrass/core/telemetry/telemetry-state.js');
    const file = new TelemetryFile(folder);
    await waitFor(() => file.load(0).waiting.length === 2000);
    await agent.stop();
    await start();
    await waitFor(() => messages.reduce((sum, { ADP }) => sum + ADP.length, 0) >= 2000);
    for (const message of messages) expect(JSON.stringify(message).length).toBeLessThan(128 * 1024);
  });
});
