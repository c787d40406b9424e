/** A deployment changes only what differs: seen from the devices and the processes that are none of its business. */
import {
  CreateDeviceDefinitionVersionCommand,
  type FunctionConfiguration,
  GetDeviceDefinitionCommand,
  GetDeviceDefinitionVersionCommand,
} from '@aws-sdk/client-greengrass';
import { changeGroup, latestVersion } from '../../greengrass/cli/group.js';
import type { Device } from '../../greengrass/dev/device.js';
import { greengrassd } from '../../greengrass/dev/programs.js';
import { describeAsRoot } from '../support/as-root.js';
import { defineGroup, deploy, publishFunction } from '../support/group.js';
import { startSystem, type TestSystem } from '../support/system.js';
import { waitFor } from '../support/wait-for.js';

const FUNCTIONS = 10;
const DEVICES = 50;

/** Passes on what it gets, with its process id. */
const RELAY = `
import json, os, greengrasssdk
client = greengrasssdk.client('iot-data')
def handler(event, context):
    client.publish(topic='out/' + event['to'], payload=json.dumps({'n': event['n'], 'pid': os.getpid()}))
`;

const settings = (extra: Record<string, string> = {}): FunctionConfiguration => ({
  Pinned: true,
  Timeout: 20,
  Environment: { Execution: { IsolationMode: 'NoContainer' }, Variables: extra },
});

/** Sends numbers at QoS 1 until it is stopped; each waits for the acknowledgement of the one before. */
class Stream {
  sent = 0;
  #running = true;
  readonly #done: Promise<void>;

  constructor(device: Device, topic: string, body: (n: number) => object) {
    this.#done = (async () => {
      while (this.#running) {
        this.sent += 1;
        await device.publish(topic, JSON.stringify(body(this.sent)));
        await new Promise((next) => setImmediate(next));
      }
    })();
  }

  async stop(): Promise<number> {
    this.#running = false;
    await this.#done;
    return this.sent;
  }
}

const numbersOf = (device: Device, topic: string): number[] =>
  device.received
    .filter((message) => message.topic === topic)
    .map(({ payload }) => (JSON.parse(payload.toString('utf8')) as { n: number }).n);

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

/** A version of the group in which this thing is no device; answers its id. */
async function withoutDevice({ clients, groupId }: TestSystem, thingName: string): Promise<string> {
  const { definition } = await latestVersion(clients, groupId);
  const [, DeviceDefinitionId = '', DeviceDefinitionVersionId = ''] =
    /\/devices\/([^/]+)\/versions\/([^/]+)$/.exec(definition.DeviceDefinitionVersionArn ?? '') ?? [];
  const { Definition } = await clients.greengrass.send(
    new GetDeviceDefinitionVersionCommand({ DeviceDefinitionId, DeviceDefinitionVersionId }),
  );
  const Devices = (Definition?.Devices ?? []).filter(({ ThingArn }) => !ThingArn?.endsWith(`/${thingName}`));
  await clients.greengrass.send(new CreateDeviceDefinitionVersionCommand({ DeviceDefinitionId, Devices }));
  const made = await clients.greengrass.send(new GetDeviceDefinitionCommand({ DeviceDefinitionId }));
  return changeGroup(clients, groupId, { DeviceDefinitionVersionArn: made.LatestVersionArn ?? '' });
}

