/**
 * One connection of the workers' door: HTTP/1.1, one call after the other. A client that sends ahead waits until the call
 * before is answered, and what it sends meanwhile stays in its own socket. Node.js's http module does the same in three times
 * the processor time.
 */
import type { Socket } from 'node:net';
import { encodeAnswer } from './http-answer.js';
import { type BodyReader, bodyReader, MAX_DISCARDED_BYTES } from './http-body.js';
import { type HttpCall, tooLarge } from './http-call.js';
import { HttpFault, MAX_HEAD_BYTES, parseHead, type RequestHead } from './http-head.js';

const NOTHING = Buffer.alloc(0);
/** Sent ahead and not looked at yet; above it the socket is not read. */
const MAX_AHEAD_BYTES = 64 * 1024;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** What a connection waits for, and how long in seconds; undefined: as long as it takes. */
const PATIENCE_S = {
  /** The first request, or the next one. */
  request: 600,
  firstRequest: 75,
  /** The rest of a head, from its first byte. */
  head: 15,
  /** The next byte of a body. */
  body: 60,
  /** A route: long polls. */
  route: undefined,
  /** The client reads its answer. */
  reading: 60,
  /** The client takes note of the end. */
  end: 5,
} as const;

export interface ConnectionOptions {
  readonly handle: (call: HttpCall) => void;
  /** Seconds, rough, and without a look at the clock. */
  readonly now: () => number;
}

export class HttpConnection {
  #rest: Buffer = NOTHING;
  #call: Call | undefined;
  #isAdvancing = false;
  #waitsFor: keyof typeof PATIENCE_S = 'firstRequest';
  #since: number;
  #gone: AbortController | undefined;

