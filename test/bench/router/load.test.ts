/** The load generator counts right: what a broker loses, repeats or delays is what it reports. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { generate, type IPublishPacket, parser } from 'mqtt-packet';
import { makeKeys } from './fixture.js';
import { buildLoad, runMessages } from './load.js';

const folder = mkdtempSync(join(tmpdir(), 'gg-load-'));
const program = buildLoad(folder);
if (program === undefined) console.warn('skipped: the load generator needs cc and OpenSSL (libssl-dev)');
const describeWithCompiler = program === undefined ? describe.skip : describe;

/** Forwards everything to whoever subscribed; `fate` says how often a message arrives: 0, 1, 2 times. */
class FakeBroker {
  forwarded = 0;
  readonly #server: Server;
  readonly #subscribers = new Set<TLSSocket>();
  #count = 0;

  constructor(private readonly fate: (n: number) => number) {
    const read = (name: string) => readFileSync(join(folder, name));
    this.#server = createServer(
      { cert: read('server.pem'), key: read('server.key'), ca: read('ca.pem'), requestCert: true },
      (socket) => this.#serve(socket),
    );
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<unknown> {
    return new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: TLSSocket): void {
    const reader = parser();
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => reader.parse(chunk));
    reader.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        socket.write(generate({ cmd: 'connack', returnCode: 0, sessionPresent: false }));
      } else if (packet.cmd === 'subscribe') {
        this.#subscribers.add(socket);
        socket.write(generate({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: [1] }));
      } else if (packet.cmd === 'publish') {
        if (packet.qos === 1) socket.write(generate({ cmd: 'puback', messageId: packet.messageId ?? 0 }));
        this.#forward(packet);
      }
    });
  }

  #forward(packet: IPublishPacket): void {
    const times = this.fate(++this.#count);
    for (const socket of this.#subscribers) {
      for (let n = 0; n < times; n++) {
        socket.write(generate(packet));
        this.forwarded += 1;
      }
    }
  }
}

async function load(fate: (n: number) => number, qos: 0 | 1) {
  const broker = new FakeBroker(fate);
  const target = { program: program as string, certs: folder, port: await broker.listen() };
  const result = await runMessages(target, {
    ...{ pubs: 1, subs: 1, shape: 'pairs' as const, qos, size: 64, window: 10, seconds: 1, rate: 500 },
  });
  await broker.close();
  return { ...result, forwarded: broker.forwarded };
}

describeWithCompiler('the load generator', () => {
  beforeAll(() => makeKeys(folder, ['pub-0', 'sub-0']));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([0, 1] as const)('reports no loss where there is none, QoS %i', async (qos) => {
    const { sent, received, expected, forwarded, misordered, acked, perSecond } = await load(() => 1, qos);
    expect([received, expected, forwarded, misordered]).toEqual([sent, sent, sent, 0]);
    expect(acked).toBe(qos === 1 ? sent : 0);
    expect(perSecond).toBeGreaterThan(250);
    expect(perSecond).toBeLessThan(750);
  });

  it('counts what was lost', async () => {
    const { sent, received, expected, forwarded } = await load((n) => (n % 10 === 0 ? 0 : 1), 1);
    expect([received, expected]).toEqual([forwarded, sent]);
    expect(sent - received).toBe(Math.floor(sent / 10));
  });

  it('counts what came twice', async () => {
    const { sent, received, misordered } = await load((n) => (n % 10 === 0 ? 2 : 1), 0);
    expect(misordered).toBe(Math.floor(sent / 10));
    expect(received).toBe(sent + misordered);
  });
});
