/**
 * The journey of a first deployment, hop by hop, each through the real programs: what `npm start` plays and
 * `npm start -- --once` verifies. Each hop proves itself and answers the facts that its line shows.
 */
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  bootstrapCore,
  type Clients,
  createClients,
  createDevice,
  publishLambda,
  waitForDeployment,
} from '../cli/index.js';
import { PACKAGE_ROOT } from '../lib/package-root.js';
import { thingArn } from '../model/arn.js';
import { defineGroup, deploy, RUN_AS } from './demo-group.js';
import { Device, type Discovery, discover, readCredentials } from './device.js';
import { freePort, greengrassd, type RunningCloud, startCloud } from './programs.js';
import type { Started } from './started.js';

/** Prints one line per hop. */
export type HopPrinter = (hop: string, facts: string) => void;

const CORE = 'demo-core';
const GROUP = 'demo-group';

/** The system while it runs. */
export interface Journey {
  readonly cloud: RunningCloud;
  readonly root: string;
  readonly clients: Clients;
  readonly groupId: string;
  readonly sensor: Device;
  readonly display: Device;
  readonly operator: Device;
}

/** Plays the journey in `folder`; what it starts it adds to `started`. Rejects at the first hop that fails. */
export async function play(folder: string, print: HopPrinter, started: Started): Promise<Journey> {
  const root = join(folder, 'greengrass');
  const cloud = await startCloud(join(folder, 'cloud'));
  started.add(() => cloud.stop());
  const { api, mqtt, https } = cloud.info;
  print('cloud', `API at ${api}, MQTT at ${mqtt.host}:${mqtt.port}, HTTPS at ${https.host}:${https.port}`);

  const clients = createClients({ endpoint: api, ...cloud.info });
  const { groupId, arns } = await makeGroup(folder, root, cloud, clients, print);

  const operator = await Device.connect(readCredentials('operator', join(folder, 'operator')), {
    ...mqtt,
    caPem: readFileSync(cloud.info.caFile, 'utf8'),
  });
  started.add(() => operator.close());
  await operator.subscribe('hello/world', 'hello/world/counter', 'echo/#', 'no/such/route');

  started.add(() => greengrassd(root, 'stop'));
  const lines = await greengrassd(root, 'start');
  print('core', lines.trim().split('\n').at(-1) ?? '');

  const versionId = await defineGroup(clients.greengrass, groupId, arns);
  const deploymentId = await deploy(clients.greengrass, groupId, versionId);
  const status = await waitForDeployment(clients, groupId, deploymentId, { timeoutMs: 90_000 });
  if (status.status !== 'Success') {
    throw new Error(`the deployment ended with ${status.status}: ${status.errorMessage ?? 'no message'}`);
  }
  print('deployment', `${deploymentId} of group ${groupId}: GetDeploymentStatus says Success`);

  const { sensor, display } = await connectDevices(folder, cloud, print, started);
  await messages(sensor, display, operator, print);
  await volume(arns.sharedFolder, print);
  await shadows(sensor, display, print);
  await noRoute(sensor, display, operator, root, print);
  return { cloud, root, clients, groupId, sensor, display, operator };
}

async function makeGroup(
  folder: string,
  root: string,
  { info, readyFile }: RunningCloud,
  clients: Clients,
  print: HopPrinter,
) {
  const connection = {
    iotHost: info.mqtt.host,
    mqttPort: info.mqtt.port,
    ggHost: info.https.host,
    httpsPort: info.https.port,
    caFile: info.caFile,
  };
  const core = await bootstrapCore(clients, {
    ...connection,
    groupName: GROUP,
    coreName: CORE,
    root,
    // Ports and PID file of this demonstration's own, so that it disturbs no core that runs on this machine.
    config: {
      ggMqttPort: await freePort(),
      ggDaemonPort: await freePort(),
      pidFileDirectory: join(folder, 'run'),
    },
  });
  for (const thingName of ['sensor', 'display']) {
    await createDevice(clients, {
      ...connection,
      group: core.groupId,
      thingName,
      out: join(folder, thingName),
    });
  }
  await createDevice(clients, { ...connection, thingName: 'operator', out: join(folder, 'operator') });
  print(
    'registry',
    `things, keys, certificates, policies for ${CORE}, sensor, display (ready file: ${readyFile})`,
  );

  const publish = async (name: string, overrides?: { functionName: string; handler: string }) =>
    (await publishLambda(clients, join(PACKAGE_ROOT, 'lambdas', name), overrides)).functionArn;
  const sharedFolder = join(folder, 'shared');
  mkdirSync(sharedFolder, { recursive: true });
  chownSync(sharedFolder, RUN_AS.Uid, RUN_AS.Gid);
  const arns = {
    sensorArn: thingArn(info.region, info.accountId, 'sensor'),
    displayArn: thingArn(info.region, info.accountId, 'display'),
    helloArn: await publish('hello-world'),
    counterArn: await publish('counter'),
    echoArn: await publish('echo'),
    echoBinaryArn: await publish('echo', { functionName: 'echo-binary', handler: 'index.binaryHandler' }),
    shadowUserArn: await publish('shadow-user'),
    sharedFolder,
  };
  print(
    'lambda',
    'hello-world, counter (Python), echo, echo-binary, shadow-user (Node.js) uploaded and published',
  );
  return { groupId: core.groupId, arns };
}

