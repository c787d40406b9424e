/** Results that a worker asked for and will fetch. Only who posted an item may fetch its result, once. */
import type { Caller, WorkResult } from '../ipc/work-desk.js';

/** A worker that posts and never fetches must not fill the memory. */
const MAX_PER_WORKER = 1000;

interface Expected {
  readonly workerId: string;
  readonly result: Promise<WorkResult>;
}

export interface PendingResult {
  readonly settle: (result: WorkResult) => void;
  register(invocationId: string): void;
}

export class PostedResults {
  readonly #expected = new Map<string, Expected>();

  expect({ workerId }: Caller): PendingResult {
    let settle: (result: WorkResult) => void = () => {};
    const result = new Promise<WorkResult>((resolve) => {
      settle = resolve;
    });
    return {
      settle,
      register: (invocationId) => {
        this.#expected.set(invocationId, { workerId, result });
        this.#bound(workerId);
      },
    };
  }

  claim({ workerId }: Caller, invocationId: string): Promise<WorkResult> | undefined {
    const expected = this.#expected.get(invocationId);
    if (expected?.workerId !== workerId) return undefined;
    // Kept until the result is there: a connection that breaks while it waits may ask again.
    void expected.result.then(() => setImmediate(() => this.#expected.delete(invocationId)));
    return expected.result;
  }

  forget(invocationId: string): void {
    this.#expected.delete(invocationId);
  }

  forgetCaller(workerId: string): void {
    for (const [id, expected] of this.#expected)
      if (expected.workerId === workerId) this.#expected.delete(id);
  }

  /** The oldest unfetched result of the worker gives way. */
  #bound(workerId: string): void {
    const own = [...this.#expected].filter(([, expected]) => expected.workerId === workerId);
    const oldest = own[0];
    if (own.length > MAX_PER_WORKER && oldest) this.#expected.delete(oldest[0]);
  }
}
