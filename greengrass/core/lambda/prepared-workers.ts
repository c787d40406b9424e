/**
 * Workers of on-demand functions, ready but for the last step: the container stands, and so does the interpreter with our
 * runtime where the runtime is ours; it waits for a word of the core before it loads the function. One for each function, two
 * where its messages come close together, and no more than a limit in all: the one that was not needed for the longest time
 * gives way.
 *
 * One with volumes or devices holds them as they were. Who takes it looks at them again (`Given.isCurrent`); and one at
 * which a disk came or went does not wait for that: it is given back soon, so that what was unmounted can be pulled out.
 */
import type { Logger } from '../../lib/log.js';
import type { WorkerProcess } from '../isolation/worker-process.js';
import type { Worker } from './worker.js';

const MEMORY_FOR_EACH = 512 * 2 ** 20;
const MOST = 8;
/** How soon one at whose volumes a disk came or went is given back. */
const LOOK_MS = 2_000;

/** One for each half gigabyte of the device, and no more than eight. */
export function preparedWorkersFor(memoryBytes: number): number {
  return Math.min(MOST, Math.floor(memoryBytes / MEMORY_FOR_EACH));
}

/** A worker that nobody knows yet: its token is no key, and it has not been counted. */
export interface PreparedWorker {
  readonly worker: Worker;
  readonly process: WorkerProcess;
}

export interface PreparedWorkersOptions {
  /** How many there may be; 0 prepares none. Each holds what an idle worker holds, within its function's own limit. */
  readonly limit: number;
  readonly logger: Logger;
}

/** Who gets prepared workers. */
export interface Preparing {
  readonly arn: string;
  /** Makes one; rejects where the container can't be made, which the next start will tell. */
  readonly make: () => Promise<PreparedWorker>;
}

export class PreparedWorkers {
  readonly #options: PreparedWorkersOptions;
  /** The longest unneeded first. */
  readonly #ready = new Map<Preparing, PreparedWorker>();
  readonly #wanted = new Set<Preparing>();
  /** Workers that are being given back. */
  readonly #ending = new Map<Preparing, Promise<unknown>>();
  #look: NodeJS.Timeout | undefined;
  #making: { readonly owner: Preparing; readonly done: Promise<void> } | undefined;

  constructor(options: PreparedWorkersOptions) {
    this.#options = options;
  }

  /** How many stand ready. */
  get count(): number {
    return this.#ready.size;
  }

  /** The function's prepared worker, which is the caller's from now on. */
  take(owner: Preparing): PreparedWorker | undefined {
    const prepared = this.#ready.get(owner);
    this.#ready.delete(owner);
    this.#lookOrRest();
    return prepared;
  }

  /** Prepares one in the background, one at a time, where the function has none. */
  prepare(owner: Preparing): void {
    if (this.#options.limit === 0 || this.#ready.has(owner)) return;
    this.#wanted.add(owner);
    void this.#makeNext();
  }

  /** As `prepare`, but only where nobody has to give way. */
  prepareIfRoom(owner: Preparing): void {
    if (this.#ready.size + this.#wanted.size < this.#options.limit) this.prepare(owner);
  }

  /** The function is gone or has stopped: so is, when this resolves, what was prepared for it. */
  async drop(owner: Preparing): Promise<void> {
    this.#wanted.delete(owner);
    if (this.#making?.owner === owner) await this.#making.done;
    const prepared = this.take(owner);
    if (prepared) this.#end(owner, prepared);
    await this.#ending.get(owner);
  }

  async #makeNext(): Promise<void> {
    const [owner] = this.#wanted;
    if (this.#making || !owner) return;
    const done = this.#make(owner);
    this.#making = { owner, done };
    await done;
    this.#making = undefined;
    void this.#makeNext();
  }

  async #make(owner: Preparing): Promise<void> {
    try {
      const prepared = await owner.make();
      if (this.#wanted.delete(owner)) this.#keep(owner, prepared);
      else this.#end(owner, prepared);
    } catch (error) {
      this.#wanted.delete(owner);
      const reason = (error as Error).message;
      this.#options.logger.debug({ functionArn: owner.arn, reason }, 'No worker could be prepared.');
    }
  }

  #keep(owner: Preparing, prepared: PreparedWorker): void {
    this.#ready.set(owner, prepared);
    this.#lookOrRest();
    // It may end while it waits (killed, out of memory); the next start makes its own.
    void prepared.process.exited.then(() => {
      if (this.#ready.get(owner) !== prepared) return;
      this.#ready.delete(owner);
      this.#lookOrRest();
      closeLogs(prepared.process);
    });
    for (const [oldest, surplus] of this.#ready) {
      if (this.#ready.size <= this.#options.limit) break;
      this.#ready.delete(oldest);
      this.#end(oldest, surplus);
    }
  }

  /** The timer runs while there is something to look at. */
  #lookOrRest(): void {
    const isNeeded = [...this.#ready.values()].some(({ process }) => process.given);
    if (isNeeded) this.#look ??= setInterval(() => this.#replaceOutdated(), LOOK_MS).unref();
    else {
      clearInterval(this.#look);
      this.#look = undefined;
    }
  }

  #replaceOutdated(): void {
    for (const [owner, prepared] of [...this.#ready]) {
      if (!prepared.process.given?.mountsChanged()) continue;
      this.take(owner);
      this.#end(owner, prepared);
      this.prepareIfRoom(owner);
    }
  }

  /** The gate has nothing to clean up, so that it gets no time for it; and nobody reads what it may have said. */
  #end(owner: Preparing, { process }: PreparedWorker): void {
    const ended = discard(process).finally(() => {
      if (this.#ending.get(owner) === ended) this.#ending.delete(owner);
    });
    this.#ending.set(owner, ended);
  }
}

/** Ends one that its taker can't use; resolves when nothing of it is left. */
export async function discard(process: WorkerProcess): Promise<void> {
  closeLogs(process);
  await process.stop(0);
}

function closeLogs({ logs }: WorkerProcess): void {
  for (const stream of Object.values(logs)) stream.destroy();
}
