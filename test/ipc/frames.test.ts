/** Frames: the codec, and what a worker can do with its own door. */
import { randomUUID } from 'node:crypto';
import { connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { FrameDoor } from '../../greengrass/core/ipc/frame-door.js';
import { encodeFrame, type Frame, FrameReader, MAX_FRAME_BYTES } from '../../greengrass/core/ipc/frames.js';
import type { WorkDesk, WorkItem, WorkResult } from '../../greengrass/core/ipc/work-desk.js';
import { createLogger } from '../../greengrass/lib/log.js';
import { waitFor } from '../support/wait-for.js';

const frame = fc.record({
  kind: fc.integer({ min: 0, max: 255 }),
  flag: fc.integer({ min: 0, max: 65535 }),
  sequence: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  a: fc.string({ unit: 'grapheme', maxLength: 50 }),
  b: fc.string({ unit: 'grapheme', maxLength: 50 }),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

describe('frames', () => {
  it('come out as they went in, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.integer({ min: 1, max: 64 }), (frames, size) => {
        const bytes = Buffer.concat(frames.map((one) => encodeFrame(one)));
        const reader = new FrameReader();
        const out: Frame[] = [];
        for (let at = 0; at < bytes.length; at += size)
          out.push(...reader.push(bytes.subarray(at, at + size)));
        expect(out).toEqual(frames);
      }),
    );
  });

  it.each([
    ['a size below that of a head', Buffer.from([0, 0, 0, 1, ...Buffer.alloc(20)])],
    ['a size above the limit', Buffer.from([0xff, 0xff, 0xff, 0xff, ...Buffer.alloc(20)])],
    [
      'texts that are longer than the frame',
      Buffer.from([0, 0, 0, 14, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0]),
    ],
  ])('are none with %s', (_what, bytes) => {
    expect(() => [...new FrameReader().push(bytes)]).toThrow(/a frame/);
  });

  it('of any bytes at all give frames or an error, never more memory than one frame', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        const reader = new FrameReader();
        try {
          for (const one of reader.push(Buffer.from(bytes)))
            expect(one.payload.length).toBeLessThan(MAX_FRAME_BYTES);
        } catch (error) {
          expect((error as Error).message).toMatch(/^a frame/);
        }
      }),
    );
  });
});

/** A desk that remembers: one item after the other, all for one worker. */
class Desk implements Pick<WorkDesk, 'nextWork' | 'undelivered' | 'complete' | 'post' | 'result'> {
  readonly items: WorkItem[] = [];
  readonly results: Array<WorkResult & { id: string }> = [];
  readonly back: string[] = [];
  #wake: Array<() => void> = [];

