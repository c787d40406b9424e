/** What a function is told to be accepted (queueFullPolicy AllOrError) is on the disk at that moment, as with a device's PUBACK. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CloudConnection, CloudEndpoint } from '../../greengrass/core/iot-client/cloud-endpoint.js';
import { FileSpool } from '../../greengrass/core/iot-client/file-spool.js';
import { DEFAULT_SPOOL } from '../../greengrass/core/iot-client/spool-settings.js';
import { FrameDoor } from '../../greengrass/core/ipc/frame-door.js';
import { encodeFrame, FROM_WORKER, FrameReader } from '../../greengrass/core/ipc/frames.js';
import { PostedResults } from '../../greengrass/core/lambda/posted-results.js';
import { SystemInvocations } from '../../greengrass/core/lambda/system-invocations.js';
import type { Endpoint } from '../../greengrass/core/router/endpoint.js';
import { Router } from '../../greengrass/core/router/router.js';
import { compileTable } from '../../greengrass/core/router/subscription-table.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { SYSTEM_FUNCTIONS } from '../../greengrass/model/arn.js';
import { waitFor } from '../support/wait-for.js';

const logger = silentLogger();
const CALLER = { workerId: 'w', functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:sender:1' };
/** The cloud is away. */
const away: CloudConnection = {
  connected: false,
  onConnected: () => undefined,
  subscribe: () => undefined,
  unsubscribe: () => undefined,
  publish: () => Promise.reject(new Error('away')),
};

let root: string;
let router: Router;
let cloud: CloudEndpoint;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-accepted-'));
  router = new Router({ logger });
  cloud = new CloudEndpoint({
    connection: away,
    onMessage: () => undefined,
    writeDirectory: root,
    logger,
  });
  await cloud.start();
  cloud.configure({ ...DEFAULT_SPOOL, maxBytes: 1e6, storage: 'FileSystem' });
  router.register('cloud', cloud);
  const route = (Target: string) => ({ Source: CALLER.functionArn, Subject: '#', Target });
  router.swap(compileTable([route('cloud'), route('broken')]));
});
afterEach(async () => {
  await cloud.stop();
  rmSync(root, { recursive: true, force: true });
});

/** What a power cut would leave behind now. */
let copies = 0;
function onDisk(): string[] {
  const folder = join(root, 'copies', String(copies++));
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'spooler.db');
  for (const suffix of ['', '-wal'])
    copyFileSync(join(root, 'var', 'state', `spooler.db${suffix}`), path + suffix);
  const nothing = { onReady: () => undefined, onDropped: () => undefined, onTrouble: () => undefined };
  const spool = new FileSpool(path, { maxBytes: 1e9, full: 'keepNewest' }, nothing);
  const texts = spool.after(0, 1e6, 1e9).map(({ payload }) => String(payload));
  spool.close();
  return texts;
}

const send = (text: string) =>
  router.routeToAllOrNone({
    source: CALLER.functionArn,
    topic: 't',
    payload: Buffer.from(text),
    qos: 0,
  });

it('every accepted message is in the files when its sender hears of it; those of one turn share a commit', async () => {
  const answers = await Promise.all(
    Array.from({ length: 50 }, async (_, n) => ((await send(String(n))) ? onDisk().length : 0)),
  );
  expect(answers).toEqual(Array.from({ length: 50 }, () => 50));
});

it('what could not be made durable is not accepted, and the acknowledgements of others are not forgotten', async () => {
  let works = false;
  const broken: Endpoint = { deliver: () => true, settle: () => works };
  router.register('broken', broken);
  router.swap(
    compileTable([
      { Source: CALLER.functionArn, Subject: '#', Target: 'broken' },
      { Source: 'lamp', Subject: '#', Target: 'broken' },
      { Source: 'lock', Subject: '#', Target: 'cloud' },
    ]),
  );
  // A device's message of the same turn: its PUBACK is decided later than the function's answer.
  router.route({ source: 'lamp', topic: 't', payload: Buffer.from('x'), qos: 1 });
  router.route({ source: 'lock', topic: 't', payload: Buffer.from('y'), qos: 1 });
  expect(await send('1')).toBe(false);
  expect([...router.settle()].sort()).toEqual([CALLER.functionArn, 'lamp']);
  works = true;
  expect([...router.settle()]).toEqual([]);
  expect(await send('2')).toBe(true);
});

it('who settles first in a turn settles for all', async () => {
  const accepted = send('1');
  expect(router.settle().size).toBe(0);
  expect(await accepted).toBe(true);
  expect(onDisk()).toEqual(['1']);
});

it("a function's publish through the SDK's door waits for the disk, and is refused where the spool is full", async () => {
  cloud.configure({ ...DEFAULT_SPOOL, maxBytes: 262_144, storage: 'FileSystem', full: 'keepOldest' });
  const system = new SystemInvocations(
    {
      publish: (source, topic, payload) => router.routeToAllOrNone({ source, topic, payload, qos: 0 }),
      shadow: () => Promise.reject(new Error('not asked')),
      secret: () => Promise.reject(new Error('not asked')),
    },
    new PostedResults(),
  );
  const desk = {
    nextWork: async () => undefined,
    undelivered: () => undefined,
    complete: () => false,
    result: () => undefined,
    post: system.post.bind(system),
  };
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const served = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const worker = connect((server.address() as { port: number }).port, '127.0.0.1');
  const door = new FrameDoor(await served, CALLER, desk, logger);
  const replies: Array<{ flag: number; sequence: number; stored: number }> = [];
  const reader = new FrameReader();
  worker.on('data', (chunk) => {
    for (const { flag, sequence } of reader.push(chunk))
      replies.push({ flag, sequence, stored: onDisk().length });
  });
  const b = Buffer.from(JSON.stringify({ custom: { subject: 't', queueFullPolicy: 'AllOrError' } })).toString(
    'base64',
  );
  const publish = (sequence: number) =>
    worker.write(
      encodeFrame({
        kind: FROM_WORKER.post,
        flag: 1,
        sequence,
        a: SYSTEM_FUNCTIONS.router,
        b,
        payload: Buffer.alloc(100_000),
      }),
    );
  for (const sequence of [1, 2, 3]) {
    publish(sequence);
    await waitFor(() => replies.length === sequence);
  }
  expect(replies).toEqual([
    { flag: 200, sequence: 1, stored: 1 },
    { flag: 200, sequence: 2, stored: 2 },
    { flag: 429, sequence: 3, stored: 2 },
  ]);
  door.close();
  worker.destroy();
  await new Promise((resolve) => server.close(resolve));
});
