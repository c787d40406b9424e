/**
 * Device → function → device, one message at a time over TLS: a warm pinned function that publishes what it got, through
 * our broker, router and runtime. Floor: Mosquitto and one process that is an MQTT client and publishes what it got.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MqttServer } from '../../../greengrass/core/broker/mqtt-server.js';
import { Router } from '../../../greengrass/core/router/router.js';
import { compileTable } from '../../../greengrass/core/router/subscription-table.js';
import { freePort } from '../../../greengrass/dev/programs.js';
import { silentLogger } from '../../../greengrass/lib/log.js';
import { PACKAGE_ROOT } from '../../../greengrass/lib/package-root.js';
import { run } from '../../../greengrass/lib/subprocess.js';
import { certificateId } from '../../../greengrass/lib/x509.js';
import { certificateArn } from '../../../greengrass/model/arn.js';
import { startFunctions } from '../../support/functions.js';
import { waitFor } from '../../support/wait-for.js';
import { arnOf, makeKeys } from '../router/fixture.js';
import type { Figure } from '../run.js';

const MOSQUITTO = '/usr/sbin/mosquitto';
const COUNT = 2000;
const RUNS = 3;

const CONNECT = (folder: string, port: number) => `
const mqtt = require('mqtt');
const fs = require('fs');
const read = (name) => fs.readFileSync('${folder}/' + name);
const client = (id) => mqtt.connect({
  protocol: 'mqtts', host: '127.0.0.1', port: ${port}, clientId: id, protocolVersion: 4,
  ca: read('ca.pem'), cert: read(id + '.pem'), key: read(id + '.key'),
});`;

/** Waits for each answer before the next message; prints the times in microseconds. */
const DEVICE = (folder: string, port: number) => `${CONNECT(folder, port)}
const device = client('device');
const times = [];
let start = 0n;
let warm = 200;
const send = () => { start = process.hrtime.bigint(); device.publish('to/function', '{"n":1}'); };
device.on('connect', () => device.subscribe('to/device', () => send()));
device.on('message', () => {
  if (warm-- <= 0) times.push(Number(process.hrtime.bigint() - start) / 1000);
  if (times.length < ${COUNT}) return send();
  times.sort((a, b) => a - b);
  console.log(JSON.stringify([times[Math.floor(times.length * 0.5)], times[Math.floor(times.length * 0.99)]]));
  process.exit(0);
});`;

const ECHO = (folder: string, port: number) => `${CONNECT(folder, port)}
const echo = client('echo');
echo.on('connect', () => echo.subscribe('to/function', () => console.log('ready')));
echo.on('message', (topic, payload) => echo.publish('to/device', JSON.stringify(JSON.parse(payload))));`;

const FUNCTIONS = {
  'main.py': `
import greengrasssdk, json
iot = greengrasssdk.client('iot-data')
def handler(event, context):
    iot.publish(topic='to/device', payload=json.dumps(event))
`,
  'main.js': `
const iot = new (require('aws-greengrass-core-sdk').IotData)();
exports.handler = (event, context, callback) => iot.publish({ topic: 'to/device', payload: JSON.stringify(event) }, callback);
`,
};

async function device(folder: string, port: number): Promise<[number, number]> {
  const { stdout, stderr } = await run(process.execPath, ['-e', DEVICE(folder, port)], {
    cwd: PACKAGE_ROOT,
    timeoutMs: 120_000,
  });
  if (stdout === '') throw new Error(`the device came to no end: ${stderr}`);
  return JSON.parse(stdout) as [number, number];
}

