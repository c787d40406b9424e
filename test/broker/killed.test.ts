/** What a sender was told is kept stays kept: a core that is killed at any moment comes back with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { arnOf, type Fixture, makeKeys, memberOf, writeConfig } from '../bench/router/fixture.js';
import { waitFor } from '../support/wait-for.js';
import {
  type Identity,
  type Place,
  pubackPacket,
  published,
  publishPacket,
  RawClient,
  subscribePacket,
} from './raw-client.js';

const BROKER = join(dirname(fileURLToPath(import.meta.url)), '..', 'bench', 'router', 'greengrass-broker.js');
const NAMES = ['pub-0', 'sub-0'];
const ROUNDS = 4;
const folder = mkdtempSync(join(tmpdir(), 'gg-killed-'));
let child: ChildProcess | undefined;

beforeAll(() => makeKeys(folder, NAMES));
afterAll(() => {
  child?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const read = (name: string) => readFileSync(join(folder, name), 'utf8');

function identity(thingName: string): Identity {
  return { thingName, certificatePem: read(`${thingName}.pem`), privateKeyPem: read(`${thingName}.key`) };
}

async function start(): Promise<Place> {
  const fixture: Fixture = {
    folder,
    devices: NAMES.map((name) => memberOf(folder, name, name)),
    subscriptions: [{ Source: arnOf('pub-0'), Subject: 'a', Target: arnOf('sub-0') }],
    sessionsPath: join(folder, 'sessions.db'),
  };
  const started = spawn(process.execPath, [BROKER, writeConfig(fixture)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  child = started;
  const [line] = (await once(createInterface({ input: started.stdout }), 'line')) as [string];
  return { server: JSON.parse(line) as { port: number }, ca: { certificatePem: read('ca.pem') } };
}

async function kill(): Promise<void> {
  const ended = once(child as ChildProcess, 'exit');
  child?.kill('SIGKILL');
  await ended;
}

/** Publishes until the server is killed in the middle of it; answers what it acknowledged. */
async function publishUntilKilled(place: Place, from: number): Promise<number[]> {
  const sender = await RawClient.connected(place, identity('pub-0'));
  const acked: number[] = [];
  let next = from;
  while (acked.length < 300) {
    for (let n = 0; n < 20; n++, next++) sender.send(publishPacket('a', String(next), next + 1));
    const count = sender.packets.length;
    await waitFor(() => sender.packets.length > count, { intervalMs: 1 });
    acked.push(...sender.packets.splice(0).map(({ body }) => body.readUInt16BE(0) - 1));
  }
  await kill();
  await sender.closed();
  acked.push(...sender.packets.splice(0).map(({ body }) => body.readUInt16BE(0) - 1));
  return acked;
}

it('every message that was acknowledged reaches the device, in order, however often the core is killed', async () => {
  let place = await start();
  const first = await RawClient.connected(place, identity('sub-0'), { flags: 0 });
  first.send(subscribePacket(1, 'a'));
  await first.next(0x90);
  first.socket.destroy();
  const acked: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    acked.push(...(await publishUntilKilled(place, round * 1000)));
    place = await start();
  }
  const device = await RawClient.connected(place, identity('sub-0'), { flags: 0 });
  const got: number[] = [];
  await waitFor(() => {
    const packets = device.packets.splice(0).map(published);
    got.push(...packets.map(({ payload }) => Number(payload)));
    if (packets.length > 0) device.send(...packets.map(({ id }) => pubackPacket(id)));
    const known = new Set(got);
    return acked.every((n) => known.has(n));
  });
  expect(acked.length).toBeGreaterThan(300 * ROUNDS - 1);
  expect(got).toEqual([...got].sort((a, b) => a - b));
  await kill();
});
