/**
 * One device at the other end of one socket: MQTT 3.1.1 as a server speaks it, strictly. Packets are dealt with in the
 * order they come and to their end, nothing here waits; that is what keeps the order of a client's messages.
 */
import type { Logger } from '../../lib/log.js';
import type { Message } from '../router/message.js';
import { type ConnectPacket, decodeConnect, UnservedProtocol, type Will } from './client-packets.js';
import { publishProblem, publishTopicProblem } from './device-permissions.js';
import type { DeviceSession } from './device-session.js';
import type { DeviceStream } from './device-stream.js';
import { subscribe, unsubscribe } from './filter-requests.js';
import { type KnownTopics, RecentTopic } from './known-topics.js';
import type { Outgoing } from './outgoing.js';
import { Output } from './output.js';
import { PacketSplitter, type PacketTaker } from './packet-splitter.js';
import { Patience } from './patience.js';
import { ReceivedMessage } from './received-message.js';
import { CONNACK_CODES, connack, PINGRESP } from './server-packets.js';
import type { Sessions } from './sessions.js';
import type { TurnWriter } from './turn-writer.js';
import { ProtocolError } from './wire-text.js';

/** What connections share. */
export interface Broker {
  readonly maxPacketBytes: number;
  readonly connectTimeoutMs: number;
  /** A device that takes nothing for so long while publishers wait is in everybody's way. */
  readonly stuckMs: number;
  readonly sessions: Sessions;
  readonly topics: KnownTopics;
  readonly outgoing: Outgoing;
  readonly writer: TurnWriter;
  readonly logger: Logger;
  readonly onPublish: (message: Message) => void;
  /** ARN of the device that this certificate and client id speak for, or undefined. */
  identify(certificateId: string, clientId: string): string | undefined;
  /** The connection serves its client id from now on; who did before is closed. */
  entered(connection: DeviceConnection): void;
  left(connection: DeviceConnection): void;
  /** Its socket is closed. */
  gone(connection: DeviceConnection): void;
}

const QOS1 = 0x02;
const DUP = 0x08;
const RETAIN = 0x01;

export class DeviceConnection implements PacketTaker {
  readonly #stream: DeviceStream;
  readonly #broker: Broker;
  readonly #output: Output;
  readonly #splitter: PacketSplitter;
  #clientId = '';
  #source = '';
  #session: DeviceSession | undefined;
  #will: Will | undefined;
  #isClosed = false;
  readonly #patience: Patience;
  readonly #progress: Patience;
  /** What it took or, where it owes PUBACKs, acknowledged when it was last looked at. */
  #steps = 0;
  #hasPublished = false;
  readonly #topics: RecentTopic;

