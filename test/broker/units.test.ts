/** The parts below the sockets: cutting a stream, packets as bytes, one write in a turn. */
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { generate, parser } from 'mqtt-packet';
import { nextPacketId } from '../../greengrass/core/broker/at-least-once.js';
import { Backlog, type Reader } from '../../greengrass/core/broker/backlog.js';
import { NodeStream } from '../../greengrass/core/broker/device-stream.js';
import { Output } from '../../greengrass/core/broker/output.js';
import { PacketSplitter } from '../../greengrass/core/broker/packet-splitter.js';
import { encodePublish } from '../../greengrass/core/broker/server-packets.js';
import { TurnWriter } from '../../greengrass/core/broker/turn-writer.js';
import { waitFor } from '../support/wait-for.js';

describe('the splitter', () => {
  it('finds the same packets however the stream is cut', () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 120, maxLength: 300 }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), body), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 60 }),
        (packets, steps) => {
          const stream = Buffer.concat(
            packets.map(([first, bytes]) => {
              const { length } = bytes;
              const header = length < 128 ? [first, length] : [first, (length & 0x7f) | 0x80, length >> 7];
              return Buffer.concat([Buffer.from(header), bytes]);
            }),
          );
          const found: Array<[number, Uint8Array]> = [];
          const splitter = new PacketSplitter(
            {
              take(first, bytes, start, end, from) {
                expect(bytes[from]).toBe(first);
                found.push([first, Uint8Array.from(bytes.subarray(start, end))]);
                return true;
              },
            },
            1000,
          );
          for (let at = 0, n = 0; at < stream.length; n++) {
            const step = steps[n % steps.length] as number;
            expect(splitter.feed(Buffer.from(stream.subarray(at, at + step)))).toBeUndefined();
            at += step;
          }
          expect(found).toEqual(packets);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('stops where its taker has had enough', () => {
    let taken = 0;
    const splitter = new PacketSplitter({ take: () => ++taken < 2 }, 100);
    expect(splitter.feed(Buffer.from([0xc0, 0, 0xc0, 0, 0xc0, 0]))).toBeUndefined();
    expect(taken).toBe(2);
  });

  it('refuses a length by its header alone, also in pieces', () => {
    for (const pieces of [[[0x30, 0xff, 0x7f]], [[0x30], [0xff], [0x7f]]]) {
      const splitter = new PacketSplitter({ take: () => true }, 100);
      const answers = pieces.map((piece) => splitter.feed(Buffer.from(piece)));
      expect(answers.at(-1)).toMatch(/16383 bytes is more than the limit of 100/);
    }
  });
});

describe('a PUBLISH as bytes', () => {
  it('is what mqtt-packet makes of it', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, maxLength: 50, unit: 'grapheme' }),
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(0 as const, 1 as const),
        (topic, bytes, qos) => {
          const payload = Buffer.from(bytes);
          const { bytes: packet, idAt } = encodePublish(topic, payload, qos, qos === 1);
          if (qos === 1) packet.writeUInt16BE(4711, idAt);
          const dup = qos === 1;
          const messageId = qos === 1 ? { messageId: 4711 } : {};
          expect(packet).toEqual(
            generate({ cmd: 'publish', topic, payload, qos, dup, retain: false, ...messageId }),
          );
        },
      ),
    );
  });
});

describe('packet ids', () => {
  it('go round and leave out those in use', () => {
    expect(nextPacketId(0, new Set())).toBe(1);
    expect(nextPacketId(65_535, new Set([1, 2]))).toBe(3);
    expect(nextPacketId(7, new Set([8]))).toBe(9);
  });
});

/** A socket that keeps what is written and says so when it is told to. */
class Sink extends Duplex {
  readonly writes: Buffer[] = [];
  #done: Array<() => void> = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.writes.push(chunk);
    this.#done.push(done);
  }

  override _writev(chunks: Array<{ chunk: Buffer }>, done: () => void): void {
    this.writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk)));
    this.#done.push(done);
  }

  drain(): void {
    for (const done of this.#done.splice(0)) done();
  }
}

