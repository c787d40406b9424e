/** QoS 1 messages to one device: which packet ids are out, what waits for a free place. */
import type { Delivery } from '../router/endpoint.js';
import type { Message } from '../router/message.js';
import type { SlowReader } from './backlog.js';
import type { Output } from './output.js';
import { ownPublish, type PublishBytes } from './server-packets.js';

/** Most messages that a device may leave without PUBACK before the next ones wait. */
export const MAX_IN_FLIGHT = 10_000;
/** What waits is moved to the front of its list when so much of it is gone. */
const TIDY_AT = 1024;
const LAST_PACKET_ID = 65_535;

/** What a session of either kind does with QoS 1. */
export interface AtLeastOnce {
  /** False where the message had to be refused. `encoded` is called where the packet is needed now. */
  push(message: Message, encoded: () => PublishBytes, delivery: Delivery | undefined): boolean;
  acked(packetId: number): void;
  /** The device is there: what it has not acknowledged goes out again. */
  attach(output: Output): void;
  detach(): void;
  /** There is room in the output again. */
  drained(): void;
  /** Something left the output. */
  written?(): void;
  /** Publishers wait, or are about to, for this device. */
  readonly holdsUp?: boolean;
  /** Only PUBACKs of the device get it any further: their number, so far; undefined while there is something to write. */
  readonly awaitedAcks?: number | undefined;
}

/** Bytes of a packet that waits, with what it takes besides: many small ones are bounded as well. */
function sizeOf({ from, end }: PublishBytes): number {
  return end - from + 128;
}

/** The next id that `isTaken` does not know; ids go round, so that a late PUBACK does not hit a new message. */
export function nextPacketId(last: number, isTaken: { has(id: number): boolean }): number {
  let id = last;
  do id = id === LAST_PACKET_ID ? 1 : id + 1;
  while (isTaken.has(id));
  return id;
}

/** A session that ends with its connection: nothing is ever sent twice, so ids are all that is remembered. */
export class ConnectionWindow implements AtLeastOnce, SlowReader {
  readonly #inFlight = new Set<number>();
  /** From `#first` on; its bytes count as the device's share of the backlog, like those in its output. */
  #waiting: PublishBytes[] = [];
  #first = 0;
  #waitingBytes = 0;
  #lastId = 0;
  #acks = 0;
  #holdsUp = false;
  #output: Output | undefined;

  /** `onOverflow`: the device takes too little; as it asked for every message, its connection is to end. */
  constructor(private readonly onOverflow: () => void) {}

  push(_message: Message, encoded: () => PublishBytes): boolean {
    const output = this.#output;
    if (output === undefined) return false;
    const share = output.unsentBytes + this.#waitingBytes;
    if (share >= output.backlog.limit) {
      this.onOverflow();
      return false;
    }
    if (share >= output.backlog.pressingLimit) {
      this.#holdsUp = true;
      output.backlog.press(this);
    }
    const packet = encoded();
    if (this.#inFlight.size < MAX_IN_FLIGHT) this.#send(output, packet);
    else {
      this.#waiting.push(ownPublish(packet));
      this.#count(output, sizeOf(packet));
    }
    return true;
  }

  acked(packetId: number): void {
    if (!this.#inFlight.delete(packetId) || this.#waiting.length === 0 || !this.#output) return;
    this.#acks += 1;
    // Rarely needed: only for a device that left thousands unacknowledged.
    const packet = this.#waiting[this.#first++] as PublishBytes;
    if (this.#first === this.#waiting.length || this.#first >= TIDY_AT) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    this.#count(this.#output, -sizeOf(packet));
    this.#send(this.#output, packet);
    if (this.#holdsUp) this.written();
  }

  attach(output: Output): void {
    this.#output = output;
  }

  detach(): void {
    const output = this.#output;
    this.#output = undefined;
    this.#inFlight.clear();
    this.#waiting = [];
    this.#first = 0;
    if (output) this.#count(output, -this.#waitingBytes);
    this.#holdsUp = false;
    output?.backlog.relieve(this);
  }

  drained(): void {
    this.written();
  }

  written(): void {
    const output = this.#output;
    if (!this.#holdsUp || output === undefined) return;
    if ((output.unsentBytes + this.#waitingBytes) * 2 > output.backlog.pressingLimit) return;
    this.#holdsUp = false;
    output.backlog.relieve(this);
  }

  get holdsUp(): boolean {
    return this.#holdsUp;
  }

  get awaitedAcks(): number | undefined {
    return this.#waiting.length > 0 ? this.#acks : undefined;
  }

  #count(output: Output, bytes: number): void {
    this.#waitingBytes += bytes;
    output.backlog.add(bytes);
  }

  #send(output: Output, packet: PublishBytes): void {
    const id = nextPacketId(this.#lastId, this.#inFlight);
    this.#lastId = id;
    this.#inFlight.add(id);
    output.writePublish(packet, id);
  }
}
