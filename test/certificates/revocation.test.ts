/** A device that loses its right between two deployments is cut off at once; cloud, core and devices are real processes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AttachThingPrincipalCommand,
  DetachThingPrincipalCommand,
  UpdateCertificateCommand,
} from '@aws-sdk/client-iot';
import mqtt from 'mqtt';
import { readCredentials } from '../../greengrass/dev/device.js';
import { greengrassd, startCloud } from '../../greengrass/dev/programs.js';
import { certificateId } from '../../greengrass/lib/x509.js';
import { defineGroup, deploy } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

let system: TestSystem;
const thing = (name: string) =>
  `arn:aws:iot:${system.cloud.info.region}:${system.cloud.info.accountId}:thing/${name}`;
const certificateOf = (name: string) =>
  certificateId(readCredentials(name, join(system.folder, name)).certPem);
const setStatus = (name: string, newStatus: 'ACTIVE' | 'INACTIVE' | 'REVOKED') =>
  system.clients.iot.send(new UpdateCertificateCommand({ certificateId: certificateOf(name), newStatus }));
const principal = (name: string) => ({
  thingName: name,
  principal: `arn:aws:iot:${system.cloud.info.region}:${system.cloud.info.accountId}:cert/${certificateOf(name)}`,
});
const isRefused = (name: string) =>
  system.deviceAgain(name).then(
    async (device) => {
      await device.close();
      return false;
    },
    () => true,
  );
const refusedOnDisk = () => {
  const text = readFileSync(join(system.root, 'ggc/var/state/refused-devices.json'), 'utf8');
  return (JSON.parse(text) as { refused: Array<{ thingArn: string }> }).refused.map((one) => one.thingArn);
};

beforeAll(async () => {
  system = await startSystem(['steady', 'listener', 'thief']);
  await greengrassd(system.root, 'start');
  const version = await defineGroup(system, {
    functions: [],
    subscriptions: [
      [thing('steady'), 'news', thing('listener')],
      [thing('steady'), 'news', thing('thief')],
    ],
  });
  const { DeploymentStatus, ErrorMessage } = await deploy(system, version);
  expect([DeploymentStatus, ErrorMessage]).toEqual(['Success', undefined]);
});
afterAll(() => system?.close(), 60_000);

describe('a device of a running core', () => {
  it.each(['INACTIVE', 'REVOKED'] as const)(
    'is cut off at once when its certificate is %s',
    async (status) => {
      const [steady, listener, thief] = [
        await system.device('steady'),
        await system.device('listener'),
        await system.device('thief'),
      ];
      let lost = 0;
      for (const { client } of [steady, listener]) client.on('close', () => lost++);
      await listener.subscribe('news');
      await setStatus('thief', status);
      await waitFor(() => !thief.client.connected, { what: 'the device is cut off' });
      await waitFor(() => isRefused('thief'), { what: 'the device is refused' });
      await steady.publish('news', `after ${status}`);
      await listener.message('news', (bytes) => bytes.toString() === `after ${status}`);
      expect(lost).toBe(0);
      await setStatus('thief', 'ACTIVE');
      await waitFor(async () => !(await isRefused('thief')), { what: 'the device is let in again' });
      for (const device of [steady, listener]) await device.close();
    },
    60_000,
  );

  it('loses its session with its right', async () => {
    const { certPem: cert, keyPem: key } = readCredentials('thief', join(system.folder, 'thief'));
    const { host = '', port = 0, ca = '' } = (await system.device('thief')).client.options;
    const open = async () => {
      const client = mqtt.connect({
        ...{
          protocol: 'mqtts',
          host,
          port,
          ca,
          cert,
          key,
          clientId: 'thief',
          clean: false,
          reconnectPeriod: 0,
        },
      });
      client.on('error', () => undefined);
      const connack = new Promise<boolean>((resolve) =>
        client.once('connect', ({ sessionPresent }) => resolve(sessionPresent)),
      );
      return { client, isPresent: await connack };
    };
    const first = await open();
    await first.client.subscribeAsync('news', { qos: 1 });
    await first.client.endAsync();
    const second = await open();
    expect(second.isPresent).toBe(true);
    await setStatus('thief', 'INACTIVE');
    await waitFor(() => !second.client.connected, { what: 'the device is cut off' });
    await setStatus('thief', 'ACTIVE');
    await waitFor(async () => !(await isRefused('thief')), { what: 'the device is let in again' });
    const again = await open();
    expect(again.isPresent).toBe(false);
    for (const { client } of [first, second, again]) client.end(true);
  });

  it('is cut off at once when its certificate is detached from its thing', async () => {
    const thief = await system.device('thief');
    await system.clients.iot.send(new DetachThingPrincipalCommand(principal('thief')));
    await waitFor(() => !thief.client.connected, { what: 'the device is cut off' });
    await system.clients.iot.send(new AttachThingPrincipalCommand(principal('thief')));
    await waitFor(async () => !(await isRefused('thief')), { what: 'the device is let in again' });
  });
});

it('while the cloud is away known devices go on, the list outlives a restart, and the core asks when it is back', async () => {
  const thief = await system.device('thief');
  await setStatus('thief', 'REVOKED');
  await waitFor(() => !thief.client.connected, { what: 'the device is cut off' });
  await waitFor(() => refusedOnDisk().length === 1, { what: 'the list is on disk' });
  await system.device('steady');
  await system.cloud.stop();
  await greengrassd(system.root, 'restart');
  await waitFor(async () => !(await isRefused('steady')), { what: 'a known device connects' });
  expect(await isRefused('thief')).toBe(true);

  const { api, mqtt: iot, https } = system.cloud.info;
  const ports = { api: Number(new URL(api).port), mqtt: iot.port, https: https.port };
  const cloud = await startCloud(join(system.folder, 'cloud'), ports);
  try {
    await setStatus('thief', 'ACTIVE');
    const letIn = async () => !(await isRefused('thief'));
    await waitFor(letIn, { what: 'the device is let in again', timeoutMs: 60_000 });
  } finally {
    await greengrassd(system.root, 'stop');
    await cloud.stop();
  }
}, 120_000);