async function connectDevices(folder: string, { info }: RunningCloud, print: HopPrinter, started: Started) {
  const connect = async (thingName: string): Promise<[Device, Discovery]> => {
    const credentials = readCredentials(thingName, join(folder, thingName));
    const discovery = await discover(credentials, info.https.host, info.https.port);
    const device = await Device.connectToCore(credentials, discovery);
    started.add(() => device.close());
    return [device, discovery];
  };
  const [sensor, discovery] = await connect('sensor');
  const [display] = await connect('display');
  const endpoints = discovery.GGGroups.flatMap((group) => group.Cores.flatMap((core) => core.Connectivity));
  print(
    'discovery',
    `sensor and display found their core (${endpoints.length} endpoints) and connected with mutual TLS`,
  );
  await display.subscribe(
    'hello/world/counter',
    'echo/#',
    'to/display',
    'no/such/route',
    '$aws/things/shadow-user/shadow/update/documents',
  );
  await sensor.subscribe('$aws/things/sensor/shadow/update/+', '$aws/things/sensor/shadow/get/+');
  return { sensor, display };
}

async function messages(sensor: Device, display: Device, operator: Device, print: HopPrinter) {
  await operator.message('hello/world', (payload) => payload.includes('Hello world!'), 30_000);
  print('pinned', 'hello-world (Python, pinned, container) → cloud');

  await sensor.publish('hello/world/counter/trigger', '{}');
  const count = await display.message('hello/world/counter', (payload) =>
    payload.includes('Invocation Count: 1'),
  );
  await operator.message('hello/world/counter');
  print(
    'python',
    `sensor → counter (Python, on-demand, container) → display and cloud: ${count.toString('utf8')}`,
  );

  await sensor.publish('sensor/data', '{"temperature":21.5}');
  const echo = await display.message('echo/sensor/data', (payload) => payload.includes('21.5'));
  await operator.message('echo/sensor/data');
  print(
    'node',
    `sensor → echo (Node.js, on-demand, container) → display and cloud: ${echo.toString('utf8')}`,
  );

  const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  await sensor.publish('sensor/raw', bytes);
  await display.message('echo/sensor/raw', (payload) => payload.equals(bytes));
  print('binary', 'sensor → echo-binary → display: 256 byte values unchanged');

  await operator.publish('to/display', 'from the cloud');
  await display.message('to/display', (payload) => payload.toString('utf8') === 'from the cloud');
  print('cloud → device', 'operator → cloud → core → display');
}

/** The counter wrote its count into the volume that the group gives it. */
async function volume(sharedFolder: string, print: HopPrinter) {
  const file = join(sharedFolder, 'count');
  const count = readFileSync(file, 'utf8');
  if (count !== '1') throw new Error(`${file} holds "${count}" and not the count of the one invocation`);
  print('resource', `counter wrote through its local volume: ${file}`);
}

async function shadows(sensor: Device, display: Device, print: HopPrinter) {
  const topic = (rest: string) => `$aws/things/sensor/shadow/${rest}`;
  await sensor.publish(topic('update'), '{"state":{"reported":{"interval":10}},"clientToken":"t1"}');
  await sensor.message(topic('update/accepted'), (payload) => payload.includes('t1'));
  await display.publish(topic('update'), '{"state":{"desired":{"interval":5}}}');
  const delta = await sensor.message(topic('update/delta'), (payload) => payload.includes('"interval":5'));
  await sensor.publish(topic('get'), '');
  const document = await sensor.message(topic('get/accepted'), (payload) => payload.includes('"delta"'));
  const version = (JSON.parse(document.toString('utf8')) as { version: number }).version;
  print('shadow', `sensor updated and read its shadow (version ${version}), its delta: ${shortState(delta)}`);

  // shadow-user saw the delta too, read the shadow through the SDK, and reported it in a shadow of its own.
  const seen = '$aws/things/shadow-user/shadow';
  await display.message(`${seen}/update/documents`, (payload) => payload.includes('"interval":5'));
  print('shadow → SDK', 'shadow-user (Node.js, pinned, container) read and updated shadows through the SDK');
}

function shortState(payload: Buffer): string {
  return JSON.stringify((JSON.parse(payload.toString('utf8')) as { state: unknown }).state);
}

/** Without a subscription nothing arrives, and the log says whose message on which topic had no route. */
async function noRoute(sensor: Device, display: Device, operator: Device, root: string, print: HopPrinter) {
  const topic = 'no/such/route';
  await sensor.publish(topic, 'nobody gets this');
  // A message behind it on the same road: once it came, the first one had its chance.
  await sensor.publish('sensor/data', '{"after":"no route"}');
  await display.message('echo/sensor/data', (payload) => payload.includes('no route'));
  await operator.message('echo/sensor/data', (payload) => payload.includes('no route'));
  for (const device of [display, operator, sensor]) {
    if (device.received.some((message) => message.topic === topic)) {
      throw new Error(`${device.thingName} got a message on ${topic} although no subscription leads there`);
    }
  }
  const log = readFileSync(join(root, 'ggc/var/log/system/GGRouter.log'), 'utf8');
  const line = log.split('\n').find((text) => text.includes(topic) && text.includes('thing/sensor'));
  if (!line) throw new Error(`GGRouter.log says nothing of the message on ${topic}`);
  print('no route', line);
}
