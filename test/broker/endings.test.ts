/** How connections end, and what is left of them: the will, what was under way, sockets that are only half there. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../support/wait-for.js';
import { usePair } from './pair.js';
import {
  connectPacket,
  DISCONNECT,
  PINGREQ,
  PUBLISH,
  packet,
  pubackPacket,
  published,
  publishPacket,
  type RawClient,
  subscribePacket,
  text,
} from './raw-client.js';

const folder = mkdtempSync(join(tmpdir(), 'gg-endings-'));
const at = usePair(join(folder, 'sessions.db'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const WITH_WILL = { flags: 0x06, rest: Buffer.concat([text('gone'), text('bye')]) };
const KEEP = { flags: 0 };
const topics = () => at().bench.published.map(({ topic }) => topic);
const payloadsOf = (client: RawClient) =>
  client.packets.filter(({ first }) => first >> 4 === 3).map((each) => published(each).payload);

describe('the will goes out once', () => {
  const ends: ReadonlyArray<readonly [string, (client: RawClient) => void]> = [
    ['the socket is closed', ({ socket }) => void socket.destroy()],
    ['TLS is closed in good order, but no DISCONNECT came', ({ socket }) => void socket.end()],
    ['a packet has flags that it must not have', (client) => client.send(packet(0xc1))],
    ['the length of a packet is malformed', (client) => client.send(Buffer.from([0x30, 255, 255, 255, 255]))],
    ['a second CONNECT comes', (client) => client.send(connectPacket('lamp'))],
    ['it publishes where nobody may', (client) => client.send(publishPacket('$SYS/x', ''))],
    ['half a packet comes, then nothing', ({ socket }) => void socket.end(Buffer.from([0x30, 9, 0]))],
    ['the device leaves the group', () => at().bench.setGroup(at().fan)],
    [
      'a DISCONNECT has flags: it is none [MQTT-3.14.1-1]',
      (client) => client.send(Buffer.from([0xe1, 0]), DISCONNECT),
    ],
  ];
  it.each(ends)('where %s', async (_how, end) => {
    const client = await at().connected(at().lamp, WITH_WILL);
    end(client);
    await waitFor(() => at().bench.server.connected === 0);
    await client.closed();
    expect(topics()).toEqual(['gone']);
  });

  it('and not at all after DISCONNECT, whatever comes behind it, or where CONNECT was refused', async () => {
    const client = await at().connected(at().lamp, WITH_WILL);
    client.send(DISCONNECT, packet(0xf0));
    await client.closed();
    const refused = await at().open();
    refused.send(connectPacket('fan', WITH_WILL));
    await refused.closed();
    const other = await at().connected(at().fan);
    await other.settle();
    expect(topics()).toEqual([]);
  });

  it('comes after what its device had sent before', async () => {
    const client = await at().connected(at().lamp, WITH_WILL);
    client.send(publishPacket('a', '1', 1), publishPacket('a', '2'), packet(0xf0));
    await client.closed();
    expect(topics()).toEqual(['a', 'a', 'gone']);
  });

  it('to a topic that is none, the device stays connected and the will is dropped with a line in the log', async () => {
    const rest = Buffer.concat([text('a/+'), text('bye')]);
    const client = await at().connected(at().lamp, { flags: 0x06, rest });
    await client.settle();
    client.socket.destroy();
    await waitFor(() =>
      at().bench.lines.some(({ msg, topic }) => msg === 'Publish refused.' && topic === 'a/+'),
    );
    expect(topics()).toEqual([]);
  });
});

describe('a client that comes again', () => {
  it('gets what was under way to the connection before, in the old order, with DUP; a PUBACK there counts no more', async () => {
    const first = await at().connected(at().lamp, KEEP);
    first.send(subscribePacket(1, '#'));
    await first.settle();
    const low = { source: 'cloud', topic: 'low', payload: Buffer.from('low'), qos: 1 } as const;
    const { endpoint } = at().bench.server;
    endpoint.deliver(low, at().lamp.arn, { priority: -5 });
    endpoint.deliver({ ...low, topic: 'high', payload: Buffer.from('high') }, at().lamp.arn, { priority: 5 });
    await waitFor(() => payloadsOf(first).length === 2);
    const before = first.packets.filter(({ first: byte }) => byte >> 4 === 3).map(published);
    first.socket.destroy();
    await waitFor(() => at().bench.server.connected === 0);
    endpoint.deliver({ ...low, topic: 'new', payload: Buffer.from('new') }, at().lamp.arn, { priority: 9 });
    const second = await at().connected(at().lamp, KEEP);
    await waitFor(() => payloadsOf(second).length === 3);
    const after = second.packets.map((each) => published(each));
    // [MQTT-4.6.0-1]: as they were sent, whatever their priority; what was never sent comes behind them.
    expect(after.map(({ payload, dup }) => [payload, dup])).toEqual([
      ['low', true],
      ['high', true],
      ['new', false],
    ]);
    expect(after.slice(0, 2).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(new Set(after.map(({ id }) => id)).size).toBe(3);
  });

  it('keeps that order over a restart of the core', async () => {
    const first = await at().connected(at().lamp, KEEP);
    first.send(subscribePacket(1, '#'));
    await first.settle();
    const message = (payload: string) =>
      ({ source: 'cloud', topic: 't', payload: Buffer.from(payload), qos: 1 }) as const;
    for (const [payload, priority] of [
      ['1', 0],
      ['2', 50],
      ['3', -50],
    ] as const) {
      at().bench.server.endpoint.deliver(message(payload), at().lamp.arn, { priority });
      await waitFor(() => payloadsOf(first).includes(payload));
    }
    await at().bench.restart(at().lamp, at().fan);
    at().bench.server.endpoint.deliver(message('4'), at().lamp.arn, { priority: 100 });
    const second = await at().connected(at().lamp, KEEP);
    await waitFor(() => payloadsOf(second).length === 4);
    expect(payloadsOf(second)).toEqual(['1', '2', '3', '4']);
  });

  it('while PUBACKs are due on the old connection: each PUBLISH is routed, none is acknowledged on the new one', async () => {
    const old = await at().connected();
    for (let n = 1; n <= 50; n++) old.send(publishPacket('a', `${n}`, n));
    const fresh = await at().connected();
    await old.closed();
    fresh.send(publishPacket('a', 'again', 50, 8));
    await fresh.settle();
    expect(fresh.packets.map(({ first, body }) => [first, body.readUInt16BE(0)])).toEqual([[0x40, 50]]);
    const sent = at().bench.published.map(({ payload }) => payload.toString());
    const acked = old.packets.filter(({ first }) => first === 0x40).length;
    expect(sent.at(-1)).toBe('again');
    expect(sent.length - 1).toBeGreaterThanOrEqual(acked);
    expect(sent.slice(0, -1)).toEqual(sent.slice(0, -1).map((_, n) => `${n + 1}`));
  });

  it('finds its window free: ids of the connection before are not in use any more', async () => {
    for (let round = 0; round < 3; round++) {
      const client = await at().connected();
      client.send(subscribePacket(1, 'a'));
      await client.next(0x90);
      for (let n = 0; n < 10; n++) at().deliver('a', `${n}`, 1);
      await waitFor(() => payloadsOf(client).length === 10);
      expect(client.packets.map((each) => published(each).id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      client.socket.destroy();
      await waitFor(() => at().bench.server.connected === 0);
    }
  });
});

it('packet ids go round and leave out those that are in use [MQTT-2.3.1-4]', async () => {
  const client = await at().connected();
  client.send(subscribePacket(1, 'a'));
  await client.next(0x90);
  at().deliver('a', 'held', 1);
  const { id: held } = published(await client.next(PUBLISH));
  const ids: number[] = [];
  while (ids.length < 70_000) {
    for (let n = 0; n < 5000; n++) at().deliver('a', '', 1);
    await waitFor(() => client.packets.length === 5000, { intervalMs: 2 });
    const got = client.packets.splice(0).map((each) => published(each).id);
    ids.push(...got);
    client.send(...got.map(pubackPacket));
    await client.settle();
  }
  expect(ids.includes(held) || ids.includes(0)).toBe(false);
  expect(Math.max(...ids.slice(0, 65_534))).toBe(65_535);
  expect(new Set(ids.slice(0, 65_534)).size).toBe(65_534);
  expect(ids[65_534]).toBe(ids[0]);
});

it('a client that asks without end and takes no answer is closed, and costs a bounded memory', async () => {
  const client = await at().connected();
  client.socket.pause();
  const many = Buffer.concat(Array.from({ length: 50_000 }, () => PINGREQ));
  let most = 0;
  await waitFor(
    () => {
      if (client.isClosed || at().bench.server.connected === 0) return true;
      if (client.socket.writableLength < many.length) client.send(many);
      most = Math.max(most, process.memoryUsage().arrayBuffers);
      return false;
    },
    { intervalMs: 1, timeoutMs: 50_000 },
  );
  const reasons = at().bench.lines.map(({ reason }) => reason);
  expect(reasons).toContain('it takes none of the answers that it asks for');
  expect(most).toBeLessThan(100 * 1024 * 1024);
});

it('a process that stood still does not count it as the silence of its devices', async () => {
  const client = await at().connected(at().lamp, { keepAlive: 1 });
  // The server looks twice a second: the silence is counted from here on.
  const begin = performance.now();
  await waitFor(() => performance.now() > begin + 600);
  const until = performance.now() + 2600;
  // The event loop stands: the packet lies in the socket, the time of the keep-alive is over.
  client.send(PINGREQ);
  while (performance.now() < until) client.socket.writableLength;
  await client.next(0xd0);
  await client.settle();
  expect(client.isClosed).toBe(false);
});
