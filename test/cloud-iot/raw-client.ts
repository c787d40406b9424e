/** An MQTT client of single packets: says what no well-behaved client would, and shows what really comes back. */
import { connect, type TLSSocket } from 'node:tls';
import mqtt, {
  type IConnackPacket,
  type IConnectPacket,
  type IPublishPacket,
  type Packet,
} from 'mqtt-packet';
import type { CertifiedKey } from '../../greengrass/lib/x509.js';
import { waitFor } from '../support/wait-for.js';

export interface RawTarget {
  readonly port: number;
  readonly caPem: string;
  readonly identity: CertifiedKey;
  readonly alpn?: string;
}

export class RawClient {
  readonly received: Packet[] = [];
  closed = false;

  private constructor(readonly socket: TLSSocket) {
    const parser = mqtt.parser({ protocolVersion: 4 });
    parser.on('packet', (packet) => this.received.push(packet));
    socket.on('data', (chunk: Buffer) => parser.parse(chunk));
    socket.on('error', () => {});
    socket.once('close', () => {
      this.closed = true;
    });
  }

  /** TLS only. */
  static async open({ port, caPem, identity, alpn }: RawTarget): Promise<RawClient> {
    const socket = connect({
      ...{ host: '127.0.0.1', port, ca: caPem },
      ...{ cert: identity.certificatePem, key: identity.privateKeyPem },
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  /** TLS, CONNECT and the wait for CONNACK. Rejects where the connection is closed without. */
  static async connect(
    target: RawTarget,
    clientId: string,
    options: Partial<IConnectPacket> = {},
  ): Promise<{ client: RawClient; connack: IConnackPacket }> {
    const client = await RawClient.open(target);
    client.send({
      ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, clientId, keepalive: 60 },
      ...options,
    });
    const connack = await client.next('connack');
    return { client, connack: connack as IConnackPacket };
  }

  send(packet: Packet): void {
    mqtt.writeToStream(packet, this.socket);
  }

  /** The next packet of this kind that was not taken yet. Rejects once the connection is closed without it. */
  async next<C extends Packet['cmd']>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    const found = await waitFor(
      () => {
        const index = this.received.findIndex((packet) => packet.cmd === cmd);
        if (index >= 0) return { packet: this.received.splice(index, 1)[0] };
        return this.closed ? { packet: undefined } : undefined;
      },
      { what: `a ${cmd} packet` },
    );
    if (!found.packet) throw new Error(`closed before ${cmd} came`);
    return found.packet as Extract<Packet, { cmd: C }>;
  }

  async subscribe(filters: Record<string, 0 | 1 | 2>, messageId = 1): Promise<readonly unknown[]> {
    const subscriptions = Object.entries(filters).map(([topic, qos]) => ({ topic, qos }));
    this.send({ cmd: 'subscribe', messageId, subscriptions } as Packet);
    return (await this.next('suback')).granted;
  }

  /** QoS 1 waits for its PUBACK. */
  async publish(
    topic: string,
    payload: string | Buffer,
    options: Partial<IPublishPacket> = {},
  ): Promise<void> {
    const messageId = options.messageId ?? 1;
    const packet = { ...{ cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false }, ...options };
    this.send({ ...packet, ...(packet.qos === 0 ? {} : { messageId }) } as Packet);
    if (packet.qos === 1) await this.next('puback');
  }

  /** The next PUBLISH, acknowledged if its QoS asks for it. */
  async message(acknowledge = true): Promise<IPublishPacket> {
    const packet = await this.next('publish');
    if (acknowledge && packet.qos === 1) this.send({ cmd: 'puback', messageId: packet.messageId as number });
    return packet;
  }

  /** The PUBACK of this packet identifier came; publications of a connection are taken in order. */
  async settled(messageId: number): Promise<void> {
    while ((await this.next('puback')).messageId !== messageId);
  }

  gone(): Promise<boolean> {
    return waitFor(() => this.closed, { what: 'the connection to be closed' });
  }

  async disconnect(): Promise<void> {
    this.send({ cmd: 'disconnect' });
    await this.gone();
  }

  /** Without DISCONNECT, as a network that fails. */
  async drop(): Promise<void> {
    this.socket.destroy();
    await this.gone();
  }
}
