/** The sockets in C by themselves: what the server above them can't be made to do at will. */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { Worker } from 'node:worker_threads';
import type { DeviceDoor, Peer, ServerCredentials } from '../../greengrass/core/broker/device-door.js';
import type { DeviceStream } from '../../greengrass/core/broker/device-stream.js';
import { hasLane, openLaneDoor } from '../../greengrass/core/broker/tls-lane/tls-lane.js';
import { type CertifiedKey, certificateId, createSelfSigned } from '../../greengrass/lib/x509.js';
import { waitFor } from '../support/wait-for.js';

const HOUR_MS = 3_600_000;
const HANDSHAKE_TIMEOUT_MS = 300;

/** A stream and what came of it. */
class Arrived {
  readonly bytes: Buffer[] = [];
  writes = 0;
  reason: string | undefined;

  constructor(
    readonly stream: DeviceStream,
    readonly peer: Peer,
  ) {
    stream.listen({
      received: (bytes, from, end) => void this.bytes.push(Buffer.from(bytes.subarray(from, end))),
      written: () => {
        this.writes += 1;
      },
      closed: (reason) => {
        this.reason = reason;
      },
    });
  }

  get received(): Buffer {
    return Buffer.concat(this.bytes);
  }
}

let key: CertifiedKey;
let credentials: ServerCredentials;
let door: DeviceDoor;
let arrived: Arrived[];
let failed: string[];
let turns: number;
const clients: Socket[] = [];

beforeAll(async () => {
  if (!hasLane()) throw new Error('the lane was not built: node greengrass/dev/native.mjs says why');
  key = await createSelfSigned({ subject: [['CN', 'lamp']], notAfter: new Date(Date.now() + HOUR_MS) });
  credentials = { certPem: key.certificatePem, keyPem: key.privateKeyPem, caPem: key.certificatePem };
});

function open(): DeviceDoor {
  return openLaneDoor(
    { port: 0, host: '127.0.0.1' },
    {
      credentials,
      onArrival: (stream, peer) => void arrived.push(new Arrived(stream, peer)),
      onFailedHandshake: (reason) => void failed.push(reason),
      inTurn: (work) => {
        turns += 1;
        work();
      },
      handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    },
  );
}

beforeEach(() => {
  arrived = [];
  failed = [];
  turns = 0;
  door = open();
});

afterEach(async () => {
  for (const { stream } of arrived) stream.destroy();
  for (const client of clients.splice(0)) client.destroy();
  await door.close();
});

function dial(options: { cert?: string; key?: string; session?: Buffer } = {}): TLSSocket {
  const socket = connect({ host: '127.0.0.1', port: door.port, rejectUnauthorized: false, ...options });
  socket.on('error', () => undefined);
  clients.push(socket);
  return socket;
}

const dialAsLamp = () => dial({ cert: key.certificatePem, key: key.privateKeyPem });

async function pair(): Promise<{ client: TLSSocket; server: Arrived }> {
  const client = dialAsLamp();
  const before = arrived.length;
  await once(client, 'secureConnect');
  await waitFor(() => arrived.length > before);
  return { client, server: arrived[before] as Arrived };
}

