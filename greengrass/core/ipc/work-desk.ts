/** What stands behind the workers' door: who a token is, and what workers ask for. core/lambda implements it. */

/** The worker that a token speaks for. Its function is the only identity that counts, whatever a request claims. */
export interface Caller {
  readonly workerId: string;
  readonly functionArn: string;
}

export type InvocationType = 'Event' | 'RequestResponse';

/** `X-Amz-Function-Error`: empty on success, reported by the function, or by the core. */
export type FunctionError = '' | 'Handled' | 'Unhandled';

export interface WorkItem {
  readonly invocationId: string;
  /** Base64 of a JSON object; empty where there is none. Passed through unchanged. */
  readonly clientContext: string;
  readonly payload: Buffer;
}

export interface WorkResult {
  readonly functionError: FunctionError;
  readonly payload: Buffer;
}

export type PostOutcome =
  | { readonly kind: 'accepted'; readonly invocationId: string }
  | { readonly kind: 'unknownFunction' }
  | { readonly kind: 'queueFull' }
  | { readonly kind: 'malformed'; readonly reason: string };

/** V1's states of a worker, as the health API shows them. */
export type WorkerState =
  | 'NotStarted'
  | 'Starting'
  | 'Initialized'
  | 'Waiting'
  | 'Working'
  | 'FailedInitialization'
  | 'Terminated';

export interface WorkerStatus {
  readonly FuncArn: string;
  readonly WorkerId: string;
  readonly ProcessId: string;
  readonly WorkerState: WorkerState;
}

export interface WorkDesk {
  /** Constant in time for tokens of equal length. */
  identify(token: string): Caller | undefined;
  /** A promise where the answer has to wait for the disk. */
  post(
    caller: Caller,
    targetArn: string,
    type: InvocationType,
    clientContext: string,
    payload: Buffer,
  ): PostOutcome | Promise<PostOutcome>;
  /** The next item for this worker; undefined where `signal` ended the wait. */
  nextWork(caller: Caller, signal: AbortSignal): Promise<WorkItem | undefined>;
  /** The item could not be handed over (the worker's connection broke): it goes back to the front of its queue. */
  undelivered(caller: Caller, invocationId: string): void;
  /** False where the worker does not hold that item. */
  complete(caller: Caller, invocationId: string, result: WorkResult): boolean;
  /** Result of an item that this caller posted with RequestResponse; undefined where it posted none such. */
  result(caller: Caller, invocationId: string): Promise<WorkResult> | undefined;
  /** A worker says how its initialisation went. */
  initialized(caller: Caller, success: boolean, message: string): void;
  workers(): WorkerStatus[];
}
