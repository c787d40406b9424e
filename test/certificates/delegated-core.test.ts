/** A core with an intermediate CA of its own: clients of all kinds trust it, and months without the cloud change nothing. */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { discover, readCredentials } from '../../greengrass/dev/device.js';
import { greengrassd, isLinkProtected } from '../../greengrass/dev/programs.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { defineGroup, deploy } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

const GREENGRASSD = fileURLToPath(new URL('../../greengrass/core/bin/greengrassd.js', import.meta.url));
const DAY_MS = 86_400_000;
/** AWS's SDK asks for discovery on this port only. */
const SDK_PORT = 443;
const isFree = await new Promise<boolean>((resolve) => {
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen(SDK_PORT, '127.0.0.1', () => server.close(() => resolve(true)));
});
const hasMosquitto = existsSync('/usr/bin/mosquitto_pub');
if (!isFree) console.warn(`skipped: aws-iot-device-sdk-v2 (port ${SDK_PORT} is taken)`);
if (!hasMosquitto) console.warn('skipped: mosquitto_pub (apt-get install mosquitto-clients)');

let system: TestSystem;
let caFile: string;
let address: { host: string; port: number };
const thing = (name: string) =>
  `arn:aws:iot:${system.cloud.info.region}:${system.cloud.info.accountId}:thing/${name}`;
const certFile = () => join(system.root, 'ggc/var/state/server/server.crt');
const serverCertificate = () => new X509Certificate(readFileSync(certFile()));
const jump = (days: number) => writeFileSync(join(system.folder, 'clock'), String(days * DAY_MS));
const credentialFiles = (name: string) => ({
  cert: join(system.folder, name, `${name}.cert.pem`),
  key: join(system.folder, name, `${name}.private.key`),
});

beforeAll(async () => {
  const ports = isFree ? ['--alpn-port', String(SDK_PORT)] : [];
  system = await startSystem(
    ['steady', 'listener', 'sdk', 'friend'],
    ['--intermediate-days', '365', ...ports],
  );
  const file = join(system.root, 'config/config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  config.mqttServerCertificate = { issuer: 'core' };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  jump(0);
  const insecure = isLinkProtected() ? [] : ['-i'];
  const started = await run(process.execPath, [GREENGRASSD, '--root', system.root, ...insecure, 'start'], {
    env: {
      ...process.env,
      NODE_OPTIONS: `--import=${new URL('../faults/jumping-clock.js', import.meta.url).href}`,
      JUMPING_CLOCK: join(system.folder, 'clock'),
      MINUTE_MS: '2000',
    },
    timeoutMs: 60_000,
  });
  expect(started).toMatchObject({ code: 0 });
  const version = await defineGroup(system, {
    functions: [],
    subscriptions: [
      [thing('steady'), 'news', thing('listener')],
      [thing('sdk'), 'sdk/there', thing('friend')],
      [thing('friend'), 'sdk/back', thing('sdk')],
    ],
  });
  const { DeploymentStatus, ErrorMessage } = await deploy(system, version);
  expect([DeploymentStatus, ErrorMessage]).toEqual(['Success', undefined]);
  const { host, port } = system.cloud.info.https;
  const found = await discover(readCredentials('steady', join(system.folder, 'steady')), host, port);
  const [group] = found.GGGroups;
  const [endpoint] = group?.Cores[0]?.Connectivity ?? [];
  address = { host: endpoint?.HostAddress ?? '', port: endpoint?.PortNumber ?? 0 };
  caFile = join(system.folder, 'group-ca.pem');
  // What discovery gives is the group CA and nothing else.
  expect(group?.CAs).toHaveLength(1);
  writeFileSync(caFile, group?.CAs[0] ?? '');
}, 120_000);
afterAll(() => system?.close(), 60_000);

/** What openssl says as a client that trusts the group CA, some days from now. */
async function openssl(days: number): Promise<string> {
  const { cert, key } = credentialFiles('steady');
  const at = String(Math.floor(Date.now() / 1000 + days * 86_400));
  const { stdout, stderr } = await run(
    'openssl',
    [
      ...['s_client', '-connect', `${address.host}:${address.port}`, '-CAfile', caFile, '-attime', at],
      ...['-verify_return_error', '-x509_strict', '-cert', cert, '-key', key, '-verify_ip', address.host],
    ],
    { timeoutMs: 15_000 },
  );
  return `${stdout}${stderr}`;
}

it('signs its server certificate itself; openssl trusts the chain', async () => {
  expect(serverCertificate().issuer).toContain('O=Greengrass core');
  expect(await openssl(0)).toContain('Verify return code: 0 (ok)');
});

(hasMosquitto ? it : it.skip)('mosquitto_pub trusts it', async () => {
  const { cert, key } = credentialFiles('steady');
  const listener = await system.device('listener');
  await listener.subscribe('news');
  const { code, stderr } = await run(
    'mosquitto_pub',
    [
      ...['-h', address.host, '-p', String(address.port), '--cafile', caFile, '--cert', cert, '--key', key],
      ...['-i', 'steady', '-q', '1', '-t', 'news', '-m', 'from mosquitto'],
    ],
    { timeoutMs: 15_000 },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  await listener.message('news', (bytes) => bytes.toString() === 'from mosquitto');
  await listener.close();
});

(isFree ? it : it.skip)('aws-iot-device-sdk-v2 trusts it', async () => {
  const friend = await system.device('friend');
  await friend.subscribe('sdk/there');
  const echoed = friend.message('sdk/there').then((payload) => friend.publish('sdk/back', payload));
  const program = fileURLToPath(new URL('../journeys/sdk-device.js', import.meta.url));
  const { code, stdout, stderr } = await run(
    process.execPath,
    [program, join(system.folder, 'sdk'), 'sdk', 'localhost'],
    { timeoutMs: 30_000 },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  await echoed;
  expect(JSON.parse(stdout)).toMatchObject({ answer: '{"from":"sdk"}' });
});

it('renews it by itself while the cloud is away, a hundred days later, and no session is cut', async () => {
  const [steady, listener] = [await system.device('steady'), await system.device('listener')];
  await listener.subscribe('news');
  let cuts = 0;
  for (const { client } of [steady, listener]) client.on('close', () => cuts++);
  await system.cloud.stop();
  const before = serverCertificate();
  jump(100);
  // The core looks at it once a minute, which is short here.
  await waitFor(() => serverCertificate().fingerprint256 !== before.fingerprint256, { timeoutMs: 30_000 });
  expect(Date.parse(serverCertificate().validTo)).toBeGreaterThan(Date.now() + 101 * DAY_MS);
  await waitFor(async () => (await openssl(100)).includes('Verify return code: 0 (ok)'));
  await steady.publish('news', 'still here');
  await listener.message('news', (bytes) => bytes.toString() === 'still here');
  expect(cuts).toBe(0);
  await greengrassd(system.root, 'stop');
}, 150_000);
