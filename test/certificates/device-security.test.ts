/** Who gets in, and whom devices trust, while certificates and CAs change on a running core. */
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateGroupCertificateAuthorityCommand } from '@aws-sdk/client-greengrass';
import { UpdateCertificateCommand } from '@aws-sdk/client-iot';
import { Device, discover, readCredentials } from '../../greengrass/dev/device.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { certificateId, createSelfSigned } from '../../greengrass/lib/x509.js';
import { BrokerBench, memberOf } from '../broker/bench.js';
import { defineGroup, deploy } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

let system: TestSystem;
let version: string;
const thing = (name: string) =>
  `arn:aws:iot:${system.cloud.info.region}:${system.cloud.info.accountId}:thing/${name}`;
const credentialsOf = (name: string) => readCredentials(name, join(system.folder, name));
const discoveryOf = (name: string) => {
  const { host, port } = system.cloud.info.https;
  return discover(credentialsOf(name), host, port);
};
const succeeds = async (groupVersionId: string) => {
  const { DeploymentStatus, ErrorMessage } = await deploy(system, groupVersionId);
  expect([DeploymentStatus, ErrorMessage]).toEqual(['Success', undefined]);
};
const serverCertificate = () =>
  new X509Certificate(readFileSync(join(system.root, 'ggc/var/state/server/server.crt')));

beforeAll(async () => {
  system = await startSystem(['steady', 'listener', 'other']);
  await greengrassd(system.root, 'start');
  version = await defineGroup(system, {
    functions: [],
    subscriptions: [[thing('steady'), 'news', thing('listener')]],
  });
  await succeeds(version);
});
afterAll(() => system?.close(), 60_000);

/** A message from one device to the other, over the connections that they have. */
const talk = async (from: Device, to: Device, text: string) => {
  await from.publish('news', text);
  await to.message('news', (bytes) => bytes.toString() === text);
};

describe('the group CA', () => {
  it('is rotated: discovery gives both, live sessions go on, new ones trust either', async () => {
    const [steady, listener] = [await system.device('steady'), await system.device('listener')];
    await listener.subscribe('news');
    let lost = 0;
    for (const { client } of [steady, listener]) client.on('close', () => lost++);
    const [oldCa = ''] = (await discoveryOf('other')).GGGroups.flatMap(({ CAs }) => CAs);
    const before = serverCertificate();

    await system.clients.greengrass.send(
      new CreateGroupCertificateAuthorityCommand({ GroupId: system.groupId }),
    );
    const [newCa = '', ...rest] = (await discoveryOf('other')).GGGroups.flatMap(({ CAs }) => CAs);
    expect(rest).toEqual([oldCa]);
    expect(newCa).not.toBe(oldCa);
    // Devices learn the new CA first; the core shows the old certificate until the next deployment.
    await (await system.device('other')).close();
    expect(serverCertificate().fingerprint256).toBe(before.fingerprint256);

    await succeeds(version);
    expect(serverCertificate().checkIssued(new X509Certificate(newCa))).toBe(true);
    await talk(steady, listener, 'after the rotation');
    expect(lost).toBe(0);
    await (await system.device('other')).close();
    const { Connectivity = [] } = (await discoveryOf('other')).GGGroups[0]?.Cores[0] ?? {};
    const { HostAddress: host, PortNumber: port } = Connectivity[0] ?? { HostAddress: '', PortNumber: 0 };
    await (await Device.connect(credentialsOf('other'), { host, port, caPem: newCa })).close();
    await expect(Device.connect(credentialsOf('other'), { host, port, caPem: oldCa })).rejects.toThrow(
      /certificate/,
    );
    const once = serverCertificate().fingerprint256;
    await succeeds(version);
    expect(serverCertificate().fingerprint256).toBe(once);
    for (const device of [steady, listener]) await device.close();
  });
});

describe('a device', () => {
  it('whose certificate was revoked is cut off at the next deployment, and nobody else', async () => {
    const [steady, listener, other] = [
      await system.device('steady'),
      await system.device('listener'),
      await system.device('other'),
    ];
    await listener.subscribe('news');
    const discovery = await discoveryOf('other');
    const revoke = (newStatus: 'REVOKED' | 'INACTIVE' | 'ACTIVE') =>
      system.clients.iot.send(
        new UpdateCertificateCommand({
          certificateId: certificateId(credentialsOf('other').certPem),
          newStatus,
        }),
      );
    await revoke('INACTIVE');
    await succeeds(version);
    await waitFor(() => !other.client.connected, { what: 'the device is cut off' });
    await talk(steady, listener, 'still here');
    await expect(Device.connectToCore(credentialsOf('other'), discovery)).rejects.toThrow();
    await revoke('ACTIVE');
    await succeeds(version);
    await (await Device.connectToCore(credentialsOf('other'), discovery)).close();
    await revoke('REVOKED');
    await succeeds(version);
    await expect(Device.connectToCore(credentialsOf('other'), discovery)).rejects.toThrow();
    for (const device of [steady, listener]) await device.close();
  });

  it('whose certificate has expired is refused, and the log says so', async () => {
    const bench = await BrokerBench.start();
    try {
      const old = await createSelfSigned({
        subject: [['CN', 'old']],
        notBefore: new Date(Date.now() - 7_200_000),
        notAfter: new Date(Date.now() - 3_600_000),
      });
      bench.server.setGroup({ devices: [memberOf('old', old.certificatePem)] });
      await bench.refusalOf(bench.open(old, 'old'));
      expect(bench.lines.map(({ msg }) => msg)).toContainEqual(expect.stringMatching(/has expired on/));
    } finally {
      await bench.stop();
    }
  });

  it('whose certificate is not valid yet gets in: the clock of the core may be late', async () => {
    const bench = await BrokerBench.start();
    try {
      const early = await createSelfSigned({
        subject: [['CN', 'early']],
        notBefore: new Date(Date.now() + 3_600_000),
        notAfter: new Date(Date.now() + 7_200_000),
      });
      bench.server.setGroup({ devices: [memberOf('early', early.certificatePem)] });
      const client = bench.open(early, 'early');
      await waitFor(() => client.connected);
    } finally {
      await bench.stop();
    }
  });
});

it("the operator's own key of a curve serves the local MQTT server", async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const keyFile = join(system.folder, 'own.key');
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const file = join(system.root, 'config/config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as {
    crypto: { principals: Record<string, object> };
  };
  config.crypto.principals.MQTTServerCertificate = { privateKeyPath: `file://${keyFile}` };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  await greengrassd(system.root, 'restart');
  await succeeds(version);
  expect(serverCertificate().publicKey.equals(publicKey)).toBe(true);
  await (await waitFor(() => system.device('steady'))).close();
});
