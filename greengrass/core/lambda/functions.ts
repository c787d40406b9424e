/**
 * All functions of the group, and the desk behind the workers' door. Deployments come in two steps: `prepare` finds
 * everything that can be wrong and touches nothing, `apply` changes only what differs and knows the way back.
 */
import { isDeepStrictEqual } from 'node:util';
import { atOnce } from '../../lib/at-once.js';
import type { Logger } from '../../lib/log.js';
import { isSystemFunctionArn, parseFunctionArn } from '../../model/arn.js';
import type { Component, Health } from '../component.js';
import { DeploymentError } from '../errors.js';
import type {
  Caller,
  InvocationType,
  PostOutcome,
  WorkDesk,
  WorkerStatus,
  WorkItem,
  WorkResult,
} from '../ipc/work-desk.js';
import type { WorkerEngine } from '../isolation/worker-process.js';
import type { FunctionLogs } from '../logs/function-logs.js';
import type { Endpoint } from '../router/endpoint.js';
import type { DeployedFunction } from './deployed-function.js';
import { FunctionEndpoint } from './function-endpoint.js';
import { type FunctionFailure, FunctionHost, type HostContext } from './function-host.js';
import { createInvocation } from './invocation.js';
import { PostedResults } from './posted-results.js';
import { PreparedWorkers } from './prepared-workers.js';
import { type InterpreterMap, type RuntimeCommand, runtimeCommand } from './runtime-command.js';
import { SystemInvocations } from './system-invocations.js';
import type { SystemServices } from './system-services.js';
import { WorkBudget } from './work-queue.js';
import { hashToken, type Worker } from './worker.js';
import type { CoreFacts } from './worker-environment.js';
import { WorkerSpecs } from './worker-specs.js';

/** On-demand workers that nobody needed for so long give their memory back (V1 was seen to reuse one after 30 s). */
const IDLE_MS = 60_000;
/** Pinned functions of a new group that are started together. */
const STARTS_AT_ONCE = 4;
/** Slow devices load large functions slowly; what takes longer than this never comes. */
const START_LIMIT_MS = 60_000;

export interface FunctionsOptions {
  readonly engine: WorkerEngine;
  readonly logs: FunctionLogs;
  readonly logger: Logger;
  readonly services: SystemServices;
  readonly facts: CoreFacts;
  readonly maxWorkItemCount: number;
  readonly maxConcurrentLimit: number;
  readonly lruSize: number;
  /** How many containers stand ready for on-demand functions; none where it is not given. */
  readonly preparedWorkers?: number;
  /** Port of the IPC server, known once it listens. */
  readonly ipcPort: () => number;
  /** Which interpreter serves which runtime name, where the operator said so. */
  readonly interpreters?: InterpreterMap;
  /** Folder that holds `python/`, `nodejs/`, … */
  readonly runtimesFolder: string;
  /** Told of each execution that failed, whoever's fault it was. */
  readonly onFailure?: (functionArn: string, failure: FunctionFailure) => void;
  /** For tests: our runtimes speak HTTP like everybody else's. */
  readonly withoutFrames?: boolean;
  /** For tests: how long an on-demand worker may be idle. */
  readonly idleMs?: number;
  /** For tests: how long an on-demand worker may take until it asks for work. */
  readonly startLimitMs?: number;
}

export interface FunctionPlan {
  readonly functions: readonly DeployedFunction[];
  readonly commands: ReadonlyMap<string, RuntimeCommand>;
  readonly kept: readonly string[];
}

export interface AppliedPlan {
  /** Pinned functions of the plan whose worker ended since. */
  unhealthy(): string[];
  /** Stops what the plan no longer has. */
  commit(): Promise<void>;
  /** Puts back what ran before. */
  rollback(): Promise<void>;
}

export class Functions implements Component, WorkDesk {
  readonly name = 'runtime';
  /** Where the router delivers messages for functions. */
  readonly endpoint: Endpoint;
  readonly #options: FunctionsOptions;
  readonly #budget: WorkBudget;
  readonly #idByToken = new Map<string, string>();
  readonly #workers = new Map<string, { worker: Worker; host: FunctionHost }>();
  readonly #results = new PostedResults();
  readonly #system: SystemInvocations;
  readonly #specs: WorkerSpecs;
  readonly #prepared: PreparedWorkers;
  #hosts = new Map<string, FunctionHost>();
  #commands = new Map<string, RuntimeCommand>();
  #reaper: NodeJS.Timeout | undefined;

