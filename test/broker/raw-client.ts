/** A device that says exactly what a test wants, byte by byte, over real TLS, and shows what came back. */
import { connect, type TLSSocket } from 'node:tls';
import { waitFor } from '../support/wait-for.js';

/** A packet of the server: its first byte and what follows the fixed header. */
export interface Packet {
  readonly first: number;
  readonly body: Buffer;
}

/** A server to connect to: a BrokerBench, or one in a process of its own. */
export interface Place {
  readonly server: { readonly port: number };
  readonly ca: { readonly certificatePem: string };
}

export interface Identity {
  readonly thingName: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export class RawClient {
  readonly packets: Packet[] = [];
  isClosed = false;
  #pending = Buffer.alloc(0);

  private constructor(readonly socket: TLSSocket) {
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('data', (chunk: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      this.#cut();
    });
  }

  static async open(bench: Place, device: Identity): Promise<RawClient> {
    const socket = connect({
      host: '127.0.0.1',
      port: bench.server.port,
      ca: bench.ca.certificatePem,
      cert: device.certificatePem,
      key: device.privateKeyPem,
    });
    const client = new RawClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    return client;
  }

  /** Open, CONNECT sent, CONNACK come. */
  static async connected(bench: Place, device: Identity, options: ConnectOptions = {}): Promise<RawClient> {
    const client = await RawClient.open(bench, device);
    client.send(connectPacket(device.thingName, options));
    await client.next(0x20);
    return client;
  }

  send(...pieces: Uint8Array[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  /** Takes the first packet with this first byte (its flags excepted for PUBLISH) out of those that came. */
  async next(first: number): Promise<Packet> {
    const fits = (packet: Packet) => (first === PUBLISH ? packet.first >> 4 === 3 : packet.first === first);
    await waitFor(() => this.packets.some(fits) || this.isClosed, { what: `packet 0x${first.toString(16)}` });
    const index = this.packets.findIndex(fits);
    if (index < 0) throw new Error('closed instead');
    return this.packets.splice(index, 1)[0] as Packet;
  }

  async closed(): Promise<void> {
    await waitFor(() => this.isClosed, { what: 'the server closes the connection' });
  }

  /** Everything sent so far was dealt with: the server answers in order. */
  async settle(): Promise<void> {
    this.send(PINGREQ);
    await this.next(0xd0);
  }

  #cut(): void {
    for (;;) {
      let length = 0;
      let at = 1;
      let scale = 1;
      for (;;) {
        const byte = this.#pending[at++];
        if (byte === undefined) return;
        length += (byte & 0x7f) * scale;
        scale *= 128;
        if (byte < 0x80) break;
      }
      if (this.#pending.length < at + length) return;
      this.packets.push({
        first: this.#pending[0] as number,
        body: Buffer.from(this.#pending.subarray(at, at + length)),
      });
      this.#pending = this.#pending.subarray(at + length);
    }
  }
}

export const PUBLISH = 0x30;
export const PINGREQ = Buffer.from([0xc0, 0]);
export const DISCONNECT = Buffer.from([0xe0, 0]);

export function packet(first: number, ...pieces: Uint8Array[]): Buffer {
  const body = Buffer.concat(pieces);
  const header = [first];
  let left = body.length;
  do {
    header.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left >>= 7;
  } while (left > 0);
  return Buffer.concat([Buffer.from(header), body]);
}

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint16(bytes.length), bytes]);
}

export function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

export interface ConnectOptions {
  readonly protocol?: string;
  readonly level?: number;
  readonly flags?: number;
  readonly keepAlive?: number;
  /** What follows the client id. */
  readonly rest?: Buffer;
}

/** Clean session where no flags are given. */
export function connectPacket(clientId: string, options: ConnectOptions = {}): Buffer {
  const { protocol = 'MQTT', level = 4, flags = 2, keepAlive = 0, rest = Buffer.alloc(0) } = options;
  return packet(0x10, text(protocol), Buffer.from([level, flags]), uint16(keepAlive), text(clientId), rest);
}

export function publishPacket(topic: string | Buffer, payload: string | Buffer, id = 0, flags = 0): Buffer {
  const first = 0x30 | (id > 0 ? 2 : 0) | flags;
  return packet(first, text(topic), id > 0 ? uint16(id) : Buffer.alloc(0), Buffer.from(payload));
}

export function subscribePacket(id: number, filter: string | Buffer, qos = 1): Buffer {
  return packet(0x82, uint16(id), text(filter), Buffer.from([qos]));
}

export function pubackPacket(id: number): Buffer {
  return packet(0x40, uint16(id));
}

/** A PUBLISH of the server, taken apart. */
export function published({ first, body }: Packet) {
  const topicEnd = 2 + body.readUInt16BE(0);
  const qos = (first >> 1) & 3;
  return {
    topic: body.toString('utf8', 2, topicEnd),
    id: qos > 0 ? body.readUInt16BE(topicEnd) : 0,
    dup: (first & 8) !== 0,
    payload: body.toString('utf8', qos > 0 ? topicEnd + 2 : topicEnd),
  };
}