  constructor(
    readonly socket: Socket,
    private readonly options: ConnectionOptions,
  ) {
    this.#since = options.now();
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    // A client may be gone at any time.
    socket.on('error', () => socket.destroy());
    socket.on('end', () => this.#lost());
    socket.on('close', () => this.#lost());
  }

  /** No call is in progress: nobody loses anything but the time to connect. */
  get isIdle(): boolean {
    return this.#call === undefined;
  }

  /** Ends the connection where its time is over. */
  sweep(): void {
    const patience = PATIENCE_S[this.#waitsFor];
    if (patience === undefined || this.options.now() - this.#since < patience) return;
    if (this.#waitsFor === 'head') this.#fault(new HttpFault(408, 'the request took too long'));
    else this.socket.destroy();
  }

  get gone(): AbortSignal {
    this.#gone ??= new AbortController();
    if (this.socket.destroyed || this.socket.readableEnded) this.#gone.abort();
    return this.#gone.signal;
  }

  /** For the call: its body is wanted. */
  wantBody(): void {
    this.wait('body');
    if (this.socket.isPaused()) this.socket.resume();
    this.#advance();
  }

  /** For the call: takes what is there of a body that nobody wanted; false where that is not all of it. */
  skipBody(body: BodyReader): boolean {
    try {
      const after = body.push(this.#rest);
      if (after === undefined) return false;
      this.#rest = after;
      return true;
    } catch {
      return false;
    }
  }

  /** For the call: it is answered, and the client has read it. */
  done(isLast: boolean): void {
    this.#call = undefined;
    if (isLast) {
      this.#end();
      return;
    }
    this.wait('request');
    if (this.socket.isPaused()) this.socket.resume();
    this.#advance();
  }

  wait(what: keyof typeof PATIENCE_S): void {
    this.#waitsFor = what;
    this.#since = this.options.now();
  }

  #take(chunk: Buffer): void {
    if (this.#waitsFor === 'end') return;
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#advance();
  }

  /** Goes on with what is there. Routes answer while they are called: a loop, no recursion. */
  #advance(): void {
    if (this.#isAdvancing) return;
    this.#isAdvancing = true;
    try {
      while (this.#rest.length > 0 && this.#step());
    } catch (error) {
      this.#fault(error as HttpFault);
    } finally {
      this.#isAdvancing = false;
    }
    if (this.#rest.length > MAX_AHEAD_BYTES && this.#call) this.socket.pause();
  }

  /** True where there may be more to do. */
  #step(): boolean {
    if (this.#call) return this.#readBody(this.#call);
    if (this.#waitsFor === 'end') {
      this.#rest = NOTHING;
      return false;
    }
    if (this.#waitsFor !== 'head') this.wait('head');
    const end = this.#rest.indexOf(END_OF_HEAD);
    if ((end < 0 ? this.#rest.length : end) > MAX_HEAD_BYTES) {
      throw new HttpFault(431, `the head of the request is larger than ${MAX_HEAD_BYTES} bytes`);
    }
    if (end < 0) return false;
    const head = parseHead(this.#rest.toString('latin1', 0, end));
    this.#rest = this.#rest.subarray(end + 4);
    this.wait('route');
    const call = new Call(this, head);
    this.#call = call;
    this.options.handle(call);
    return true;
  }

  #readBody(call: Call): boolean {
    const body = call.wantedBody;
    if (!body) return false;
    if (this.#waitsFor === 'body') this.#since = this.options.now();
    const bytes = this.#rest;
    this.#rest = NOTHING;
    try {
      const after = body.push(bytes);
      if (after !== undefined) {
        this.#rest = after;
        this.wait('route');
        call.bodyIsRead();
        return true;
      }
      if (body.payload.isBeyondPatience) call.bodyFailed(tooLarge());
    } catch (error) {
      call.bodyFailed(error as HttpFault);
    }
    return false;
  }

  /** No route can answer what is no request. */
  #fault({ status, message }: HttpFault): void {
    if (this.socket.writable) {
      const headers = { 'Content-Type': 'application/json' };
      this.socket.write(encodeAnswer(status, headers, JSON.stringify({ message }), true));
    }
    this.#end();
  }

  /** The client may still write, and would never read why it was refused if its connection broke. */
  #end(): void {
    this.#rest = NOTHING;
    this.wait('end');
    if (this.socket.isPaused()) this.socket.resume();
    this.socket.end();
  }

  #lost(): void {
    this.#rest = NOTHING;
    this.#call?.bodyFailed(new Error('the request was broken off'));
    this.#gone?.abort();
  }
}

class Call implements HttpCall {
  #body: BodyReader | undefined;
  #resolve: ((payload: Buffer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #isAnswered = false;

  constructor(
    private readonly connection: HttpConnection,
    private readonly head: RequestHead,
  ) {
    if (head.length !== 0) this.#body = bodyReader(head.length);
  }

  get method(): string {
    return this.head.method;
  }

  get path(): string {
    return this.head.path;
  }

  get ports(): { client: number; server: number } {
    const { remotePort = 0, localPort = 0 } = this.connection.socket;
    return { client: remotePort, server: localPort };
  }

  header(name: string): string {
    return this.head.headers.get(name) ?? '';
  }

  get gone(): AbortSignal {
    return this.connection.gone;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  payload(): Promise<Buffer> {
    if (!this.#body) return Promise.resolve(NOTHING);
    if ((this.head.length ?? 0) > MAX_DISCARDED_BYTES) return Promise.reject(tooLarge());
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.connection.socket.destroyed) this.bodyFailed(new Error('the request was broken off'));
      if (this.head.expectsContinue && this.connection.socket.writable)
        this.connection.socket.write(CONTINUE);
      this.connection.wantBody();
    });
  }

  /** The body, where a route waits for it. */
  get wantedBody(): BodyReader | undefined {
    return this.#resolve && this.#body;
  }

  bodyIsRead(): void {
    const payload = this.#body?.payload;
    this.#body = undefined;
    if (!payload) return;
    if (payload.isTooLarge) this.#reject?.(tooLarge());
    else this.#resolve?.(payload.bytes());
  }

  /** The body stays unread: the connection ends with the answer. */
  bodyFailed(error: Error): void {
    this.#reject?.(error);
    this.#resolve = undefined;
    this.#reject = undefined;
  }

  answer(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: Buffer | string = '',
  ): Promise<boolean> {
    const { connection, head } = this;
    const { socket } = connection;
    if (this.#isAnswered) throw new Error('a call is answered once');
    this.#isAnswered = true;
    if (!socket.writable) {
      socket.destroy();
      return Promise.resolve(false);
    }
    const isLast = head.isLast || (this.#body !== undefined && !connection.skipBody(this.#body));
    this.#body = undefined;
    connection.wait('reading');
    return new Promise((resolve) => {
      socket.write(encodeAnswer(status, headers, body, isLast), (error) => {
        resolve(!error);
        connection.done(isLast);
      });
    });
  }

  breakOff(): void {
    this.connection.socket.destroy();
  }
}
