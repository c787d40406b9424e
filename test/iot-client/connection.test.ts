/** The connection to the cloud, against a real MQTT server over TLS. */
import { createSelfSigned } from '../../greengrass/lib/x509.js';
import { waitFor } from '../support/wait-for.js';
import { CloudBench } from './bench.js';

let bench: CloudBench;
beforeEach(async () => {
  bench = await CloudBench.create();
  await bench.start();
});
afterEach(() => bench.close());

/** A connection that is up, and what its handler received. */
async function connected(options = {}) {
  const connection = bench.connection(options);
  const received: string[] = [];
  const handler = (topic: string, payload: Buffer) => received.push(`${topic} ${payload}`);
  await connection.start();
  await waitFor(() => connection.connected);
  return { connection, received, handler };
}

describe('the connection to the cloud', () => {
  it('connects with the certificate and client id of the core', async () => {
    const { connection } = await connected();
    await waitFor(() => bench.connects.length === 1);
    expect(bench.connects).toEqual(['core']);
    expect(connection.health()).toEqual({ healthy: true });
    await connection.stop();
    expect(connection.health()).toEqual({ healthy: false, reason: 'stopped to the cloud' });
  });

  it('does not trust a cloud of another CA, and goes on trying', async () => {
    const notAfter = new Date(Date.now() + 60_000);
    const other = await createSelfSigned({ subject: [['CN', 'other']], notAfter, isCa: true });
    const connection = bench.connection({ caPem: other.certificatePem });
    await connection.start();
    await waitFor(() => bench.lines.filter(({ msg }) => msg === 'Not connected to the cloud.').length >= 2);
    expect(connection.connected).toBe(false);
    expect(bench.lines.at(-1)?.reason).toMatch(/certificate/);
    expect(bench.connects).toEqual([]);
  });

  it('starts while the cloud is away, and connects when it comes', async () => {
    await bench.stop();
    const connection = bench.connection();
    await connection.start();
    await waitFor(() => bench.lines.some(({ msg }) => msg === 'Not connected to the cloud.'));
    await expect(connection.publish('a', 'x', 1)).rejects.toThrow('not connected to the cloud');
    await bench.start();
    await waitFor(() => connection.connected);
  });

  it('goes on trying where the cloud ends each connection right after the handshake, or never answers', async () => {
    let isSilent = false;
    bench.takeOver = (socket) => {
      if (!isSilent) socket.destroy();
    };
    const connection = bench.connection({ retryBaseMs: 5 });
    await connection.start();
    await waitFor(() => bench.lines.filter(({ msg }) => msg === 'Not connected to the cloud.').length >= 10);
    isSilent = true;
    const { length } = bench.protocols;
    await waitFor(() => bench.protocols.length > length);
    expect(connection.connected).toBe(false);
    await connection.stop();
    bench.takeOver = undefined;
    await connection.start();
    await waitFor(() => connection.connected);
  });

  it('comes back after the cloud was lost, and renews its subscriptions', async () => {
    const { connection, received, handler } = await connected();
    let connects = 0;
    connection.onConnected(() => connects++);
    connection.subscribe('a/#', handler);
    await waitFor(() => bench.subscribed.length === 1);
    for (let round = 1; round <= 2; round++) {
      bench.dropAll();
      await waitFor(() => connects === round + 1);
      await waitFor(() => bench.subscribed.length === round + 1);
      bench.send('a/b', String(round));
      await waitFor(() => received.length === round);
    }
    expect(received).toEqual(['a/b 1', 'a/b 2']);
  });

  it('subscribes at most eight filters at once, as the cloud allows', async () => {
    const connection = bench.connection();
    for (let n = 0; n < 20; n++) connection.subscribe(`f/${n}`, () => undefined);
    await connection.start();
    await waitFor(() => bench.subscribed.flat().length === 20);
    expect(Math.max(...bench.subscribed.map(({ length }) => length))).toBeLessThanOrEqual(8);
  });

  it('tells which subscription the cloud refused; the others work', async () => {
    bench.refused.add('forbidden');
    const { connection, received, handler } = await connected();
    connection.subscribe('forbidden', handler);
    connection.subscribe('allowed', handler);
    await waitFor(() => bench.lines.some(({ msg }) => msg === 'Subscription in the cloud failed.'));
    expect(bench.lines.at(-1)).toMatchObject({ filters: ['forbidden'] });
    await waitFor(() => {
      bench.send('allowed', 'x');
      return received.length > 0;
    });
    expect(connection.connected).toBe(true);
  });

  it('calls each handler once for a message, however many of its filters take it', async () => {
    const { connection, received, handler } = await connected();
    const others: string[] = [];
    for (const filter of ['a/b', 'a/#', 'a/+', '#']) connection.subscribe(filter, handler);
    connection.subscribe('a/b', (topic) => others.push(topic));
    connection.subscribe('other/#', (topic) => others.push(topic));
    await waitFor(() => bench.subscribed.flat().length === 5);
    bench.send('a/b', '1');
    bench.send('end', '');
    await waitFor(() => received.includes('end '));
    expect([received, others]).toEqual([['a/b 1', 'end '], ['a/b']]);
  });

  it('unsubscribes when the last handler of a filter is gone', async () => {
    const { connection, received, handler } = await connected();
    const second = () => undefined;
    connection.subscribe('a', handler);
    connection.subscribe('a', second);
    connection.unsubscribe('a', handler);
    connection.unsubscribe('a', () => undefined);
    await waitFor(() => bench.subscribed.length === 1);
    connection.unsubscribe('a', second);
    await waitFor(() => bench.unsubscribed.length === 1);
    connection.unsubscribe('never', second);
    bench.send('a', 'x');
    bench.dropAll();
    await waitFor(() => bench.connects.length === 2);
    expect([received, bench.subscribed.length]).toEqual([[], 1]);
  });

  it('calls a listener at once where it is connected already', async () => {
    const { connection } = await connected();
    let calls = 0;
    connection.onConnected(() => calls++);
    expect(calls).toBe(1);
  });
});