  give(item: WorkItem): void {
    this.items.push(item);
    for (const wake of this.#wake.splice(0)) wake();
  }
  async nextWork(_caller: unknown, signal: AbortSignal): Promise<WorkItem | undefined> {
    while (this.items.length === 0 && !signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    return signal.aborted ? undefined : this.items.shift();
  }
  undelivered(_caller: unknown, id: string): void {
    this.back.push(id);
  }
  complete(_caller: unknown, id: string, result: WorkResult): boolean {
    this.results.push({ id, ...result });
    return true;
  }
  post: WorkDesk['post'] = (_caller, arn) =>
    arn === 'full'
      ? { kind: 'queueFull' }
      : arn === 'nobody'
        ? { kind: 'unknownFunction' }
        : { kind: 'accepted', invocationId: 'posted' };
  result(_caller: unknown, id: string): Promise<WorkResult> | undefined {
    return id === 'posted'
      ? Promise.resolve({ functionError: 'Handled', payload: Buffer.from('no') })
      : undefined;
  }
}

describe("a worker's own door", () => {
  const lines: string[] = [];
  let desk: Desk;
  let worker: Socket;
  let frames: Frame[];
  let close: () => void;

  beforeEach(async () => {
    desk = new Desk();
    frames = [];
    lines.length = 0;
    const logger = createLogger({ level: 'debug', stream: { write: (text: string) => lines.push(text) } });
    const server = createServer((socket) => {
      new FrameDoor(socket, { workerId: 'w', functionArn: 'arn' }, desk, logger);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    worker = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1');
    const reader = new FrameReader();
    worker.on('data', (chunk: Buffer) => frames.push(...reader.push(chunk)));
    worker.on('error', () => {});
    close = () => {
      worker.destroy();
      server.close();
    };
  });
  afterEach(() => close());

  const item = (payload = 'x'): WorkItem => ({
    invocationId: randomUUID(),
    clientContext: 'e30=',
    payload: Buffer.from(payload),
  });
  const send = (...list: Array<Parameters<typeof encodeFrame>[0]>) => {
    for (const one of list) worker.write(encodeFrame(one));
  };
  const got = (count: number) => waitFor(() => (frames.length === count ? frames : undefined));

  it('gives work, takes its result and gives the next with it', async () => {
    send({ kind: 1 });
    const [first, second] = [item('one'), item('two')];
    desk.give(first);
    expect(await got(1)).toMatchObject([
      { kind: 1, a: first.invocationId, b: 'e30=', payload: Buffer.from('one') },
    ]);
    desk.give(second);
    send({ kind: 2, a: first.invocationId, payload: Buffer.from('done') });
    expect((await got(2))[1]).toMatchObject({ kind: 1, a: second.invocationId });
    send({ kind: 2, flag: 1, a: second.invocationId, payload: Buffer.from('{}') });
    await waitFor(() => desk.results.length === 2);
    expect(desk.results).toEqual([
      { id: first.invocationId, functionError: '', payload: Buffer.from('done') },
      { id: second.invocationId, functionError: 'Handled', payload: Buffer.from('{}') },
    ]);
  });

  it('a result that was too large is told to who asked', async () => {
    send({ kind: 2, flag: 2, a: 'id' });
    await waitFor(() => desk.results.length === 1);
    expect(desk.results[0]).toMatchObject({ functionError: 'Unhandled' });
    expect(String(desk.results[0]?.payload)).toMatch(/Response payload size exceeded/);
  });

  it('answers posts and results under their numbers, refusals with a status', async () => {
    send(
      { kind: 3, sequence: 7, a: 'arn', b: 'e30=' },
      { kind: 3, sequence: 8, a: 'nobody' },
      { kind: 3, sequence: 9, a: 'full' },
      { kind: 3, sequence: 10, a: 'arn', b: '{"no":"base64"}' },
      { kind: 4, sequence: 11, a: 'posted' },
      { kind: 4, sequence: 12, a: 'stranger' },
    );
    const replies = (await got(6)).map(({ kind, flag, sequence, a, payload }) => [
      kind,
      sequence,
      flag,
      a,
      payload.toString(),
    ]);
    expect(replies.toSorted((x, y) => Number(x[1]) - Number(y[1]))).toEqual([
      [2, 7, 200, 'posted', ''],
      [2, 8, 404, '', ''],
      [2, 9, 429, '', ''],
      [2, 10, 400, '', ''],
      [2, 11, 200, 'Handled', 'no'],
      [2, 12, 404, '', ''],
    ]);
  });

  it.each([
    ['a kind that there is not', encodeFrame({ kind: 99 })],
    ['bytes that are no frames', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
  ])('breaks off with %s, and says so', async (_what, bytes) => {
    worker.write(bytes);
    await waitFor(() => worker.closed || worker.destroyed || worker.readableEnded);
    expect(lines.join()).toMatch(/IPC was broken off/);
  });

  it('stops waiting for work when the worker is gone', async () => {
    send({ kind: 1 });
    send({ kind: 3, sequence: 1, a: 'arn' });
    await got(1);
    const gone = new Promise((resolve) => worker.once('close', resolve));
    worker.destroy();
    await gone;
    desk.give(item());
    await waitFor(() => desk.items.length === 1 || desk.back.length === 1);
  });
});
