/**
 * What a core at rest costs the cloud's MQTT server: `node dist/test/bench/cloud-connections.js [count]` connects so many
 * clients with mutual TLS and two subscriptions each, from a process of their own, and compares the memory of the
 * server's process before and after.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createSecureContext } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { CloudBroker } from '../../greengrass/cloud/iot/broker.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { openSqliteStore } from '../../greengrass/cloud/store/sqlite-store.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { type CertifiedKey, certificateId, createSelfSigned } from '../../greengrass/lib/x509.js';

const AT_ONCE = 50;
const SELF = fileURLToPath(import.meta.url);

interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly connections: number;
}
interface Start {
  readonly port: number;
  readonly identity: CertifiedKey;
  readonly caPem: string;
  readonly count: number;
}

async function main(count: number): Promise<void> {
  const server = fork(SELF, ['server'], { execArgv: ['--expose-gc'] });
  const place = await answer<Omit<Start, 'count'>>(server);
  const before = await measure(server);
  const clients = fork(SELF, ['clients']);
  clients.send({ ...place, count } satisfies Start);
  const { seconds } = await answer<{ seconds: number }>(clients);
  const after = await measure(server);
  const perCore = (member: 'rss' | 'heapUsed') => (after[member] - before[member]) / after.connections / 1024;
  print(`connections at rest     ${after.connections}, made in ${seconds.toFixed(1)} s`);
  print(`memory before, after    ${mb(before.rss)} MB, ${mb(after.rss)} MB`);
  print(
    `per core                ${perCore('rss').toFixed(1)} KB, of that ${perCore('heapUsed').toFixed(1)} KB heap`,
  );
  clients.kill('SIGKILL');
  server.send('end');
  await once(server, 'exit');
}

/** Serves, and answers each message with its memory. */
async function serve(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-bench-'));
  const store = await openSqliteStore(join(folder, 'cloud.db'));
  const notAfter = new Date(Date.now() + 86_400_000);
  const own = await createSelfSigned({
    subject: [['CN', 'localhost']],
    ...{ notAfter, hosts: ['127.0.0.1'], usage: 'server' as const },
  });
  const identity = await createSelfSigned({ subject: [['CN', 'core']], notAfter });
  const id = certificateId(identity.certificatePem);
  const createdAt = new Date().toISOString();
  const arn = (rest: string) => `arn:aws:iot:us-east-1:123456789012:${rest}`;
  await store.certificates.create({
    ...{ certificateId: id, certificateArn: arn(`cert/${id}`), pem: identity.certificatePem },
    ...{ status: 'ACTIVE' as const, createdAt },
  });
  await store.policies.create({
    ...{ policyName: 'all', policyArn: arn('policy/all'), versionId: '1', createdAt },
    document: '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*"}]}',
  });
  await store.policies.attach('all', id);
  const broker = new CloudBroker({
    ...{ store, shadows: new CloudShadows(store), logger: silentLogger(), host: '127.0.0.1', port: 0 },
    tls: { certPem: own.certificatePem, keyPem: own.privateKeyPem },
    ...{ region: 'us-east-1', accountId: '123456789012' },
  });
  await broker.start();
  process.send?.({ port: broker.port, identity, caPem: own.certificatePem });
  process.on('message', async (what) => {
    if (what === 'end') {
      await broker.stop();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
      process.exit(0);
    }
    for (let index = 0; index < 5; index++) {
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const { rss, heapUsed } = process.memoryUsage();
    process.send?.({ rss, heapUsed, connections: broker.counts.connections } satisfies Memory);
  });
}

/** Connects, and stays. */
async function connectAll({ port, identity, caPem, count }: Start): Promise<void> {
  const began = Date.now();
  const secureContext = createSecureContext({
    ...{ ca: caPem, cert: identity.certificatePem, key: identity.privateKeyPem },
  });
  let next = 0;
  const worker = async () => {
    while (next < count) await connectOne(port, `core-${next++}`);
  };
  const connectOne = async (to: number, clientId: string) => {
    const socket = connect({ host: '127.0.0.1', port: to, secureContext });
    await once(socket, 'secureConnect');
    socket.write(connectPacket(clientId));
    await once(socket, 'data');
    const topics = [`$aws/things/${clientId}/shadow/update/delta`, `$aws/things/${clientId}-gda/shadow/#`];
    socket.write(subscribePacket(topics));
    await once(socket, 'data');
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  process.send?.({ seconds: (Date.now() - began) / 1000 });
}

function connectPacket(clientId: string): Buffer {
  const head = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0x04, 0xb0]);
  return packet(0x10, [head, text(clientId)]);
}

function subscribePacket(topics: readonly string[]): Buffer {
  return packet(0x82, [Buffer.from([0, 1]), ...topics.flatMap((topic) => [text(topic), Buffer.from([1])])]);
}

/** Short ones only. */
function packet(type: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 128 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7];
  return Buffer.concat([Buffer.from([type, ...length]), body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

async function measure(server: ChildProcess): Promise<Memory> {
  server.send('measure');
  return answer<Memory>(server);
}

async function answer<T>(from: ChildProcess): Promise<T> {
  const [message] = (await once(from, 'message')) as [T];
  return message;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function mb(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}

const [role = '5000'] = process.argv.slice(2);
if (role === 'server') await serve();
else if (role === 'clients') process.once('message', (start) => void connectAll(start as Start));
else await main(Number(role));