  constructor(options: FunctionsOptions) {
    this.#options = options;
    this.#budget = new WorkBudget(options.maxWorkItemCount);
    this.#system = new SystemInvocations(options.services, this.#results);
    this.#specs = new WorkerSpecs({ ...options, desk: this });
    this.#prepared = new PreparedWorkers({ limit: options.preparedWorkers ?? 0, logger: options.logger });
    this.endpoint = new FunctionEndpoint((arn) => this.#hosts.get(arn), this.#budget);
  }

  async start(): Promise<void> {
    const idleMs = this.#options.idleMs ?? IDLE_MS;
    this.#reaper ??= setInterval(() => this.#reap(idleMs), Math.max(50, idleMs / 4)).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#reaper);
    this.#reaper = undefined;
    const hosts = [...this.#hosts.values()];
    this.#hosts = new Map();
    await Promise.all(hosts.map((host) => host.stop()));
    for (const host of hosts) host.refuseQueue();
  }

  health(): Health {
    return { healthy: true };
  }

  /** Everything that can be known to go wrong goes wrong here. Throws DeploymentError. */
  async prepare(functions: readonly DeployedFunction[]): Promise<FunctionPlan> {
    const { runtimesFolder, interpreters } = this.#options;
    const commands = new Map<string, RuntimeCommand>();
    for (const deployed of functions) {
      const command = runtimeCommand(deployed, runtimesFolder, interpreters);
      if (command.warning) this.#options.logger.warn({ functionArn: deployed.arn }, command.warning);
      commands.set(deployed.arn, command);
    }
    const kept = functions
      .filter((deployed) => isDeepStrictEqual(this.#hosts.get(deployed.arn)?.deployed, deployed))
      .map(({ arn }) => arn);
    return { functions, commands, kept };
  }

  /**
   * Kept functions keep their processes. Changed ones, and older versions of a new one, stop before their successor
   * starts: two of them would fight over ports and files. What was removed stops with `commit`. Rejects with
   * DeploymentError and everything put back where a pinned function can't be started.
   */
  async apply(plan: FunctionPlan): Promise<AppliedPlan> {
    const before = this.#hosts;
    const kept = new Set(plan.kept);
    const next = new Map<string, FunctionHost>();
    for (const deployed of plan.functions) {
      const old = kept.has(deployed.arn) ? before.get(deployed.arn) : undefined;
      next.set(deployed.arn, old ?? new FunctionHost(deployed, this.#context()));
    }
    const successors = new Set([...next.keys()].filter((arn) => !kept.has(arn)).map(nameOf));
    const replaced = [...before.values()].filter(
      (host) => next.get(host.deployed.arn) !== host && successors.has(nameOf(host.deployed.arn)),
    );
    const oldCommands = this.#commands;
    this.#commands = new Map([...oldCommands, ...plan.commands]);
    this.#hosts = next;
    const fresh = [...next.values()].filter((host) => before.get(host.deployed.arn) !== host);
    const rollback = async () => {
      this.#hosts = before;
      await Promise.all(fresh.map((host) => host.drain()));
      for (const host of fresh) this.#moveQueue(host, peer(host, before));
      this.#commands = oldCommands;
      await Promise.all(replaced.map((host) => host.start()));
    };
    await Promise.all(replaced.map((host) => host.drain()));
    for (const host of replaced) this.#moveQueue(host, peer(host, next));
    try {
      await atOnce(fresh, STARTS_AT_ONCE, (host) => host.start());
    } catch (error) {
      // A function of the old group that does not start is logged, and started again by its policy.
      await rollback().catch(() => undefined);
      throw new DeploymentError('WorkerStartFailed', `process start failed: ${(error as Error).message}`, {
        cause: error,
      });
    }
    for (const host of next.values()) host.resetExits();
    return {
      unhealthy: () =>
        [...next.values()]
          .filter((host) => host.deployed.pinned && host.exits > 0)
          .map((host) => host.deployed.arn),
      commit: async () => {
        const removed = [...before.values()].filter((host) => next.get(host.deployed.arn) !== host);
        await Promise.all(removed.map((host) => host.drain()));
        for (const host of removed) host.refuseQueue();
        for (const arn of this.#commands.keys()) if (!next.has(arn)) this.#commands.delete(arn);
      },
      rollback,
    };
  }

  // --- WorkDesk ---

  identify(token: string): Caller | undefined {
    return this.#workers.get(this.#idByToken.get(hashToken(token)) ?? '')?.worker.caller;
  }

  post(
    caller: Caller,
    targetArn: string,
    type: InvocationType,
    clientContext: string,
    payload: Buffer,
  ): PostOutcome | Promise<PostOutcome> {
    if (isSystemFunctionArn(targetArn))
      return this.#system.post(caller, targetArn, type, clientContext, payload);
    const host = this.#findHost(targetArn);
    if (!host) return { kind: 'unknownFunction' };
    const pending = type === 'RequestResponse' ? this.#results.expect(caller) : undefined;
    const invocation = createInvocation(
      { type, clientContext, payload, invoker: caller.functionArn },
      pending?.settle,
    );
    pending?.register(invocation.invocationId);
    if (!host.enqueue(invocation)) {
      this.#results.forget(invocation.invocationId);
      return { kind: 'queueFull' };
    }
    return { kind: 'accepted', invocationId: invocation.invocationId };
  }

  async nextWork(caller: Caller, signal: AbortSignal): Promise<WorkItem | undefined> {
    return this.#workerOf(caller)?.worker.poll(signal);
  }

  undelivered(caller: Caller, invocationId: string): void {
    const found = this.#workerOf(caller);
    found?.host.undelivered(found.worker, invocationId);
  }

  complete(caller: Caller, invocationId: string, result: WorkResult): boolean {
    const invocation = this.#workerOf(caller)?.worker.done(invocationId);
    invocation?.settle(result);
    if (result.functionError !== '') this.#options.onFailure?.(caller.functionArn, 'LambdaError');
    return invocation !== undefined;
  }

  result(caller: Caller, invocationId: string): Promise<WorkResult> | undefined {
    return this.#results.claim(caller, invocationId);
  }

  initialized(caller: Caller, success: boolean, message: string): void {
    const { logger } = this.#options;
    if (success) {
      this.#workerOf(caller)?.worker.initialized();
      return;
    }
    logger.error({ ...caller, reason: message }, `worker with ${caller.workerId} failed to initialize`);
  }

  workers(): WorkerStatus[] {
    return [...this.#hosts.values()].flatMap((host) => host.workers.map((worker) => worker.status));
  }

  /** Containers that stand ready for on-demand functions. */
  get prepared(): number {
    return this.#prepared.count;
  }

  /** Work that waits for a worker, all functions together. */
  get waiting(): number {
    return this.#budget.used;
  }

  // --- the rest ---

  /** By the exact ARN; without a version, or with an alias, where one version of the function is in the group. */
  #findHost(targetArn: string): FunctionHost | undefined {
    const exact = this.#hosts.get(targetArn);
    if (exact) return exact;
    const wanted = parseFunctionArn(targetArn);
    if (!wanted || /^\d+$/.test(wanted.qualifier ?? '')) return undefined;
    const name = nameOf(targetArn);
    const versions = [...this.#hosts.values()].filter((host) => nameOf(host.deployed.arn) === name);
    return versions.length === 1 ? versions[0] : undefined;
  }

  #workerOf({ workerId }: Caller): { worker: Worker; host: FunctionHost } | undefined {
    return this.#workers.get(workerId);
  }

  #moveQueue(from: FunctionHost, to: FunctionHost | undefined): void {
    if (!to) return;
    to.adopt(from.takeQueue());
  }

  #context(): HostContext {
    const { engine, logs, logger } = this.#options;
    return {
      engine,
      logs,
      logger,
      budget: this.#budget,
      specOf: (deployed, worker) =>
        this.#specs.of(deployed, this.#commands.get(deployed.arn) ?? { argv: [] }, worker),
      prepared: this.#prepared,
      release: (worker) => this.#specs.release(worker),
      onProcess: (worker, process) => this.#specs.attach(worker, process),
      admit: () => this.#admit(),
      startLimitMs: this.#options.startLimitMs ?? START_LIMIT_MS,
      onFailure: (arn, failure) => this.#options.onFailure?.(arn, failure),
      onWorker: (host, worker) => {
        this.#idByToken.set(worker.tokenHash, worker.id);
        this.#workers.set(worker.id, { worker, host });
      },
      onWorkerGone: (worker) => {
        this.#specs.release(worker);
        this.#idByToken.delete(worker.tokenHash);
        this.#workers.delete(worker.id);
        this.#results.forgetCaller(worker.id);
        // A place became free: whoever waits for one tries again.
        setImmediate(() => this.#wakeAll());
      },
    };
  }

  /** V1's maxConcurrentLimit: room is made by the on-demand worker that was idle longest. */
  #admit(): boolean {
    const onDemand = [...this.#hosts.values()].filter((host) => !host.deployed.pinned);
    const running = onDemand.reduce((sum, host) => sum + host.workers.length, 0);
    if (running < this.#options.maxConcurrentLimit) return true;
    const oldest = this.#idleWorkers()[0];
    if (oldest) void oldest.stop();
    return false;
  }

  #wakeAll(): void {
    for (const host of this.#hosts.values()) host.wake();
  }

  /** Idle on-demand workers, longest idle first. */
  #idleWorkers(): Worker[] {
    return [...this.#hosts.values()]
      .filter((host) => !host.deployed.pinned)
      .flatMap((host) => host.workers.filter((worker) => worker.isIdle))
      .sort((a, b) => a.idleSince - b.idleSince);
  }

  /** Stops workers that were idle too long, and those beyond V1's lruSize. */
  #reap(idleMs: number): void {
    const idle = this.#idleWorkers();
    const surplus = Math.max(0, idle.length - this.#options.lruSize);
    const now = Date.now();
    for (const [index, worker] of idle.entries()) {
      if (index < surplus || now - worker.idleSince > idleMs) void worker.stop();
    }
  }
}

/** Who goes on with a host's work: the same ARN, else the only version of the function that is there. */
function peer(host: FunctionHost, hosts: ReadonlyMap<string, FunctionHost>): FunctionHost | undefined {
  const same = hosts.get(host.deployed.arn);
  if (same) return same;
  const versions = [...hosts.values()].filter(
    ({ deployed }) => nameOf(deployed.arn) === nameOf(host.deployed.arn),
  );
  return versions.length === 1 ? versions[0] : undefined;
}

function nameOf(arn: string): string {
  const parsed = parseFunctionArn(arn);
  return parsed ? `${parsed.region}:${parsed.accountId}:${parsed.name}` : arn;
}
