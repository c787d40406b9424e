/** A whole system in a temp folder for tests: real cloud, real core, and the roads between them. */
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootstrapCore, type Clients, createClients, createDevice } from '../../greengrass/cli/index.js';
import { Device, type Discovery, discover, readCredentials } from '../../greengrass/dev/device.js';
import { leftCgroups, leftoversOf } from '../../greengrass/dev/leftovers.js';
import { freePort, greengrassd, type RunningCloud, startCloud } from '../../greengrass/dev/programs.js';
import { giveInstallation } from './ready-made.js';

export interface TestSystem {
  readonly folder: string;
  readonly root: string;
  readonly cloud: RunningCloud;
  readonly clients: Clients;
  readonly groupId: string;
  /** Text of a log file below ggc/var/log, empty where there is none. */
  log(name: string): string;
  device(thingName: string): Promise<Device>;
  /** The same by what the last discovery said, as devices do that have kept it: the cloud may be away. */
  deviceAgain(thingName: string): Promise<Device>;
  close(): Promise<void>;
}

/** Cloud and a bootstrapped core, which is not started yet, with the named devices in its group. */
export async function startSystem(
  devices: readonly string[] = [],
  cloudOptions: readonly string[] = [],
): Promise<TestSystem> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-test-'));
  // V1 asks for it: functions without a container reach their code through these folders.
  chmodSync(folder, 0o755);
  const root = join(folder, 'greengrass');
  await giveInstallation(join(folder, 'cloud'));
  const cloud = await startCloud(join(folder, 'cloud'), {}, cloudOptions);
  const clients = createClients({ endpoint: cloud.info.api, ...cloud.info });
  const { mqtt, https, caFile } = cloud.info;
  const connection = {
    iotHost: mqtt.host,
    mqttPort: mqtt.port,
    ggHost: https.host,
    httpsPort: https.port,
    caFile,
  };
  const { groupId } = await bootstrapCore(clients, {
    ...connection,
    groupName: 'test-group',
    coreName: 'test-core',
    root,
    config: {
      ggMqttPort: await freePort(),
      ggDaemonPort: await freePort(),
      pidFileDirectory: join(folder, 'run'),
    },
  });
  for (const thingName of devices) {
    await createDevice(clients, { caFile, group: groupId, thingName, out: join(folder, thingName) });
  }
  const connected: Device[] = [];
  const discoveries = new Map<string, Discovery>();
  return {
    folder,
    root,
    cloud,
    clients,
    groupId,
    log: (name) => {
      try {
        return readFileSync(join(root, 'ggc/var/log', name), 'utf8');
      } catch {
        return '';
      }
    },
    device: async (thingName) => {
      const credentials = readCredentials(thingName, join(folder, thingName));
      const discovery = await discover(credentials, https.host, https.port);
      discoveries.set(thingName, discovery);
      const device = await Device.connectToCore(credentials, discovery);
      connected.push(device);
      return device;
    },
    deviceAgain: async (thingName) => {
      const discovery = discoveries.get(thingName);
      if (!discovery) throw new Error(`${thingName} has not discovered its core yet`);
      const device = await Device.connectToCore(
        readCredentials(thingName, join(folder, thingName)),
        discovery,
      );
      connected.push(device);
      return device;
    },
    close: async () => {
      for (const device of connected) await device.close().catch(() => undefined);
      await greengrassd(root, 'stop').catch(() => undefined);
      clients.destroy();
      await cloud.stop();
      const left = [...leftoversOf(folder), ...leftCgroups(root)];
      rmSync(folder, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`left behind:\n${left.join('\n')}`);
    },
  };
}
