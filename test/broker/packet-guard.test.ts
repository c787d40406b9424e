/** The bound on MQTT packets, on raw bytes in every cut. */
import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { generate } from 'mqtt-packet';
import { PacketGuard } from '../../greengrass/lib/packet-guard.js';
import { waitFor } from '../support/wait-for.js';

const MAX = 300;

/** The side of a socket that a test holds. */
class Wire extends Duplex {
  readonly written: Buffer[] = [];
  /** Held back: the other side does not read. */
  blocked: (() => void) | undefined;
  block = false;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(chunk);
    if (this.block) this.blocked = done;
    else done();
  }
}

interface Outcome {
  readonly passed: Buffer;
  readonly error: string | undefined;
}

/** What comes through a guard when the bytes arrive in these pieces, and then the connection ends. */
function follow(pieces: readonly Buffer[]): Promise<Outcome> {
  const wire = new Wire();
  const guard = new PacketGuard(wire, MAX);
  const passed: Buffer[] = [];
  let error: string | undefined;
  guard.on('data', (chunk: Buffer) => passed.push(chunk));
  guard.on('error', ({ message }) => {
    error = message;
  });
  for (const piece of pieces) wire.push(piece);
  wire.push(null);
  return new Promise((resolve) =>
    guard.once('close', () => resolve({ passed: Buffer.concat(passed), error })),
  );
}

/** The bytes in pieces of the given sizes, over and over. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 });
/** One packet of any type: a first byte, the remaining length as MQTT writes it, a body. */
const packet = fc
  .record({ type: fc.integer({ min: 0, max: 255 }), body: fc.uint8Array({ maxLength: MAX }) })
  .map(({ type, body }) => packetOf(type, body.length, Buffer.from(body)));
const packets = fc.array(packet, { maxLength: 8 }).map((list) => Buffer.concat(list));

function packetOf(type: number, length: number, body = Buffer.alloc(0)): Buffer {
  const header = [type];
  for (let left = length; ; ) {
    const digit = left % 128;
    left = Math.floor(left / 128);
    header.push(left > 0 ? digit | 0x80 : digit);
    if (left === 0) break;
  }
  return Buffer.concat([Buffer.from(header), body]);
}

describe('the packet guard', () => {
  it('passes packets within the bound, byte for byte, however they are cut', () =>
    fc.assert(
      fc.asyncProperty(packets, sizes, async (bytes, pieces) => {
        const { passed, error } = await follow(cut(bytes, pieces));
        expect(error).toBeUndefined();
        expect(passed.equals(bytes)).toBe(true);
      }),
      { numRuns: 300 },
    ));

  it('ends the connection at the header of a packet beyond it, wherever that is cut', () =>
    fc.assert(
      fc.asyncProperty(
        packets,
        fc.integer({ min: MAX + 1, max: 268_435_455 }),
        sizes,
        async (before, length, pieces) => {
          const { passed, error } = await follow(
            cut(Buffer.concat([before, packetOf(0x30, length), Buffer.alloc(2 * MAX)]), pieces),
          );
          expect(error).toBe(`a packet of ${length} bytes is more than the limit of ${MAX}`);
          // Nothing of its body: the parser behind never waits for it.
          expect(passed.length).toBeLessThanOrEqual(before.length + 5);
        },
      ),
      { numRuns: 300 },
    ));

  it('ends the connection at a length of five bytes', () =>
    fc.assert(
      fc.asyncProperty(packets, sizes, async (before, pieces) => {
        const bad = Buffer.from([0x10, 0x80, 0x80, 0x80, 0x80, 0x01]);
        expect((await follow(cut(Buffer.concat([before, bad]), pieces))).error).toBe(
          'malformed remaining length',
        );
      }),
      { numRuns: 50 },
    ));

  it('never fails on any bytes: they pass, or the connection ends', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), sizes, async (bytes, pieces) => {
        const { passed, error } = await follow(cut(Buffer.from(bytes), pieces));
        if (error === undefined) expect(passed.equals(Buffer.from(bytes))).toBe(true);
        else expect(error).toMatch(/limit|malformed/);
      }),
      { numRuns: 300 },
    ));

  it('agrees with the MQTT library about where packets end', async () => {
    const bytes = Buffer.concat([
      generate({ cmd: 'connect', clientId: 'lamp', protocolId: 'MQTT', protocolVersion: 4, clean: true }),
      generate({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] }),
      generate({
        cmd: 'publish',
        topic: 'a',
        payload: Buffer.alloc(MAX - 3),
        qos: 0,
        dup: false,
        retain: false,
      }),
      generate({ cmd: 'pingreq' }),
      generate({
        cmd: 'publish',
        topic: 'a',
        payload: Buffer.alloc(MAX - 2),
        qos: 0,
        dup: false,
        retain: false,
      }),
    ]);
    expect((await follow([bytes])).error).toBe(
      `a packet of ${MAX + 1} bytes is more than the limit of ${MAX}`,
    );
  });

  it('stops reading while nobody takes what came', async () => {
    const wire = new Wire();
    const guard = new PacketGuard(wire, MAX);
    const bytes = Buffer.concat(Array.from({ length: 400 }, () => packetOf(0x30, 250, Buffer.alloc(250))));
    for (const piece of cut(bytes, [1000])) wire.push(piece);
    await waitFor(() => wire.isPaused());
    expect(guard.readableLength).toBeLessThan(bytes.length / 2);
    let taken = 0;
    guard.on('data', (chunk: Buffer) => {
      taken += chunk.length;
    });
    await waitFor(() => taken === bytes.length);
    guard.destroy();
  });

  it('passes on what is written, as fast as the other side takes it', async () => {
    const wire = new Wire({ writableHighWaterMark: 10 });
    const guard = new PacketGuard(wire, MAX);
    wire.block = true;
    let written = 0;
    for (let n = 0; n < 3; n++) guard.write(Buffer.alloc(20, n), () => written++);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toBe(0);
    wire.block = false;
    wire.blocked?.();
    await waitFor(() => written === 3);
    expect(Buffer.concat(wire.written)).toEqual(Buffer.concat([0, 1, 2].map((n) => Buffer.alloc(20, n))));
    guard.destroy();
    expect(wire.destroyed).toBe(true);
  });

  it('ends with the socket, and the socket with it', async () => {
    const wire = new Wire();
    const guard = new PacketGuard(wire, MAX);
    guard.resume();
    const error = new Promise<Error>((resolve) => guard.once('error', resolve));
    wire.destroy(new Error('ECONNRESET'));
    expect((await error).message).toBe('ECONNRESET');
    expect(guard.destroyed).toBe(true);
  });
});