describe('who arrives', () => {
  it('is known by the fingerprint and the end of the certificate', async () => {
    const { server } = await pair();
    expect(server.peer.remoteAddress).toBe('127.0.0.1');
    expect(server.peer.certificateId).toBe(certificateId(key.certificatePem));
    expect(Math.abs((server.peer.notAfter ?? 0) - Date.now() - HOUR_MS)).toBeLessThan(60_000);
  });

  it('has no certificate id without a certificate', async () => {
    await once(dial(), 'secureConnect');
    await waitFor(() => arrived.length === 1);
    expect(arrived[0]?.peer).toEqual({ remoteAddress: '127.0.0.1' });
  });

  it('is a failed handshake where it speaks no TLS, and the door says why', async () => {
    const client = connectPlain(door.port, '127.0.0.1');
    client.on('error', () => undefined);
    clients.push(client);
    client.write('GET / HTTP/1.1\r\n\r\n');
    await waitFor(() => failed.length === 1);
    expect(failed).toEqual(['http request']);
    await waitFor(() => client.destroyed);
  });

  it('may not be slower than the handshake timeout', async () => {
    const client = connectPlain(door.port, '127.0.0.1');
    client.on('error', () => undefined);
    client.resume();
    await once(client, 'connect');
    await waitFor(() => {
      door.sweep();
      return client.destroyed;
    });
    expect(arrived).toEqual([]);
  });

  it('is let in though a thousand others began and stopped half-way: the oldest of those give way', async () => {
    const half: Socket[] = [];
    for (let n = 0; n < 1100; n++) {
      const client = connectPlain(door.port, '127.0.0.1');
      client.on('error', () => undefined);
      client.resume();
      half.push(client);
      clients.push(client);
      if (n % 100 === 99) await once(client, 'connect');
    }
    const { client, server } = await pair();
    client.write('hello');
    await waitFor(() => server.received.toString() === 'hello');
    await waitFor(() => half.filter(({ destroyed }) => destroyed).length >= 1100 - 1024);
    expect(half.filter(({ destroyed }) => destroyed).length).toBeLessThan(200);
  });
});

describe('bytes', () => {
  it('come complete and in order, more of them than the arena holds', async () => {
    const { client, server } = await pair();
    const sent = Buffer.alloc(8 * 1024 * 1024);
    for (let at = 0; at < sent.length; at += 4) sent.writeUInt32LE(at, at);
    client.write(sent);
    await waitFor(() => server.bytes.reduce((sum, { length }) => sum + length, 0) === sent.length);
    expect(server.received.equals(sent)).toBe(true);
  });

  it('of many connections come in fewer turns than there are messages', async () => {
    const pairs = await Promise.all(Array.from({ length: 30 }, pair));
    const sockets = pairs.map(({ client }) => client);
    turns = 0;
    for (const socket of sockets) socket.write('x');
    await waitFor(() => arrived.every(({ bytes }) => bytes.length === 1));
    expect(turns).toBeLessThan(30);
  });

  it('wait while the stream is paused, and come when it goes on, also those that had been read already', async () => {
    const { client, server } = await pair();
    const sent = Buffer.alloc(300_000, 7);
    let isPaused = false;
    server.stream.listen({
      received: (bytes, from, end) => {
        server.bytes.push(Buffer.from(bytes.subarray(from, end)));
        if (isPaused) return;
        isPaused = true;
        server.stream.pause();
      },
      written() {},
      closed() {},
    });
    client.write(sent);
    await waitFor(() => isPaused);
    // Another one is served meanwhile, so there were turns in which the first could have been read.
    const { client: other, server: second } = await pair();
    other.write('x');
    await waitFor(() => second.received.length === 1);
    expect(server.received.length).toBeLessThan(sent.length);
    server.stream.resume();
    await waitFor(() => server.received.length === sent.length);
  });

  it('that the peer does not take are kept, and `written` says when they are gone', async () => {
    const { client, server } = await pair();
    client.pause();
    const piece = { bytes: Buffer.alloc(256 * 1024, 5) };
    let pieces = 0;
    while (server.stream.write([piece])) pieces += 1;
    expect(server.writes).toBe(0);
    let taken = 0;
    client.on('data', (chunk: Buffer) => {
      taken += chunk.length;
    });
    client.resume();
    await waitFor(() => server.writes === 1);
    await waitFor(() => taken === (pieces + 1) * piece.bytes.length);
  });
});

