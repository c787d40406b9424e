/**
 * The door of one worker whose runtime is ours: frames over a socket pair that the worker inherited. Nobody else holds
 * its other end, so that it needs no token. It says what the HTTP door says; a result asks for the next item as well.
 */
import type { Duplex } from 'node:stream';
import type { Logger } from '../../lib/log.js';
import { encodeFrame, FROM_CORE, FROM_WORKER, type Frame, FrameReader } from './frames.js';
import { resultTooLarge } from './http-call.js';
import { contextProblem } from './work-api.js';
import type { Caller, PostOutcome, WorkDesk } from './work-desk.js';

/** Flags of a result. */
const HANDLED = 1;
const TOO_LARGE = 2;
/** Flag of a post that nobody waits for. */
const EVENT = 1;

type Desk = Pick<WorkDesk, 'nextWork' | 'undelivered' | 'complete' | 'post' | 'result'>;

export class FrameDoor {
  readonly #gone = new AbortController();
  #replies: Buffer[] = [];

  /** Serves until the stream ends. */
  constructor(
    private readonly stream: Duplex,
    private readonly caller: Caller,
    private readonly desk: Desk,
    logger: Logger,
  ) {
    const reader = new FrameReader();
    stream.on('data', (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) this.#handle(frame);
      } catch (error) {
        const reason = (error as Error).message;
        logger.error(
          { functionArn: caller.functionArn, workerId: caller.workerId, reason },
          'IPC was broken off.',
        );
        stream.destroy();
      }
    });
    // A worker may end at any time.
    stream.on('error', () => stream.destroy());
    stream.on('end', () => stream.destroy());
    stream.on('close', () => this.#gone.abort());
  }

  close(): void {
    this.stream.destroy();
  }

  #handle(frame: Frame): void {
    if (frame.kind === FROM_WORKER.next) void this.#next();
    else if (frame.kind === FROM_WORKER.result) this.#complete(frame);
    else if (frame.kind === FROM_WORKER.post) this.#post(frame);
    else if (frame.kind === FROM_WORKER.getResult) void this.#result(frame);
    else throw new Error(`a frame of kind ${frame.kind}, which there is not`);
  }

  async #next(): Promise<void> {
    const item = await this.desk.nextWork(this.caller, this.#gone.signal);
    if (!item) return;
    const { invocationId, clientContext, payload } = item;
    const isSent = this.#send({ kind: FROM_CORE.work, a: invocationId, b: clientContext, payload });
    if (!isSent) this.desk.undelivered(this.caller, invocationId);
  }

  #complete({ flag, a: invocationId, payload }: Frame): void {
    // An item that timed out meanwhile is nobody's any more.
    this.desk.complete(
      this.caller,
      invocationId,
      flag === TOO_LARGE ? resultTooLarge() : { functionError: flag === HANDLED ? 'Handled' : '', payload },
    );
    void this.#next();
  }

  #post({ flag, sequence, a: arn, b: context, payload }: Frame): void {
    const type = flag === EVENT ? 'Event' : 'RequestResponse';
    const problem = contextProblem(context);
    const outcome: PostOutcome | Promise<PostOutcome> =
      problem === undefined
        ? this.desk.post(this.caller, arn, type, context, payload)
        : { kind: 'malformed', reason: problem };
    if (outcome instanceof Promise)
      outcome.then(
        (known) => this.#posted(sequence, arn, known),
        () => this.#refuse(sequence, 500, 'internal error'),
      );
    else this.#posted(sequence, arn, outcome);
  }

  #posted(sequence: number, arn: string, outcome: PostOutcome): void {
    if (outcome.kind === 'accepted') this.#reply({ flag: 200, sequence, a: outcome.invocationId });
    else if (outcome.kind === 'malformed') this.#refuse(sequence, 400, outcome.reason);
    else if (outcome.kind === 'unknownFunction')
      this.#refuse(sequence, 404, `there is no function ${arn} in the group`);
    else this.#refuse(sequence, 429, 'the work queue is full');
  }

  async #result({ sequence, a: invocationId }: Frame): Promise<void> {
    const pending = this.desk.result(this.caller, invocationId);
    if (!pending) {
      this.#refuse(sequence, 404, `this worker posted no work item ${invocationId}`);
      return;
    }
    const { functionError, payload } = await pending;
    this.#reply({ flag: 200, sequence, a: functionError, payload });
  }

  #refuse(sequence: number, status: number, reason: string): void {
    this.#reply({ flag: status, sequence, b: reason });
  }

  /**
   * At the end of the turn, behind what it sends to devices: the worker would wake up and take the processor that has their
   * messages to carry.
   */
  #reply(frame: Omit<Parameters<typeof encodeFrame>[0], 'kind'>): void {
    this.#replies.push(encodeFrame({ kind: FROM_CORE.reply, ...frame }));
    if (this.#replies.length > 1) return;
    setImmediate(() => {
      const bytes = this.#replies.length === 1 ? (this.#replies[0] as Buffer) : Buffer.concat(this.#replies);
      this.#replies = [];
      if (this.stream.writable) this.stream.write(bytes);
    });
  }

  /** False where nobody is there any more. */
  #send(frame: Parameters<typeof encodeFrame>[0]): boolean {
    if (this.stream.destroyed || !this.stream.writable) return false;
    this.stream.write(encodeFrame(frame));
    return true;
  }
}
