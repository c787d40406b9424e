/** The switch's whole way: the API, the shadow, a real core, and what it publishes at the cloud. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  GetThingRuntimeConfigurationCommand,
  type Telemetry,
  UpdateThingRuntimeConfigurationCommand,
} from '@aws-sdk/client-greengrass';
import {
  AttachPolicyCommand,
  CreateKeysAndCertificateCommand,
  CreatePolicyCommand,
} from '@aws-sdk/client-iot';
import type { MqttClient } from 'mqtt';
import { connectOnce } from '../../greengrass/dev/device.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

interface Point {
  readonly NS: string;
  readonly M: ReadonlyArray<{ readonly N: string; readonly Sum: number }>;
}

describeAsRoot('telemetry of a core', () => {
  let system: TestSystem;
  let watcher: MqttClient;
  const points: Point[] = [];

  beforeAll(async () => {
    system = await startSystem();
    const file = join(system.root, 'config', 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(
      file,
      JSON.stringify({ ...config, telemetry: { aggregateInterval: 1, publishInterval: 2 } }),
    );
    watcher = await watch();
    await greengrassd(system.root, 'start');
  });
  afterAll(async () => {
    await watcher?.endAsync(true);
    await system?.close();
  });

  /** A client of the cloud's MQTT server that sees what the core publishes. */
  async function watch(): Promise<MqttClient> {
    const { iot } = system.clients;
    const keys = await iot.send(new CreateKeysAndCertificateCommand({ setAsActive: true }));
    const Statement = [{ Effect: 'Allow', Action: 'iot:*', Resource: '*' }];
    const policyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await iot.send(new CreatePolicyCommand({ policyName: 'watcher', policyDocument }));
    await iot.send(new AttachPolicyCommand({ policyName: 'watcher', target: keys.certificateArn }));
    const { mqtt, caFile } = system.cloud.info;
    const client = await connectOnce({
      ...{ host: mqtt.host, port: mqtt.port, protocol: 'mqtts', clientId: 'watcher' },
      ca: readFileSync(caFile),
      cert: keys.certificatePem ?? '',
      key: keys.keyPair?.PrivateKey ?? '',
    });
    client.on('message', (_topic, payload) => points.push(...JSON.parse(payload.toString()).ADP));
    await client.subscribeAsync('$aws/things/test-core/greengrass/health/json');
    return client;
  }

  const configuration = async () => {
    const answer = await system.clients.greengrass.send(
      new GetThingRuntimeConfigurationCommand({ ThingName: 'test-core' }),
    );
    return answer.RuntimeConfiguration?.TelemetryConfiguration;
  };
  const want = (telemetry: Telemetry) =>
    system.clients.greengrass.send(
      new UpdateThingRuntimeConfigurationCommand({
        ThingName: 'test-core',
        TelemetryConfiguration: { Telemetry: telemetry },
      }),
    );
  const inSync = (Telemetry: Telemetry) =>
    waitFor(async () => {
      const found = await configuration();
      return found?.Telemetry === Telemetry && found.ConfigurationSyncStatus === 'InSync';
    });

  it('is on and in sync without anybody asking, and reaches the cloud', async () => {
    await inSync('On');
    const point = await waitFor(() => points.find(({ NS }) => NS === 'SystemMetrics'));
    expect(point.M.map(({ N }) => N)).toEqual(['SystemMemUsage', 'CpuUsage', 'TotalNumberOfFDs']);
  });

  it('counts the failures of functions', async () => {
    const source = 'import os\ndef handler(event, context):\n    os._exit(3)\nos._exit(3)\n';
    const arn = await publishFunction(system, {
      ...{ name: 'dies', handler: 'main.handler', files: { 'main.py': source } },
    });
    const version = await defineGroup(system, {
      functions: [{ arn, configuration: { Pinned: true, MemorySize: 65_536, Timeout: 3 } }],
      subscriptions: [],
    });
    await deploy(system, version);
    const found = await waitFor(() => points.findLast(({ NS }) => NS === arn), { timeoutMs: 20_000 });
    expect(found.M[0]).toMatchObject({ N: 'LambdaUngracefullyKilled', U: 'Count' });
  });

  it('is switched off without a deployment, and stays off over a restart', async () => {
    await want('Off');
    await inSync('Off');
    const before = points.length;
    await greengrassd(system.root, 'restart');
    await waitFor(() => system.log('system/runtime.log').split('Greengrass daemon started.').length > 2);
    const quiet = Date.now() + 3500;
    await waitFor(() => Date.now() > quiet);
    expect(points.length).toBe(before);
    await want('On');
    await inSync('On');
    await waitFor(() => points.length > before);
  });
});
