/** Sessions that outlive their connection, and the core: what a device asked for and has not acknowledged comes back. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { MAX_KEPT_MESSAGES } from '../../greengrass/core/broker/durable-mailbox.js';
import type { Delivery } from '../../greengrass/core/router/endpoint.js';
import { waitFor } from '../support/wait-for.js';
import { usePair } from './pair.js';
import {
  connectPacket,
  DISCONNECT,
  PUBLISH,
  packet,
  pubackPacket,
  published,
  publishPacket,
  type RawClient,
  subscribePacket,
  text,
  uint16,
} from './raw-client.js';

const folder = mkdtempSync(join(tmpdir(), 'gg-sessions-'));
const KEEP = { flags: 0 };
const at = usePair(join(folder, 'sessions.db'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Connects, and says whether there was a session. */
async function connect(flags: { flags: number }, device = at().lamp): Promise<[RawClient, boolean]> {
  const client = await at().open(device);
  client.send(connectPacket(device.thingName, flags));
  return [client, (await client.next(0x20)).body[0] === 1];
}

async function leave(client: RawClient): Promise<void> {
  const before = at().bench.server.connected;
  client.send(DISCONNECT);
  client.socket.end();
  await client.closed();
  await waitFor(() => at().bench.server.connected < before || before === 0);
}

function deliver(payload: string, qos: 0 | 1 = 1, delivery?: Delivery, device = at().lamp): boolean {
  const message = { source: 'cloud', topic: 'a/b', payload: Buffer.from(payload), qos } as const;
  return at().bench.server.endpoint.deliver(message, device.arn, delivery);
}

async function receive(client: RawClient, count: number) {
  const list = [];
  for (let n = 0; n < count; n++) list.push(published(await client.next(PUBLISH)));
  return list;
}

async function subscribed(): Promise<RawClient> {
  const [client] = await connect(KEEP);
  client.send(subscribePacket(1, 'a/#'));
  await client.next(0x90);
  return client;
}

const payloads = (list: ReadonlyArray<{ payload: string }>) => list.map(({ payload }) => payload);

describe('a session that is to be kept', () => {
  it('is present when the device comes back, with its subscriptions and the messages meanwhile, in order', async () => {
    const first = await subscribed();
    await leave(first);
    expect([deliver('1'), deliver('2'), deliver('lost', 0)]).toEqual([true, true, false]);
    const [second, isPresent] = await connect(KEEP);
    expect(isPresent).toBe(true);
    const got = await receive(second, 2);
    expect(got).toMatchObject([
      { payload: '1', dup: false },
      { payload: '2', dup: false },
    ]);
    second.send(...got.map(({ id }) => pubackPacket(id)));
    await second.settle();
    expect(deliver('3', 0)).toBe(true);
    expect(payloads(await receive(second, 1))).toEqual(['3']);
  });

  it('sends again what was not acknowledged, with the same id and DUP [MQTT-4.4.0-1]', async () => {
    const first = await subscribed();
    for (const text of ['1', '2', '3']) deliver(text);
    const sent = await receive(first, 3);
    first.send(pubackPacket(sent[1]?.id as number));
    await first.settle();
    first.socket.destroy();
    const [second] = await connect(KEEP);
    expect(await receive(second, 2)).toEqual([
      { ...sent[0], dup: true },
      { ...sent[2], dup: true },
    ]);
    await second.settle();
    expect(second.packets).toEqual([]);
  });

  it('survives a restart of the core, also one without a farewell', async () => {
    const first = await subscribed();
    deliver('seen');
    const [seen] = await receive(first, 1);
    first.socket.destroy();
    await waitFor(() => at().bench.server.connected === 0);
    deliver('unseen');
    expect(at().bench.server.endpoint.settle?.()).toBe(true);
    await at().bench.restart(at().lamp, at().fan);
    deliver('after');
    const [second, isPresent] = await connect(KEEP);
    expect(isPresent).toBe(true);
    expect(await receive(second, 3)).toMatchObject([
      { ...seen, dup: true },
      { payload: 'unseen', dup: false },
      { payload: 'after', dup: false },
    ]);
  });

  it('forgets for ever what was acknowledged and unsubscribed', async () => {
    const first = await subscribed();
    deliver('1');
    const [message] = await receive(first, 1);
    first.send(pubackPacket(message?.id as number), packet(0xa2, uint16(2), text('a/#')));
    await first.next(0xb0);
    await at().bench.restart(at().lamp, at().fan);
    expect(deliver('2')).toBe(false);
    const [second, isPresent] = await connect(KEEP);
    expect(isPresent).toBe(true);
    await second.settle();
    expect(second.packets).toEqual([]);
  });

  it('ends with a clean session [MQTT-3.1.2-6]', async () => {
    await leave(await subscribed());
    deliver('1');
    const [clean, wasThere] = await connect({ flags: 2 });
    expect(wasThere).toBe(false);
    await clean.settle();
    expect(clean.packets).toEqual([]);
    await leave(clean);
    expect(deliver('2')).toBe(false);
    const [, isPresent] = await connect(KEEP);
    expect(isPresent).toBe(false);
  });

  it('moves to the connection that takes over', async () => {
    const first = await subscribed();
    deliver('1');
    const [sent] = await receive(first, 1);
    const [second, isPresent] = await connect(KEEP);
    await first.closed();
    expect(isPresent).toBe(true);
    expect(await receive(second, 1)).toEqual([{ ...sent, dup: true }]);
    deliver('2');
    expect(payloads(await receive(second, 1))).toEqual(['2']);
  });

  it('goes with the device that leaves the group, but not where the deployment is rolled back', async () => {
    await leave(await subscribed());
    deliver('1');
    at().bench.setGroup(at().fan);
    at().bench.setGroup(at().lamp, at().fan);
    const [client, isPresent] = await connect(KEEP);
    expect(isPresent).toBe(true);
    await leave(client);
    at().bench.setGroup(at().fan);
    at().bench.setGroup(at().fan);
    at().bench.setGroup(at().lamp, at().fan);
    const [, isStillPresent] = await connect(KEEP);
    expect(isStillPresent).toBe(false);
  });

  it('is written at the end of the turn, also where nobody is connected who could be told', async () => {
    await leave(await subscribed());
    deliver('1');
    const file = () => new Database(join(folder, 'sessions.db'), { readonly: true });
    await waitFor(() => {
      const db = file();
      const { count } = db.prepare('SELECT count(*) AS count FROM message').get() as { count: number };
      db.close();
      return count === 1;
    });
  });

  it('is bounded: beyond its limit messages are refused, those before stay', async () => {
    await leave(await subscribed());
    const taken = Array.from({ length: MAX_KEPT_MESSAGES + 2 }, (_, n) => deliver(`${n}`));
    expect(taken.filter(Boolean)).toHaveLength(MAX_KEPT_MESSAGES);
    expect(taken.slice(-2)).toEqual([false, false]);
    const [client] = await connect(KEEP);
    let seen = 0;
    await waitFor(
      () => {
        const got = client.packets.splice(0).map(published);
        expect(payloads(got)).toEqual(got.map((_, n) => `${seen + n}`));
        seen += got.length;
        if (got.length > 0) client.send(...got.map(({ id }) => pubackPacket(id)));
        return seen === MAX_KEPT_MESSAGES;
      },
      { timeoutMs: 30_000 },
    );
    expect(deliver('more')).toBe(true);
  });

  it('keeps wishes of subscriptions: priority, time to live, QoS', async () => {
    await leave(await subscribed());
    deliver('plain');
    deliver('upgraded', 0, { qos: 1 });
    deliver('short', 1, { ttlMs: 1 });
    deliver('urgent', 1, { priority: 5, ttlMs: 60_000 });
    expect(deliver('downgraded', 1, { qos: 0 })).toBe(false);
    const begin = Date.now();
    await waitFor(() => Date.now() > begin + 5);
    await at().bench.restart(at().lamp, at().fan);
    const [client] = await connect(KEEP);
    expect(payloads(await receive(client, 3))).toEqual(['urgent', 'plain', 'upgraded']);
    await client.settle();
    expect(client.packets).toEqual([]);
  });
});