describe('a publish', () => {
  it('resolves with the acknowledgement of the cloud', async () => {
    const { connection } = await connected();
    await connection.publish('a', 'one', 1);
    await connection.publish('a', Buffer.from('two'), 0);
    await waitFor(() => bench.published.filter(({ topic }) => topic === 'a').length === 2);
    expect(bench.published.filter(({ topic }) => topic === 'a')).toEqual([
      { topic: 'a', payload: 'one', qos: 1 },
      { topic: 'a', payload: 'two', qos: 0 },
    ]);
  });

  it('rejects when no acknowledgement comes in time, and the connection is made anew', async () => {
    bench.silent.add('black/hole');
    const { connection } = await connected({ operationTimeoutS: 0.3 });
    await expect(connection.publish('black/hole', 'x', 1)).rejects.toThrow('operation timed out');
    await waitFor(() => bench.connects.length === 2);
    await waitFor(() => connection.connected);
    await connection.publish('a', 'x', 1);
  });

  it('rejects at once when the connection is lost under it', async () => {
    bench.silent.add('black/hole');
    const { connection } = await connected({ operationTimeoutS: 60 });
    const outcome = connection.publish('black/hole', 'x', 1).then(
      () => 'resolved',
      () => 'rejected',
    );
    await waitFor(() => bench.published.some(({ topic }) => topic === 'black/hole'));
    bench.dropAll();
    expect(await outcome).toBe('rejected');
  });

  it('that is never acknowledged does not hold up a stop', async () => {
    bench.silent.add('black/hole');
    const { connection } = await connected({ operationTimeoutS: 60 });
    const outcome = connection.publish('black/hole', 'x', 1).catch(({ message }: Error) => message);
    await waitFor(() => bench.published.some(({ topic }) => topic === 'black/hole'));
    const started = Date.now();
    await connection.stop();
    expect(Date.now() - started).toBeLessThan(5_000);
    expect(await outcome).toMatch(/./);
  });
});

describe('a stop', () => {
  it('ends reconnects, and a start begins anew', async () => {
    const { connection } = await connected();
    // Another one, which goes on: as often as it has come back, the stopped one would have, too.
    const witness = bench.connection({ clientId: 'witness' });
    await witness.start();
    await waitFor(() => witness.connected);
    await bench.stop();
    await waitFor(() => !connection.connected && !witness.connected);
    await connection.stop();
    await connection.stop();
    await bench.start();
    const count = (id: string) => bench.connects.filter((each) => each === id).length;
    for (const times of [2, 3]) {
      await waitFor(() => witness.connected && count('witness') === times);
      if (times === 2) bench.dropAll();
    }
    expect(count('core')).toBe(1);
    await connection.start();
    await connection.start();
    await waitFor(() => count('core') === 2);
  });
});