describe('the end', () => {
  it('comes after everything that was written', async () => {
    const { client, server } = await pair();
    let taken = 0;
    let hasEnded = false;
    client.on('data', (chunk: Buffer) => {
      taken += chunk.length;
    });
    client.on('end', () => {
      hasEnded = true;
    });
    server.stream.write([{ bytes: Buffer.alloc(1_000_000) }]);
    server.stream.end();
    await waitFor(() => hasEnded);
    expect(taken).toBe(1_000_000);
    await waitFor(() => server.reason !== undefined);
  });

  it('is told once, where the peer broke the connection', async () => {
    const { client, server } = await pair();
    client.destroy();
    await waitFor(() => server.reason !== undefined);
    expect(server.stream.isDestroyed).toBe(true);
    expect(server.stream.write([{ bytes: Buffer.from('x') }])).toBe(false);
  });

  it('is not told within destroy', async () => {
    const { server } = await pair();
    server.stream.destroy();
    expect(server.reason).toBeUndefined();
    await waitFor(() => server.reason !== undefined);
  });

  it('of the door waits for the streams, and its port is free afterwards', async () => {
    const { client, server } = await pair();
    let isClosed = false;
    const closing = door.close().then(() => {
      isClosed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isClosed).toBe(false);
    server.stream.destroy();
    await closing;
    const { port } = door;
    await waitFor(() => client.destroyed);
    door = open();
    const refused = connectPlain(port, '127.0.0.1');
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
  });
});

describe('a thread that has its own', () => {
  it('serves beside that of another, and may be ended at any moment', async () => {
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(new URL('./lane-worker.js', import.meta.url), { workerData: credentials });
      const [port] = (await once(worker, 'message')) as [number];
      const theirs = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
      theirs.on('error', () => undefined);
      clients.push(theirs);
      await once(theirs, 'secureConnect');
      const { client: ours, server } = await pair();
      let echoed = 0;
      theirs.on('data', ({ length }: Buffer) => {
        echoed += length;
      });
      // Both at once: records of one must not get into the other.
      const bytes = Buffer.alloc(500_000, round);
      theirs.write(bytes);
      ours.write(bytes);
      server.stream.write([{ bytes }]);
      await waitFor(() => echoed > 0);
      if (round > 0) await waitFor(() => echoed === bytes.length);
      // The first time in the middle of it.
      await worker.terminate();
      await waitFor(() => theirs.destroyed);
      await waitFor(() => server.received.length === bytes.length);
      expect(server.received.equals(bytes)).toBe(true);
    }
  });
});

describe('a record that is broken', () => {
  it('ends its own connection, with the reason', async () => {
    const { server } = await pair();
    const { client } = await pair();
    // Beneath TLS: what comes is no record.
    const raw = connectPlain(door.port, '127.0.0.1');
    raw.on('error', () => undefined);
    clients.push(raw);
    raw.write(Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]));
    await waitFor(() => failed.length === 1);
    client.write('x');
    await waitFor(() => arrived[1]?.received.toString() === 'x');
    expect(server.reason).toBeUndefined();
  });
});

describe('what can not be opened', () => {
  const options = () => ({
    credentials,
    onArrival: () => undefined,
    onFailedHandshake: () => undefined,
    inTurn: (work: () => void) => work(),
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
  });

  it('is a port that is taken, with the code that Node.js gives', () => {
    const again = () => openLaneDoor({ port: door.port, host: '127.0.0.1' }, options());
    expect(again).toThrow(`listen EADDRINUSE: Address already in use 127.0.0.1:${door.port}`);
    expect(again).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
  });

  it('is a certificate with the key of another, and the old one goes on', async () => {
    const other = await createSelfSigned({
      subject: [['CN', 'other']],
      notAfter: new Date(Date.now() + HOUR_MS),
    });
    const mixed = { ...credentials, keyPem: other.privateKeyPem };
    expect(() => door.setCredentials(mixed)).toThrow('key values mismatch');
    expect(() => door.setCredentials({ ...credentials, certPem: 'nothing', caPem: '' })).toThrow(
      'no start line',
    );
    const { server } = await pair();
    expect(server.peer.certificateId).toBeDefined();
  });
});