it('begin anew where their file is broken, which is put aside', async () => {
  await leave(await subscribed());
  await at().bench.server.stop();
  const path = join(folder, 'sessions.db');
  for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
  writeFileSync(path, 'this is no database, whatever its name says. '.repeat(200));
  await at().bench.restart(at().lamp, at().fan);
  const [, isPresent] = await connect(KEEP);
  expect(isPresent).toBe(false);
  expect(existsSync(`${path}.broken`)).toBe(true);
  expect(at().bench.lines.some(({ msg }) => msg.includes('put aside'))).toBe(true);
});

describe('a sender', () => {
  it('hears nothing where it could not be made durable, and is disconnected: it will send again', async () => {
    const [sender] = await connect({ flags: 2 }, at().fan);
    const [other] = await connect({ flags: 2 });
    at().bench.canSettle = false;
    try {
      sender.send(publishPacket('x', 'not kept', 1));
      await sender.closed();
      expect(sender.packets).toEqual([]);
      // Whose messages are not concerned goes on.
      other.send(subscribePacket(1, 'y'));
      await other.next(0x90);
    } finally {
      at().bench.canSettle = true;
    }
    const [again] = await connect({ flags: 2 }, at().fan);
    again.send(publishPacket('x', 'not kept', 1, 8));
    await again.next(0x40);
  });

  it('gets his PUBACK when the message for a kept session is in the file', async () => {
    await leave(await subscribed());
    const [sender] = await connect({ flags: 2 }, at().fan);
    const original = at().bench.published;
    const settled: boolean[] = [];
    const push = original.push.bind(original);
    original.push = (...messages) => {
      for (const { payload } of messages) deliver(payload.toString());
      return push(...messages);
    };
    try {
      sender.send(publishPacket('x', 'kept', 1));
      await sender.next(0x40);
      settled.push(true);
    } finally {
      original.push = push;
    }
    expect(settled).toEqual([true]);
    // Nothing is left to be written: the file has it already.
    await at().bench.restart(at().lamp, at().fan);
    const [client] = await connect(KEEP);
    expect(payloads(await receive(client, 1))).toEqual(['kept']);
  });
});
