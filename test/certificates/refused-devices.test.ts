/** The list of refused devices on the core: when it is asked for, and what counts while nobody answers. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RefusedDevices } from '../../greengrass/core/certificates/refused-devices.js';
import { ServiceError } from '../../greengrass/core/service-client.js';
import { createLogger } from '../../greengrass/lib/log.js';
import type { RefusedDevice } from '../../greengrass/model/device-list.js';
import { waitFor } from '../support/wait-for.js';

const THIEF = { thingArn: 'arn:aws:iot:us-east-1:123456789012:thing/thief', certificateId: 'ab'.repeat(32) };

let root: string;
let parts: RefusedDevices;
/** What the cloud answers, in order; the last one stays. */
let answers: Array<RefusedDevice[] | Error>;
let asked: string[];
let changes: Array<readonly RefusedDevice[]>;
let notice: () => void;
let connect: () => void;
let connected: boolean;
let lines: string[];
/** A fetch waits for it. */
let gate: Promise<void>;

function make(): RefusedDevices {
  return new RefusedDevices({
    thingName: 'test-core',
    writeDirectory: root,
    link: {
      get connected() {
        return connected;
      },
      subscribe: (filter, handler) => {
        expect(filter).toBe('$aws/things/test-core-gcm/shadow/update/delta');
        notice = handler;
      },
      onConnected: (listener) => {
        connect = listener;
      },
    },
    service: {
      refusedDevices: async (groupId) => {
        asked.push(groupId);
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        await gate;
        if (answer instanceof Error) throw answer;
        return answer ?? [];
      },
    },
    onChange: (refused) => changes.push(refused),
    logger: createLogger({ stream: { write: (line: string) => void lines.push(line) } }),
  });
}
const file = () => join(root, 'var/state/refused-devices.json');
const last = () => changes.at(-1);

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-refused-'));
  [answers, asked, changes, connected, lines, gate] = [[[]], [], [], true, [], Promise.resolve()];
  parts = make();
  await parts.start();
});
afterEach(async () => {
  await parts.stop();
  rmSync(root, { recursive: true, force: true });
});

it('is asked for with each group, each connect and each notice', async () => {
  parts.setGroup('g');
  await waitFor(() => asked.length === 1);
  answers = [[THIEF]];
  notice();
  await waitFor(() => last()?.length === 1);
  answers = [[]];
  await waitFor(() => {
    connect();
    return last()?.length === 0;
  });
  expect(new Set(asked)).toEqual(new Set(['g']));
});

it('is asked for once more where a notice came while an older answer was on its way', async () => {
  let open: () => void = () => undefined;
  gate = new Promise((resolve) => {
    open = resolve;
  });
  answers = [[], [THIEF]];
  parts.setGroup('g');
  notice();
  notice();
  open();
  await waitFor(() => last()?.length === 1);
  expect(asked).toHaveLength(2);
});

it('is kept on the disk, for its group only', async () => {
  answers = [[THIEF]];
  parts.setGroup('g');
  await waitFor(() => existsSync(file()));
  await parts.stop();
  connected = false;
  changes = [];
  parts = make();
  await parts.start();
  parts.setGroup('g');
  expect(changes).toEqual([[THIEF]]);
  parts.setGroup('another');
  expect(last()).toEqual([]);
  parts.forget();
  expect(existsSync(file())).toBe(false);
  parts.setGroup('g');
  expect(last()).toEqual([]);
});

it('is asked for again after a failure, and not hastily where the cloud refuses', async () => {
  answers = [new ServiceError('the line is down', true), [THIEF]];
  parts.setGroup('g');
  await waitFor(() => last()?.length === 1);
  expect(asked).toHaveLength(2);
  answers = [new ServiceError('403: Forbidden', false)];
  notice();
  await waitFor(() => lines.some((line) => line.includes('Forbidden')));
  expect(asked).toHaveLength(3);
  // What was known goes on.
  expect(last()).toEqual([THIEF]);
});

it('that can not be read on the disk is told, and the cloud is asked', async () => {
  mkdirSync(join(root, 'var/state'), { recursive: true });
  writeFileSync(file(), '{"groupId":"g","refu');
  answers = [[THIEF]];
  parts.setGroup('g');
  expect(lines.join()).toContain('could not be read');
  await waitFor(() => last()?.length === 1);
  await waitFor(() => readFileSync(file(), 'utf8').includes('thief'));
});

it('counts also where the disk does not take it', async () => {
  mkdirSync(file(), { recursive: true });
  chmodSync(root, 0o755);
  answers = [[THIEF]];
  parts.setGroup('g');
  await waitFor(() => last()?.length === 1);
  await waitFor(() => lines.some((line) => line.includes('could not be written')));
});