describeAsRoot('a group with ten pinned functions and fifty devices', () => {
  let system: TestSystem;
  let arns: string[];
  let devices: Device[];
  let lost = 0;
  const names = Array.from({ length: DEVICES }, (_, index) => `device-${index}`);
  const thing = (index: number) =>
    `arn:aws:iot:${system.cloud.info.region}:${system.cloud.info.accountId}:thing/${names[index]}`;

  const group = (more: ReadonlyArray<readonly [string, string, string]> = [], changed = -1) =>
    defineGroup(system, {
      functions: arns.map((arn, index) => ({
        arn,
        configuration: settings(index === changed ? { CHANGED: 'yes' } : {}),
      })),
      subscriptions: [
        [thing(0), 'direct', thing(1)],
        ...arns.flatMap((arn, index) => [
          [thing(0), `in/${index}`, arn] as const,
          [arn, `out/${index}`, thing(1)] as const,
        ]),
        ...more,
      ],
    });

  const succeeds = async (version: string) => {
    const { DeploymentStatus, ErrorMessage } = await deploy(system, version);
    expect([DeploymentStatus, ErrorMessage]).toEqual(['Success', undefined]);
  };

  /** Process id of every function, as it says itself. */
  const pids = async (token: number): Promise<number[]> => {
    const [asks, hears] = devices as [Device, Device];
    const found: number[] = [];
    for (const index of arns.keys()) {
      await asks.publish(`in/${index}`, JSON.stringify({ to: String(index), n: token }));
      const answer = await hears.message(`out/${index}`, (bytes) => bytes.includes(`"n": ${token},`), 30_000);
      found.push((JSON.parse(answer.toString('utf8')) as { pid: number }).pid);
    }
    return found;
  };

  beforeAll(async () => {
    system = await startSystem(names);
    await greengrassd(system.root, 'start');
    arns = [];
    for (let index = 0; index < FUNCTIONS; index++) {
      const files = { 'main.py': RELAY };
      arns.push(await publishFunction(system, { name: `relay-${index}`, handler: 'main.handler', files }));
    }
    await succeeds(await group());
    devices = [];
    for (const name of names) devices.push(await system.device(name));
    for (const { client } of devices) client.on('close', () => lost++);
    await (devices[1] as Device).subscribe('direct', 'out/#');
  }, 240_000);

  afterAll(() => system?.close(), 60_000);

  const during = async (change: () => Promise<unknown>): Promise<void> => {
    const [sender, receiver] = devices as [Device, Device];
    receiver.received.length = 0;
    const direct = new Stream(sender, 'direct', (n) => ({ n }));
    const relayed = new Stream(sender, 'in/3', (n) => ({ n, to: '3' }));
    await waitFor(() => numbersOf(receiver, 'out/3').length > 5);
    await change();
    const after = relayed.sent + 50;
    await waitFor(() => relayed.sent > after, { timeoutMs: 60_000 });
    const [sent, asked] = [await direct.stop(), await relayed.stop()];
    await waitFor(() => numbersOf(receiver, 'out/3').length >= asked, { timeoutMs: 60_000 });
    expect(numbersOf(receiver, 'direct')).toEqual(upTo(sent));
    expect(numbersOf(receiver, 'out/3')).toEqual(upTo(asked));
  };

  it('a new subscription restarts nothing, cuts nobody, loses nothing', async () => {
    const before = await pids(-1);
    const version = await group([[thing(2), 'new', thing(3)]]);
    await during(() => succeeds(version));
    expect(await pids(-2)).toEqual(before);
    await (devices[3] as Device).subscribe('new');
    await (devices[2] as Device).publish('new', 'works');
    expect((await (devices[3] as Device).message('new')).toString()).toBe('works');
    expect([lost, devices.every(({ client }) => client.connected)]).toEqual([0, true]);
  }, 120_000);

  it('one changed function gets a new process; the nine others keep theirs', async () => {
    const before = await pids(-3);
    const version = await group([], 7);
    await during(() => succeeds(version));
    const after = await pids(-4);
    expect(after.map((pid, index) => pid === before[index])).toEqual(arns.map((_, index) => index !== 7));
    expect([lost, devices.every(({ client }) => client.connected)]).toEqual([0, true]);
  }, 120_000);

  it('a device that is taken out is cut off; the 49 others never notice', async () => {
    const left = devices.map(({ client }) => client.connected).filter(Boolean).length;
    expect(left).toBe(DEVICES);
    const version = await withoutDevice(system, names[49] as string);
    await during(() => succeeds(version));
    await waitFor(() => lost === 1);
    expect(devices.map(({ client }) => client.connected)).toEqual(names.map((_, index) => index !== 49));
  }, 120_000);
});
