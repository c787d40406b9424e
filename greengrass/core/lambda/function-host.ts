/**
 * One deployed function: its queue, and its workers. Pinned: one worker, there from the start, restarted by policy.
 * On-demand: a worker is made when work waits and none is idle, and kept for reuse.
 */
import type { Logger } from '../../lib/log.js';
import type { WorkerEngine, WorkerExit, WorkerProcess, WorkerSpec } from '../isolation/worker-process.js';
import type { FunctionLogs } from '../logs/function-logs.js';
import type { DeployedFunction } from './deployed-function.js';
import { type Invocation, unhandled } from './invocation.js';
import { pipeLogs } from './log-lines.js';
import { discard, type PreparedWorker, type PreparedWorkers, type Preparing } from './prepared-workers.js';
import { decideRestart, NO_FAILURES } from './restart-policy.js';
import type { WorkBudget } from './work-queue.js';
import { WorkQueue } from './work-queue.js';
import { Worker } from './worker.js';

/** After so many workers in a row that never asked for work, what waits fails: its code can't be loaded. */
const MAX_FAILED_STARTS = 3;
const GRACE_MS = 3_000;
/** Work in hand has so long to come to its end when the function is replaced or removed. */
const DRAIN_MS = 10_000;

/** How an execution failed, in the words of V1's telemetry. */
export type FunctionFailure =
  | 'LambdaTimeout'
  | 'LambdaOutOfMemory'
  | 'LambdaUngracefullyKilled'
  | 'LambdaError';

/** What a host needs of the daemon around it. */
export interface HostContext {
  readonly engine: WorkerEngine;
  readonly logs: FunctionLogs;
  readonly logger: Logger;
  readonly budget: WorkBudget;
  /** How the worker is started; called for each one. */
  readonly specOf: (deployed: DeployedFunction, worker: Worker) => Promise<WorkerSpec>;
  /** True where one more on-demand worker may be started now; makes room where idle ones of others are in the way. */
  readonly admit: () => boolean;
  /** How long an on-demand worker may take until it asks for work. */
  readonly startLimitMs: number;
  readonly onWorker: (host: FunctionHost, worker: Worker) => void;
  readonly prepared: PreparedWorkers;
  readonly onProcess: (worker: Worker, process: WorkerProcess) => void;
  /** Gives back what `specOf` opened for the worker. */
  readonly release: (worker: Worker) => void;
  readonly onWorkerGone: (worker: Worker) => void;
  readonly onFailure: (functionArn: string, failure: FunctionFailure) => void;
}

export class FunctionHost {
  readonly #context: HostContext;
  readonly #queue: WorkQueue;
  readonly #workers = new Set<Worker>();
  readonly #preparing: Preparing;
  /** A second one, for a function whose messages come close together. */
  readonly #spare: Preparing;
  /** It needed a worker while it had one and none stood ready. */
  #comesInBursts = false;
  readonly #starts = new Set<Promise<void>>();
  #history = NO_FAILURES;
  #failedStarts = 0;
  #restart: NodeJS.Timeout | undefined;
  /** From the start: what comes before it waits, as another host may still run the function. */
  #stopped = true;
  /** Workers that ended since the last `resetExits`, stops of ours not counted. */
  #exits = 0;

  constructor(
    readonly deployed: DeployedFunction,
    context: HostContext,
  ) {
    this.#context = context;
    this.#queue = new WorkQueue(context.budget);
    this.#preparing = { arn: deployed.arn, make: () => this.#prepare() };
    this.#spare = { ...this.#preparing };
  }