async function floor(folder: string): Promise<[number, number]> {
  const port = await freePort();
  const file = (name: string) => join(folder, name);
  const settings = [
    `listener ${port} 127.0.0.1`,
    'user root',
    'allow_anonymous true',
    'require_certificate true',
    `cafile ${file('ca.pem')}`,
    `certfile ${file('server.pem')}`,
    `keyfile ${file('server.key')}`,
    'set_tcp_nodelay true',
    'log_type error',
  ];
  writeFileSync(file('mosquitto.conf'), `${settings.join('\n')}\n`);
  const broker = spawn(MOSQUITTO, ['-c', file('mosquitto.conf')], { stdio: ['ignore', 'ignore', 'inherit'] });
  let echo: ChildProcess | undefined;
  try {
    await waitFor(() => canConnect(port), { what: 'mosquitto listens' });
    echo = spawn(process.execPath, ['-e', ECHO(folder, port)], {
      cwd: PACKAGE_ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (echo.stdout) await once(echo.stdout, 'data');
    return await device(folder, port);
  } finally {
    echo?.kill('SIGKILL');
    broker.kill('SIGKILL');
  }
}

async function ours(folder: string, language: 'python' | 'nodejs'): Promise<[number, number]> {
  const logger = silentLogger();
  const router = new Router({ logger });
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');
  const server = new MqttServer({
    port: 0,
    host: '127.0.0.1',
    certificate: () => ({ certPem: read('server.pem'), keyPem: read('server.key'), caPem: read('ca.pem') }),
    onPublish: (message) => router.route(message),
    settle: () => router.settle(),
    sessionsPath: join(folder, `sessions-${Date.now()}.db`),
    logger,
  });
  const bench = await startFunctions({
    services: {
      publish: (source, topic, payload) => router.route({ source, topic, payload, qos: 0 }).refused === 0,
      shadow: async () => Buffer.alloc(0),
      secret: async () => Buffer.alloc(0),
    },
  });
  try {
    await server.start();
    const runtime = language === 'python' ? 'python3.11' : 'nodejs20.x';
    const f = bench.define('echo', FUNCTIONS, { runtime, pinned: true });
    cpSync(join(PACKAGE_ROOT, 'greengrass/sdk/python'), f.codeFolder, { recursive: true });
    for (const name of ['aws-greengrass-core-sdk', 'cbor', 'nofilter', 'bignumber.js']) {
      const target = join(f.codeFolder, 'node_modules', name);
      mkdirSync(target, { recursive: true });
      cpSync(join(PACKAGE_ROOT, 'node_modules', name), target, { recursive: true });
    }
    await bench.deploy(f);
    const thing = arnOf('device');
    const certArn = certificateArn('us-east-1', '123456789012', certificateId(read('device.pem')));
    router.register(thing, server.endpoint);
    router.register(f.arn, bench.functions.endpoint);
    router.swap(
      compileTable([
        { Source: thing, Subject: 'to/function', Target: f.arn },
        { Source: f.arn, Subject: 'to/device', Target: thing },
      ]),
    );
    server.setGroup({ devices: [{ thingArn: thing, certArn }] });
    await waitFor(() => bench.functions.workers()[0]?.WorkerState === 'Waiting');
    return await device(folder, server.port);
  } finally {
    await server.stop();
    await bench.close();
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export async function roundTrips(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'greengrass-trips-'));
  try {
    makeKeys(folder, ['device', 'echo']);
    const rows: Array<readonly [string, () => Promise<[number, number]>]> = [
      ['device → python function → device', () => ours(folder, 'python')],
      ['device → nodejs function → device', () => ours(folder, 'nodejs')],
    ];
    if (existsSync(MOSQUITTO))
      rows.unshift(['floor: Mosquitto and an echo client in Node.js', () => floor(folder)]);
    else process.stdout.write('without the floor: apt-get install mosquitto\n');
    const values = rows.map((): Array<[number, number]> => []);
    for (let round = 0; round < RUNS; round++) {
      for (const [index, [, measure]] of rows.entries()) values[index]?.push(await measure());
    }
    return rows.flatMap(([name], index) =>
      (['p50', 'p99'] as const).map((percentile, at) => {
        const sorted = (values[index] ?? []).map((pair) => pair[at] as number).toSorted((a, b) => a - b);
        return {
          name: `${name}, ${percentile}`,
          unit: 'µs',
          value: sorted[Math.floor(sorted.length / 2)] ?? 0,
          runs: RUNS,
        };
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
