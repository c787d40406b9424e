/**
 * One worker: a process, the item it holds, the time it has for it. The worker asks for work (`poll`); the host gives
 * it. What happens to it is told to the host once, through `onExit`.
 */
import crypto, { createHash, randomBytes, randomUUID } from 'node:crypto';
import type { Caller, WorkerState, WorkerStatus } from '../ipc/work-desk.js';
import type { WorkerExit, WorkerProcess } from '../isolation/worker-process.js';
import type { Invocation } from './invocation.js';
import { unhandled } from './invocation.js';
import { transition } from './worker-state.js';

export interface WorkerEvents {
  /** The worker asks for work and holds none. */
  onIdle(worker: Worker): void;
  /** The time for an item is over; the host logs it. The worker is being stopped. */
  onTimeout(worker: Worker, invocation: Invocation): void;
  /** The process has ended and nothing of it is left. */
  onExit(worker: Worker, exit: WorkerExit): void;
}

interface Poll {
  readonly resolve: (invocation: Invocation | undefined) => void;
}

export class Worker {
  readonly id = randomUUID();
  /** What the worker shows at the door. 32 random bytes. */
  readonly token = `Basic ${randomBytes(32).toString('base64')}`;
  readonly tokenHash: string;
  #startedAt = Date.now();
  #state: WorkerState = 'NotStarted';
  #process: WorkerProcess | undefined;
  #poll: Poll | undefined;
  #current: Invocation | undefined;
  #timer: NodeJS.Timeout | undefined;
  #idleSince = Date.now();
  #hasPolled = false;
  #stopping = false;
  #wasStopped = false;
  readonly #started: Promise<WorkerProcess | undefined>;
  #tellStarted: (process?: WorkerProcess) => void = () => {};

  constructor(
    readonly functionArn: string,
    private readonly timeoutMs: number,
    private readonly graceMs: number,
    private readonly events: WorkerEvents,
  ) {
    this.tokenHash = hashToken(this.token);
    this.#started = new Promise((resolve) => {
      this.#tellStarted = resolve;
    });
  }

  get caller(): Caller {
    return { workerId: this.id, functionArn: this.functionArn };
  }

  get status(): WorkerStatus {
    return {
      FuncArn: this.functionArn,
      WorkerId: this.id,
      ProcessId: String(this.#process?.pid ?? ''),
      WorkerState: this.#state,
    };
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Asks for work and holds none. */
  /** The core ended it, or has begun to: how its process ends is then no failure of the function. */
  get wasStopped(): boolean {
    return this.#wasStopped;
  }

  get isIdle(): boolean {
    return this.#poll !== undefined && !this.#stopping;
  }

  /** Has not asked for work yet. */
  get isStarting(): boolean {
    return !this.#hasPolled && !this.#stopping;
  }

  get idleSince(): number {
    return this.#idleSince;
  }

  get current(): Invocation | undefined {
    return this.#current;
  }

  /** True once it ever asked for work: its code could be loaded. */
  get hasPolled(): boolean {
    return this.#hasPolled;
  }

  get startedAt(): number {
    return this.#startedAt;
  }

  starting(): void {
    this.#startedAt = Date.now();
    this.#move('Starting');
  }

  /** The process runs. */
  attach(process: WorkerProcess): void {
    this.#process = process;
    this.#tellStarted(process);
    process.exited.then((exit) => this.#exited(exit));
  }

  /** The process could not be started at all. */
  failedToStart(): void {
    this.#tellStarted();
    this.#move('FailedInitialization');
    this.#move('Terminated');
  }

  /** Whether the worker itself holds the client's end of a loopback connection. Waits for the start to be over. */
  async holdsConnection(clientPort: number, serverPort: number): Promise<boolean> {
    return (await this.#started)?.holdsConnection(clientPort, serverPort) ?? false;
  }

  /** The worker asks for work; answers undefined where `signal` ended the wait or the worker is being stopped. */
  poll(signal: AbortSignal): Promise<Invocation | undefined> {
    // A runtime that asks anew while an older request hangs has lost the older one.
    this.#poll?.resolve(undefined);
    this.#poll = undefined;
    if (this.#stopping || signal.aborted || this.#current) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const onAbort = () => {
        if (this.#poll === poll) this.#poll = undefined;
        resolve(undefined);
      };
      // One signal may serve all requests of a worker.
      const poll: Poll = {
        resolve: (invocation) => {
          signal.removeEventListener('abort', onAbort);
          resolve(invocation);
        },
      };
      this.#poll = poll;
      signal.addEventListener('abort', onAbort, { once: true });
      this.#hasPolled = true;
      this.#idleSince = Date.now();
      if (this.#state === 'Starting' || this.#state === 'Initialized' || this.#state === 'Working')
        this.#move('Waiting');
      this.events.onIdle(this);
    });
  }

  /** Hands the item to the waiting request. The caller made sure that the worker is idle. */
  give(invocation: Invocation): void {
    const poll = this.#poll;
    if (!poll) throw new Error('the worker does not wait for work');
    this.#poll = undefined;
    this.#current = invocation;
    this.#move('Working');
    this.#timer = setTimeout(() => this.#timedOut(invocation), this.timeoutMs);
    poll.resolve(invocation);
  }

  /** Takes back an item that never reached the worker. */
  takeBack(invocationId: string): Invocation | undefined {
    return this.#release(invocationId);
  }

  /** The worker is done with the item; answers it, or undefined where it holds no such one. */
  done(invocationId: string): Invocation | undefined {
    return this.#release(invocationId);
  }

  initialized(): void {
    if (this.#state === 'Starting') this.#move('Initialized');
  }

  /** SIGTERM, SIGKILL after the grace period; resolves when nothing is left of it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wasStopped = true;
    this.#poll?.resolve(undefined);
    this.#poll = undefined;
    await this.#process?.stop(this.graceMs);
  }

  #release(invocationId: string): Invocation | undefined {
    const current = this.#current;
    if (current?.invocationId !== invocationId) return undefined;
    clearTimeout(this.#timer);
    this.#current = undefined;
    return current;
  }

  #timedOut(invocation: Invocation): void {
    if (this.#current !== invocation) return;
    this.#current = undefined;
    this.events.onTimeout(this, invocation);
    const seconds = this.timeoutMs / 1000;
    invocation.settle(
      unhandled('Timeout', `${invocation.invocationId} Task timed out after ${seconds} seconds`),
    );
    void this.stop();
  }

  #exited(exit: WorkerExit): void {
    clearTimeout(this.#timer);
    this.#stopping = true;
    const held = this.#current;
    this.#current = undefined;
    this.#poll?.resolve(undefined);
    this.#poll = undefined;
    if (!this.#hasPolled && this.#state === 'Starting') this.#move('FailedInitialization');
    this.#move('Terminated');
    held?.settle(unhandled(exit.outOfMemory ? 'OutOfMemory' : 'WorkerExited', exit.reason));
    this.events.onExit(this, exit);
  }

  #move(to: WorkerState): void {
    this.#state = transition(this.#state, to);
  }
}

/** Tokens are looked up by their digest, so that a guess learns nothing from how long the look-up takes. */
export function hashToken(token: string): string {
  // In one call a third of the time; Node.js before 20.12 has it not.
  if (typeof crypto.hash === 'function') return crypto.hash('sha256', token, 'hex');
  return createHash('sha256').update(token).digest('hex');
}