describe('an output', () => {
  function make(failed: string[] = []) {
    const socket = new Sink();
    const events: string[] = [];
    const stream = new NodeStream(socket);
    const output = new Output({
      stream,
      writer: new TurnWriter(() => new Set(failed)),
      source: () => 'lamp',
      onUnsettled: () => events.push('unsettled'),
      onDrained: () => events.push('drained'),
    });
    stream.listen({ received() {}, written: () => output.written(), closed() {} });
    return { socket, output, events };
  }

  it('writes once in a turn, in order, small and large together', async () => {
    const { socket, output, events } = make();
    const large = encodePublish('t', Buffer.alloc(5000, 'x'), 1);
    output.write(Buffer.from([0xd0, 0]));
    output.writePublish(large, 258);
    output.writePuback(3);
    output.writePublish(encodePublish('t', Buffer.from('small'), 1), 259);
    const bytes = output.unsentBytes;
    expect(socket.writes).toHaveLength(0);
    await waitFor(() => socket.writes.length > 0);
    // The first piece is on its way when the others come; they go out in one write behind it.
    socket.drain();
    await waitFor(() => Buffer.concat(socket.writes).length === bytes);
    socket.drain();
    await waitFor(() => events.includes('drained'));
    expect(output.unsentBytes).toBe(0);
    const packets: Array<{ cmd: string; messageId?: number | undefined }> = [];
    const reader = parser();
    reader.on('packet', ({ cmd, messageId }) => packets.push({ cmd, messageId }));
    reader.parse(Buffer.concat(socket.writes));
    expect(packets).toMatchObject([
      { cmd: 'pingresp' },
      { cmd: 'publish', messageId: 258 },
      { cmd: 'puback', messageId: 3 },
      { cmd: 'publish', messageId: 259 },
    ]);
    expect(large.bytes.readUInt16BE(large.idAt)).not.toBe(258);
  });

  it('has one write under way, and counts what waits', async () => {
    const { socket, output } = make();
    output.write(Buffer.alloc(10));
    await waitFor(() => socket.writes.length === 1);
    for (let n = 0; n < 100; n++) output.write(Buffer.alloc(1000));
    expect(output.unsentBytes).toBe(100_010);
    await new Promise((resolve) => setImmediate(resolve));
    expect(socket.writes).toHaveLength(1);
    await waitFor(() => {
      socket.drain();
      return Buffer.concat(socket.writes).length === 100_010;
    });
  });

  it('does not acknowledge what could not be made durable', async () => {
    const { socket, output, events } = make(['fan', 'lamp']);
    output.writePuback(1);
    await waitFor(() => events.includes('unsettled'));
    expect(socket.writes).toHaveLength(0);
    const other = make(['lamp']);
    other.output.write(Buffer.from([0xd0, 0]));
    await waitFor(() => other.socket.writes.length === 1);
    const third = make(['fan']);
    third.output.writePuback(1);
    await waitFor(() => third.socket.writes.length === 1);
  });
});

describe('the backlog of all devices', () => {
  const MIB = 1024 * 1024;

  function reader(): Reader & { readonly calls: string[] } {
    const calls: string[] = [];
    return { calls, pause: () => calls.push('pause'), resume: () => calls.push('resume') };
  }

  it('has publishers wait from 32 MiB on, once each, until it is less than half', () => {
    const backlog = new Backlog();
    const [one, two, gone] = [reader(), reader(), reader()];
    backlog.add(31 * MIB);
    backlog.throttle(one);
    expect([one.calls, backlog.isHigh]).toEqual([[], false]);
    backlog.add(MIB);
    for (const publisher of [one, one, two, gone]) backlog.throttle(publisher);
    expect([one.calls, backlog.isPaused(one), backlog.isHigh]).toEqual([['pause'], true, true]);
    backlog.forget(gone);
    backlog.add(-15 * MIB);
    expect(one.calls).toEqual(['pause']);
    backlog.add(-2 * MIB);
    expect([one.calls, two.calls, gone.calls]).toEqual([['pause', 'resume'], ['pause', 'resume'], ['pause']]);
    expect([backlog.isPaused(one), backlog.isHigh]).toEqual([false, false]);
  });

  it('gives each device less where there is far too much', () => {
    const backlog = new Backlog();
    expect(backlog.limit).toBe(8 * MIB);
    backlog.add(64 * MIB);
    expect(backlog.limit).toBe(MIB / 4);
    expect([backlog.isInTheWay(MIB), backlog.isInTheWay(1000)]).toEqual([true, false]);
    backlog.add(-MIB);
    expect(backlog.limit).toBe(8 * MIB);
  });
});
