/**
 * Group commit: what is asked for in one turn of the event loop runs in one transaction, and nobody is answered before it
 * is on disk. One flush to disk then pays for many updates, and a single update waits no longer than its own flush.
 *
 * Where the transaction fails (full disk), each job is tried once more on its own: reads still succeed, and the writer
 * that can't be stored is told so, not its neighbours.
 */

/** Jobs in one transaction at the most, so that a flood can't hold up the first of them. */
const MAX_BATCH = 256;
/** Jobs that may wait. Beyond that new ones are refused: a queue in memory is no store. */
const MAX_WAITING = 4096;

export interface Job {
  /** Inside the transaction; may run a second time if the transaction fails. Must have no effect but on the store. */
  run(): void;
  /** The transaction is on disk. */
  committed(): void;
  /** Nothing of the job is on disk. */
  failed(error: Error): void;
}

/** Runs `work` in a transaction of the store: all or nothing, on disk when it returns. */
export type Transaction = (work: () => void) => void;

export class GroupCommit {
  #waiting: Job[] = [];
  #scheduled: NodeJS.Immediate | undefined;

  constructor(
    private readonly transaction: Transaction,
    private readonly onFault: (error: Error) => void,
  ) {}

  /** False where too many jobs wait already; the job is then forgotten. */
  add(job: Job): boolean {
    if (this.#waiting.length >= MAX_WAITING) return false;
    this.#waiting.push(job);
    this.#scheduled ??= setImmediate(() => this.#turn());
    return true;
  }

  /** Runs all that waits now, also what is added meanwhile. */
  flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    while (this.#waiting.length > 0) this.#batch();
  }

  #turn(): void {
    this.#scheduled = undefined;
    this.#batch();
    if (this.#waiting.length > 0) this.#scheduled ??= setImmediate(() => this.#turn());
  }

  #batch(): void {
    const jobs = this.#waiting.splice(0, MAX_BATCH);
    if (jobs.length === 0) return;
    try {
      this.transaction(() => {
        for (const job of jobs) job.run();
      });
    } catch (error) {
      if (jobs.length === 1) this.#tell(() => (jobs[0] as Job).failed(error as Error));
      else for (const job of jobs) this.#alone(job);
      return;
    }
    for (const job of jobs) this.#tell(() => job.committed());
  }

  #alone(job: Job): void {
    try {
      this.transaction(() => job.run());
    } catch (error) {
      this.#tell(() => job.failed(error as Error));
      return;
    }
    this.#tell(() => job.committed());
  }

  /** A listener that throws must not keep the others from their answers. */
  #tell(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.onFault(error as Error);
    }
  }
}