  get workers(): readonly Worker[] {
    return [...this.#workers];
  }

  get exits(): number {
    return this.#exits;
  }

  resetExits(): void {
    this.#exits = 0;
  }

  /** Starts a pinned function's worker; rejects where the process can't be started. */
  async start(): Promise<void> {
    this.#stopped = false;
    if (this.deployed.pinned && this.#workers.size === 0) await this.#startWorker();
    this.#dispatch();
    if (this.#canBePrepared && this.#workers.size === 0)
      this.#context.prepared.prepareIfRoom(this.#preparing);
  }

  /** False where the queue is full. */
  enqueue(invocation: Invocation): boolean {
    if (!this.#queue.push(invocation)) return false;
    this.#dispatch();
    return true;
  }

  /** A place for a worker may have become free. */
  wake(): void {
    this.#dispatch();
  }

  /** What waits, for the host that takes this one's place. */
  takeQueue(): Invocation[] {
    return this.#queue.drain();
  }

  /** An item that a worker was given but never got: the next one to be served. */
  undelivered(worker: Worker, invocationId: string): void {
    const item = worker.takeBack(invocationId);
    if (!item) return;
    this.#queue.unshift(item);
    this.#dispatch();
  }

  /** Stops all workers. What waits stays in the queue, for a restart or another host. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restart);
    this.#restart = undefined;
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    // One that was just being started is stopped as soon as it is there.
    await Promise.allSettled(this.#starts);
    await Promise.all([this.#preparing, this.#spare].map((each) => this.#context.prepared.drop(each)));
  }

  /** Work that was another host's comes before what came since. */
  adopt(items: readonly Invocation[]): void {
    for (const item of [...items].reverse()) this.#queue.unshift(item);
    this.#dispatch();
  }

  /** Stops all workers when the work in hand is done; what is not done in time returns to the front of the queue. */
  async drain(limitMs = DRAIN_MS): Promise<void> {
    this.#stopped = true;
    const end = Date.now() + limitMs;
    const busy = () => [...this.#workers].filter((worker) => worker.current !== undefined);
    while (busy().length > 0 && Date.now() < end) await new Promise((wake) => setTimeout(wake, 10));
    for (const worker of busy()) {
      const item = worker.current && worker.takeBack(worker.current.invocationId);
      if (item) this.#queue.unshift(item);
    }
    await this.stop();
  }

  /** Refuses what waits: the function is gone. */
  refuseQueue(): void {
    for (const item of this.#queue.drain())
      item.settle(unhandled('Stopped', 'the function was removed from the group'));
  }

  #dispatch(): void {
    if (this.#stopped) return;
    for (const worker of this.#workers) {
      if (this.#queue.length === 0) return;
      if (!worker.isIdle) continue;
      const item = this.#queue.shift();
      if (item) worker.give(item);
    }
    this.#scaleUp();
  }

  /** One worker for each item that waits, less those that are about to ask for work. */
  #scaleUp(): void {
    if (this.deployed.pinned || this.#restart) return;
    let starting = this.workers.filter((worker) => worker.isStarting).length;
    while (this.#queue.length > starting && this.#context.admit()) {
      starting += 1;
      this.#startWorker().catch(() => {
        // Logged, counted and decided in #startWorker.
      });
    }
  }

  #startWorker(): Promise<void> {
    const start = this.#start();
    this.#starts.add(start);
    start.catch(() => {}).finally(() => this.#starts.delete(start));
    return start;
  }

  async #start(): Promise<void> {
    const { logger, logs, onWorker, onProcess, prepared } = this.#context;
    const { arn } = this.deployed;
    const ready = prepared.take(this.#preparing) ?? prepared.take(this.#spare);
    if (!ready && this.#workers.size > 0) this.#comesInBursts = true;
    const worker = ready?.worker ?? this.#newWorker();
    this.#workers.add(worker);
    onWorker(this, worker);
    worker.starting();
    try {
      const process = (await this.#usable(ready)) ?? (await this.#startProcess(worker));
      pipeLogs(arn, process, logs);
      worker.attach(process);
      onProcess(worker, process);
      process.release();
      logger.info({ functionArn: arn, workerId: worker.id, pid: process.pid }, 'Created worker.');
      if (!this.deployed.pinned) this.#limitStart(worker);
      if (this.#stopped) await worker.stop();
    } catch (error) {
      logger.error(
        { functionArn: arn, workerId: worker.id, errorString: (error as Error).message },
        'Failed to start worker.',
      );
      worker.failedToStart();
      this.#gone(worker);
      this.#again(worker, `Failed to start worker: ${(error as Error).message}`);
      throw error;
    }
  }

  async #startProcess(worker: Worker): Promise<WorkerProcess> {
    const { engine, specOf } = this.#context;
    return engine.start(await specOf(this.deployed, worker));
  }

  /** A prepared process whose volumes and devices are not what they were ends, and a usual start says what is wrong. */
  async #usable(ready: PreparedWorker | undefined): Promise<WorkerProcess | undefined> {
    if (!ready?.process.given) return ready?.process;
    const { process, worker } = ready;
    let isCurrent = false;
    try {
      isCurrent = await ready.process.given.isCurrent();
    } finally {
      // Its name is the worker's, who starts again with it.
      if (!isCurrent) await discard(process);
    }
    if (isCurrent) return process;
    this.#context.logger.info(
      { functionArn: this.deployed.arn, workerId: worker.id },
      'Volumes or devices have changed since a worker was prepared; it is not used.',
    );
    return undefined;
  }

  #newWorker(): Worker {
    const { arn, timeoutMs } = this.deployed;
    const worker: Worker = new Worker(arn, timeoutMs, GRACE_MS, {
      onIdle: () => {
        this.#failedStarts = 0;
        this.#dispatch();
        // What starts now would be in the way of nobody.
        this.#prepareNext();
      },
      onTimeout: (_worker, { invoker, invocationId }) => {
        this.#context.onFailure(arn, 'LambdaTimeout');
        this.#context.logger.error(
          { invoker, invocationId, funcArn: arn, workerId: worker.id },
          'Timing out work item.',
        );
      },
      onExit: (_worker, exit) => this.#workerExited(worker, exit),
    });
    return worker;
  }

  get #canBePrepared(): boolean {
    const { pinned, isolation } = this.deployed;
    return !pinned && isolation === 'GreengrassContainer' && !this.#stopped;
  }

  /** The spare one takes no place from other functions. */
  #prepareNext(): void {
    if (!this.#canBePrepared) return;
    const { prepared } = this.#context;
    prepared.prepare(this.#preparing);
    if (this.#comesInBursts) prepared.prepareIfRoom(this.#spare);
  }

  async #prepare(): Promise<PreparedWorker> {
    const { engine, specOf, release } = this.#context;
    const worker = this.#newWorker();
    try {
      const spec = await specOf(this.deployed, worker);
      // Our runtimes wait when all but the function's own code is loaded.
      const gated: WorkerSpec = spec.hasDoor
        ? { ...spec, gate: 'program', env: { ...spec.env, _GG_GATE: '1' } }
        : { ...spec, gate: 'shell' };
      const process = await engine.start(gated);
      void process.exited.then(() => release(worker));
      return { worker, process };
    } catch (error) {
      release(worker);
      throw error;
    }
  }

  /** Pinned functions may do their work while they load and never ask for any; an on-demand one is of no use then. */
  #limitStart(worker: Worker): void {
    const { startLimitMs, logger } = this.#context;
    setTimeout(() => {
      if (!worker.isStarting || !this.#workers.has(worker)) return;
      logger.error(
        { functionArn: this.deployed.arn, workerId: worker.id },
        `Worker did not ask for work within ${startLimitMs / 1000} seconds and is stopped.`,
      );
      void worker.stop();
    }, startLimitMs).unref();
  }

  #workerExited(worker: Worker, exit: WorkerExit): void {
    const { logger, onFailure } = this.#context;
    if (exit.outOfMemory) onFailure(this.deployed.arn, 'LambdaOutOfMemory');
    else if (!this.#stopped && !worker.wasStopped && exit.code !== 0) {
      onFailure(this.deployed.arn, 'LambdaUngracefullyKilled');
    }
    const facts = {
      functionArn: this.deployed.arn,
      workerId: worker.id,
      code: exit.code,
      signal: exit.signal,
    };
    if (this.#stopped) logger.info(facts, 'Worker stopped.');
    else if (exit.outOfMemory) logger.error(facts, exit.reason);
    else if (exit.code === 0) logger.info(facts, 'Worker exited.');
    else logger.error({ ...facts, reason: exit.reason }, 'Worker exited unexpectedly.');
    this.#gone(worker);
    if (!this.#stopped) this.#again(worker, exit.reason);
  }

  #gone(worker: Worker): void {
    this.#workers.delete(worker);
    this.#context.onWorkerGone(worker);
  }

  /** A worker is gone: decide whether and when the next one comes. */
  #again(worker: Worker, reason: string): void {
    this.#exits += 1;
    if (!worker.hasPolled) this.#failedStarts += 1;
    if (this.#failedStarts >= MAX_FAILED_STARTS) {
      for (const item of this.#queue.drain()) item.settle(unhandled('WorkerExited', reason));
    }
    // An idle on-demand worker that ended on its own needs no successor until there is work.
    const isNeeded = this.deployed.pinned || worker.hasPolled === false;
    if (!isNeeded) {
      this.#dispatch();
      return;
    }
    const decision = decideRestart(this.#history, Date.now() - worker.startedAt);
    this.#history = decision.history;
    this.#context.logger.info(
      { functionArn: this.deployed.arn, delayMs: decision.delayMs, why: decision.reason },
      this.deployed.pinned ? 'Worker will be restarted.' : 'Next worker may start.',
    );
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      if (this.#stopped) return;
      if (this.deployed.pinned && this.#workers.size === 0) {
        this.#startWorker().catch(() => {
          // Logged and decided in #startWorker.
        });
      } else this.#dispatch();
    }, decision.delayMs);
  }
}