  constructor(
    stream: DeviceStream,
    readonly certificateId: string,
    broker: Broker,
  ) {
    this.#stream = stream;
    this.#broker = broker;
    this.#topics = new RecentTopic(broker.topics);
    this.#patience = new Patience(broker.connectTimeoutMs);
    this.#progress = new Patience(broker.stuckMs);
    this.#output = new Output({
      stream,
      writer: broker.writer,
      source: () => this.#source,
      onUnsettled: () => {
        this.close('what it sent could not be made durable');
        stream.destroy();
      },
      onDrained: () => this.#session?.drained(),
    });
    this.#splitter = new PacketSplitter(this, broker.maxPacketBytes);
    stream.listen({
      received: (bytes, from, end) => this.#read(bytes, from, end),
      written: () => {
        this.#output.written();
        this.#session?.written();
      },
      closed: (reason) => {
        this.close(reason);
        this.#output.close();
        broker.writer.backlog.forget(stream);
        broker.gone(this);
      },
    });
  }

  /** ARN of the device; '' before CONNECT was accepted. */
  get source(): string {
    return this.#source;
  }

  /** Thing name; '' before CONNECT was accepted. */
  get clientId(): string {
    return this.#clientId;
  }

  /** Ends the connection at once. The will is published: this is no DISCONNECT. Idempotent. */
  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stream.destroy();
    this.#leave(reason);
  }

  /** Ends the connection when everything has been sent. A peer that does not close its side is not waited for. */
  #finish(reason: string): void {
    this.#isClosed = true;
    this.#output.end();
    setTimeout(() => this.#stream.destroy(), this.#broker.connectTimeoutMs).unref();
    this.#leave(reason);
  }

  #leave(reason: string): void {
    const session = this.#session;
    this.#session = undefined;
    this.#broker.logger.debug({ clientId: this.#clientId, reason }, 'Device connection ended.');
    if (!session) return;
    this.#broker.sessions.leave(session);
    this.#broker.left(this);
    this.#broker.logger.info({ clientId: this.#clientId }, 'Device disconnected.');
    this.#publishWill();
  }

  /** Ends the connection without a word to anybody: the server stops. */
  abandon(): void {
    this.#will = undefined;
    this.close('the server stops');
    this.#stream.destroy();
  }

  /** Called from time to time; closes where the client was silent for longer than it may be. */
  checkSilence(now: number): void {
    const { backlog } = this.#broker.writer;
    const { unsentBytes, writes } = this.#output;
    const awaitedAcks = this.#session?.awaitedAcks;
    if (awaitedAcks !== undefined) backlog.letGo(this.#stream);
    const steps = awaitedAcks ?? writes;
    if (steps !== this.#steps || (unsentBytes === 0 && awaitedAcks === undefined)) this.#progress.heard();
    this.#steps = steps;
    if (this.#progress.isOver(now) && (this.#session?.holdsUp || backlog.isInTheWay(unsentBytes))) {
      this.close('it takes nothing, and others wait because of that');
      return;
    }
    // Who was told to wait can't be heard.
    if (backlog.isPaused(this.#stream)) this.#patience.heard();
    if (!this.#patience.isOver(now)) return;
    this.close(this.#session ? 'the keep-alive time is over' : 'no CONNECT came');
  }

  #read(bytes: Buffer, from: number, end: number): void {
    if (this.#isClosed) return;
    // Before CONNECT nothing but CONNECT counts as a sign of life.
    if (this.#session !== undefined) this.#patience.heard();
    this.#broker.writer.backlog.beginReading();
    try {
      const problem = this.#splitter.feed(bytes, from, end);
      if (problem !== undefined) this.close(problem);
      else if (this.#output.isOverrun) this.close('it takes none of the answers that it asks for');
      else if (this.#hasPublished) {
        this.#hasPublished = false;
        const owesAcks = this.#session?.awaitedAcks !== undefined;
        this.#broker.writer.backlog.throttle(this.#stream, owesAcks);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close(error.message);
    }
  }

  take(first: number, bytes: Buffer, start: number, end: number, from: number): boolean {
    const type = first >> 4;
    if (this.#session === undefined) {
      if (first !== 0x10) throw new ProtocolError('the first packet is not CONNECT');
      this.#connect(bytes, start, end);
    } else if (type === 3) this.#publish(first, bytes, start, end, from);
    else if (first === 0x40) this.#puback(bytes, start, end);
    else this.#other(first, bytes, start, end);
    return !this.#isClosed;
  }

  #other(first: number, bytes: Buffer, start: number, end: number): void {
    const session = this.#session as DeviceSession;
    const range = { bytes, start, end };
    if (first === 0x82) this.#output.writeAnswer(subscribe(range, session, this.#broker));
    else if (first === 0xa2) this.#output.writeAnswer(unsubscribe(range, session, this.#broker.sessions));
    else if (first === 0xc0 && start === end) this.#output.write(PINGRESP);
    else if (first === 0xe0 && start === end) this.#disconnect();
    else throw new ProtocolError(`a packet that begins with 0x${first.toString(16)} is not allowed here`);
  }

  #connect(bytes: Buffer, start: number, end: number): void {
    let packet: ConnectPacket;
    try {
      packet = decodeConnect(bytes, start, end);
    } catch (error) {
      if (!(error instanceof UnservedProtocol)) throw error;
      this.#refuse(CONNACK_CODES.protocol, error.message);
      return;
    }
    const { clientId, cleanSession, keepAliveS, will } = packet;
    if (clientId === '' && !cleanSession) {
      this.#refuse(CONNACK_CODES.clientId, 'an empty client id needs a clean session');
      return;
    }
    const source = this.#broker.identify(this.certificateId, clientId);
    if (source === undefined) {
      this.#broker.logger.warn(
        { clientId, certificateId: this.certificateId },
        'Connection refused: the client id is not the thing name that the certificate belongs to.',
      );
      this.#refuse(CONNACK_CODES.notAuthorized, 'not authorized');
      return;
    }
    this.#clientId = clientId;
    this.#source = source;
    this.#will = will;
    this.#patience.set(keepAliveS * 1500);
    this.#broker.entered(this);
    const { session, isPresent } = this.#broker.sessions.open(clientId, cleanSession, () =>
      // Not here and now: this is called in the middle of somebody else's message.
      setImmediate(() => this.close('it takes less than it is sent, and asked for every message')),
    );
    this.#session = session;
    this.#output.writeAnswer(connack(CONNACK_CODES.accepted, isPresent));
    session.attach(this.#output);
    this.#broker.logger.info({ clientId }, 'Device connected.');
  }

  #refuse(code: number, reason: string): void {
    this.#output.write(connack(code, false));
    this.#finish(reason);
  }

  #publish(first: number, bytes: Buffer, start: number, end: number, from: number): void {
    const qos = (first >> 1) & 3;
    const topicStart = start + 2;
    const topicEnd = topicStart > end ? end + 1 : topicStart + bytes.readUInt16BE(start);
    const payloadStart = qos > 0 ? topicEnd + 2 : topicEnd;
    if (payloadStart > end) throw new ProtocolError('the PUBLISH ends within its topic or packet id');
    if (qos === 3 || (qos === 0 && first & DUP))
      throw new ProtocolError('the flags of the PUBLISH are invalid');
    const topic = this.#topics.find(bytes, topicStart, topicEnd);
    const problem = topic.problem ?? publishProblem(qos, end - payloadStart);
    if (problem !== undefined) {
      this.#refusePublish(topic.name, problem);
      this.close(problem);
      return;
    }
    this.#hasPublished = true;
    if (qos === 0) {
      const message = new ReceivedMessage(this.#source, topic.name, 0, bytes, payloadStart, end);
      if (!(first & RETAIN)) this.#broker.outgoing.prime(message, { bytes, from, end, idAt: 0 });
      this.#broker.onPublish(message);
      return;
    }
    const packetId = bytes.readUInt16BE(topicEnd);
    if (packetId === 0) throw new ProtocolError('the packet id of the PUBLISH is 0');
    const message = new ReceivedMessage(this.#source, topic.name, 1, bytes, payloadStart, end);
    if (first === (0x30 | QOS1)) this.#broker.outgoing.prime(message, { bytes, from, end, idAt: topicEnd });
    this.#broker.onPublish(message);
    this.#output.writePuback(packetId);
  }

  #refusePublish(topic: string, reason: string): void {
    this.#broker.logger.warn({ clientId: this.#clientId, topic, reason }, 'Publish refused.');
  }

  #puback(bytes: Buffer, start: number, end: number): void {
    if (end - start !== 2) throw new ProtocolError('the PUBACK has not two bytes');
    this.#session?.acked(bytes.readUInt16BE(start));
  }

  /** The will is forgotten; what was acknowledged before still goes out [MQTT-3.14.4-2], [MQTT-3.14.4-3]. */
  #disconnect(): void {
    this.#will = undefined;
    this.#finish('DISCONNECT');
  }

  #publishWill(): void {
    const will = this.#will;
    this.#will = undefined;
    if (!will) return;
    // QoS 2 becomes 1: CONNECT was accepted, and a lost device can't be told anything any more.
    const qos = will.qos === 0 ? 0 : 1;
    const problem = publishTopicProblem(will.topic) ?? publishProblem(qos, will.payload.length);
    if (problem !== undefined) {
      this.#refusePublish(will.topic, problem);
      return;
    }
    const { topic, payload } = will;
    this.#broker.onPublish({ source: this.#source, topic, payload, qos });
  }
}
