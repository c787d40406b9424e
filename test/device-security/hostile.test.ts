/** Hostile peers on raw sockets; good devices must not notice. Each with the TLS sockets in C and with those of Node.js. */
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { IClientOptions } from 'mqtt';
import { WaitingRoom } from '../../greengrass/core/broker/waiting-room.js';
import { BrokerBench, makeDevice, type Session, type TestDevice } from '../broker/bench.js';
import { waitFor } from '../support/wait-for.js';

/** The MQTT client hands on what its types do not name. */
const tls = (options: ConnectionOptions) => options as IClientOptions;

let lamp: TestDevice;
let fan: TestDevice;
let stranger: TestDevice;
beforeAll(async () => {
  [lamp, fan, stranger] = (await Promise.all(['lamp', 'fan', 'stranger'].map(makeDevice))) as [
    TestDevice,
    TestDevice,
    TestDevice,
  ];
});

describe.each([
  ['the sockets in C', false],
  ['the sockets of Node.js', true],
])('%s', (_name, withoutLane) => {
  let bench: BrokerBench;
  let good: Session;
  let sockets: Socket[];
  beforeAll(async () => {
    bench = await BrokerBench.start(undefined, withoutLane);
    bench.setGroup(lamp, fan);
  });
  beforeEach(async () => {
    sockets = [];
    good = await bench.connect(lamp);
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await bench.clear();
  });
  afterAll(() => bench?.stop());

  const keep = <S extends Socket>(socket: S): S => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.resume();
    return socket;
  };
  const knock = () => keep(connectTcp({ host: '127.0.0.1', port: bench.server.port }));
  const handshake = (device?: TestDevice): TLSSocket =>
    keep(
      connectTls({
        ...{ host: '127.0.0.1', port: bench.server.port, rejectUnauthorized: false },
        ...(device ? { cert: device.certificatePem, key: device.privateKeyPem } : {}),
      }),
    );
  const areOpen = () => sockets.filter((socket) => !socket.destroyed).length;

  /** Messages of the good device while `attack` goes on: all arrive, in order, over the connection it has. */
  async function unnoticed(attack: () => Promise<unknown>): Promise<void> {
    let isOver = false;
    let cuts = 0;
    good.client.on('close', () => cuts++);
    const attacking = attack().finally(() => {
      isOver = true;
    });
    let sent = 0;
    while (!isOver || sent < 20) await good.client.publishAsync('a', String(sent++), { qos: 1 });
    await attacking;
    expect(bench.published.map(({ payload }) => payload.toString())).toEqual(
      Array.from({ length: sent }, (_, number) => String(number)),
    );
    expect(cuts).toBe(0);
    // And a newcomer gets in.
    const other = await bench.connect(fan);
    await other.client.endAsync();
  }

  it('hold no more than 1,024 half-open connections; the oldest give way, then all after ten seconds', async () => {
    const begun = Date.now();
    let left = 0;
    await unnoticed(async () => {
      for (let count = 0; count < 1300; count++) {
        const socket = knock();
        if (count % 50 === 0) await new Promise((resolve) => socket.once('connect', resolve));
      }
      await waitFor(() => areOpen() <= 1030, { what: 'the oldest give way' });
      left = areOpen();
    });
    // Where the machine is so busy that the first had their ten seconds meanwhile, there is nothing to see.
    if (Date.now() - begun < 9000) expect(left).toBeGreaterThan(500);
    await waitFor(() => areOpen() === 0, { timeoutMs: 30_000, what: 'their time is over' });
  });

  it('bear bytes that are no TLS, in any amount', async () => {
    const noise = [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from([0x10, 0x10, 0x00, 0x04, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 4, 1, 2, 3, 4]),
      Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]),
      Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff]),
      Buffer.alloc(65_536, 0x16),
    ];
    await unnoticed(async () => {
      for (let count = 0; count < 300; count++) {
        const socket = knock();
        socket.write(noise[count % noise.length] as Buffer);
        if (count % 7 === 0) socket.once('connect', () => socket.resetAndDestroy());
        if (count % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      // A handshake that was begun and not gone on with has its ten seconds.
      await waitFor(() => areOpen() <= 150, { timeoutMs: 15_000, what: 'they are closed' });
    });
  });

  it('bear handshakes that lead to nothing: no certificate, a stranger, a cut in the middle', async () => {
    await unnoticed(async () => {
      for (let count = 0; count < 60; count++) {
        const socket = handshake(count % 3 === 0 ? stranger : undefined);
        const ended = new Promise((resolve) => socket.once('close', resolve));
        if (count % 3 === 1) {
          socket.once('connect', () => setImmediate(() => socket.destroy()));
        }
        if (count % 10 === 9) await ended;
      }
      await waitFor(() => areOpen() === 0, { timeoutMs: 30_000, what: 'all are closed' });
    });
    expect(bench.server.connected).toBe(1);
  });

  it('close the oldest of a known device that comes again and again and never says CONNECT', async () => {
    await unnoticed(async () => {
      for (let count = 0; count < 40; count++) {
        const socket = handshake(fan);
        await new Promise((resolve) => socket.once('secureConnect', resolve));
      }
      await waitFor(() => areOpen() <= 32, { timeoutMs: 9000, what: 'the oldest give way' });
    });
    expect(areOpen()).toBeGreaterThan(16);
  });

  it.each([
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES128-SHA256',
    'ECDHE-RSA-AES128-SHA',
    'ECDHE-RSA-AES256-SHA384',
    'ECDHE-RSA-AES256-SHA',
    'AES128-GCM-SHA256',
    'AES128-SHA256',
    'AES128-SHA',
    'AES256-GCM-SHA384',
    'AES256-SHA256',
    'AES256-SHA',
  ])('serve TLS 1.2 with %s, as V1 did', async (ciphers) => {
    const client = bench.open(fan, 'fan', tls({ ciphers, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }));
    await waitFor(() => client.connected, { what: ciphers });
    const { stream } = client as unknown as { stream: TLSSocket };
    expect([stream.getProtocol(), stream.getCipher().name]).toEqual(['TLSv1.2', ciphers]);
  });

  it.each(['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'])(
    'serve TLS 1.3 with %s',
    async (ciphers) => {
      const client = bench.open(fan, 'fan', tls({ ciphers, minVersion: 'TLSv1.3' }));
      await waitFor(() => client.connected, { what: ciphers });
      const { stream } = client as unknown as { stream: TLSSocket };
      expect([stream.getProtocol(), stream.getCipher().name]).toEqual(['TLSv1.3', ciphers]);
    },
  );

  it.each(['RC4-SHA', 'DES-CBC3-SHA', 'NULL-SHA256', 'AECDH-AES128-SHA', 'ADH-AES128-SHA'])(
    'refuse %s',
    async (ciphers) => {
      const outcome = await new Promise<string>((resolve) => {
        try {
          const socket = connectTls({
            ...{ host: '127.0.0.1', port: bench.server.port, rejectUnauthorized: false },
            ...{ ciphers: `${ciphers}:@SECLEVEL=0`, maxVersion: 'TLSv1.2' },
          });
          keep(socket);
          socket.once('secureConnect', () => resolve('connected'));
          socket.once('error', ({ message }) => resolve(message));
        } catch (error) {
          // This client's own OpenSSL does not even know it.
          resolve((error as Error).message);
        }
      });
      expect(outcome).toMatch(/handshake failure|no cipher|no ciphers available/i);
    },
  );
});

describe('the waiting room', () => {
  it('is bounded for each and in all, and forgets who has left', () => {
    const out: number[] = [];
    const room = new WaitingRoom<number>({ all: 5, ofEach: 2 }, (one) => out.push(one));
    for (const [one, who] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'a'],
      [4, 'b'],
      [5, 'c'],
      [6, 'd'],
      [7, 'e'],
    ] as const)
      room.enter(one, who);
    expect([out, room.size]).toEqual([[1, 2], 5]);
    room.leave(3);
    room.leave(3);
    room.enter(8, 'a');
    room.enter(9, 'a');
    expect([out, room.size]).toEqual([[1, 2, 4], 5]);
  });
});
