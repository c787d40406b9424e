/** A cloud that does to PUBLISH packets what the test says: acknowledges late, twice, never, or cuts the connection. */
import type { TLSSocket } from 'node:tls';
import mqttPacket from 'mqtt-packet';
import type { CloudBench } from './bench.js';

export interface Received {
  readonly topic: string;
  readonly payload: string;
  readonly isDuplicate: boolean;
  /** Number of the connection that it came on, from 1. */
  readonly connection: number;
  /** Sends the PUBACK; a second call sends another one. */
  ack(): void;
  /** Cuts the connection. */
  cut(): void;
}

export class ScriptedCloud {
  readonly received: Received[] = [];
  connections = 0;
  /** Acknowledges at once unless the test sets something else. */
  onPublish: (message: Received) => void = (message) => message.ack();
  /** Called after each CONNACK. */
  onConnect: (cut: () => void) => void = () => undefined;

  constructor(bench: CloudBench) {
    bench.takeOver = (socket) => this.#serve(socket);
  }

  get payloads(): string[] {
    return this.received.map(({ payload }) => payload);
  }

  #serve(socket: TLSSocket): void {
    const parser = mqttPacket.parser();
    let connection = 0;
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => parser.parse(chunk));
    const send = (packet: mqttPacket.Packet) => {
      if (!socket.destroyed) socket.write(mqttPacket.generate(packet));
    };
    parser.on('packet', (packet: mqttPacket.Packet) => {
      if (socket.destroyed) return;
      if (packet.cmd === 'connect') {
        this.connections += 1;
        connection = this.connections;
        send({ cmd: 'connack', returnCode: 0, sessionPresent: false });
        this.onConnect(() => socket.destroy());
      } else if (packet.cmd === 'pingreq') send({ cmd: 'pingresp' });
      else if (packet.cmd === 'subscribe') {
        send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted: packet.subscriptions.map(() => 0) });
      } else if (packet.cmd === 'publish') {
        const { topic, payload, dup, messageId = 0 } = packet;
        const message: Received = {
          topic,
          payload: payload.toString(),
          isDuplicate: dup,
          connection,
          ack: () => send({ cmd: 'puback', messageId }),
          cut: () => socket.destroy(),
        };
        this.received.push(message);
        this.onPublish(message);
      }
    });
  }
}

/** Each once, in the order in which they came first. */
export function firsts(payloads: readonly string[]): string[] {
  return [...new Set(payloads)];
}
