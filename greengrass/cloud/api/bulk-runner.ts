/**
 * Carries out the bulk deployment that is open: reads its input once into the store, then deploys record by record, a few
 * at a time. Each result is kept before the next begins, so that another process, or the next start, goes on where this
 * one ended: a record is deployed at least once, and reported once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorDetail } from '../../model/deployment.js';
import {
  type BulkDeployment,
  type BulkResult,
  type BulkStatus,
  OPEN_BULK_STATUSES,
} from '../store/bulk-deployments.js';
import { BulkInputError, type BulkRecord, MAX_INPUT_BYTES, parseBulkInput } from './bulk-input.js';
import type { ApiContext } from './context.js';
import { ApiError } from './errors.js';
import type { GroupDeployments } from './group-deployments.js';
import { ObjectError } from './objects.js';

/** Deployments that are built at the same time. */
const AT_ONCE = 4;
/** A deployment that fails for a reason of ours is tried so often again. */
const MAX_RETRIES = 5;
const RETRY_MS = 200;
/** So often a process looks whether another one has left a bulk deployment unfinished. */
const WATCH_MS = 15_000;

export class BulkRunner {
  readonly #context: ApiContext;
  readonly #deployments: GroupDeployments;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  readonly #stopping = new AbortController();
  #isWoken = false;
  #isStopped = false;

  constructor(context: ApiContext, deployments: GroupDeployments) {
    this.#context = context;
    this.#deployments = deployments;
  }

  /** Takes up what is open, now and whenever somebody else has left it. */
  start(): void {
    this.wake();
    this.#timer = setInterval(() => this.wake(), WATCH_MS);
    this.#timer.unref();
  }

  /** Resolves when the record in hand is done. What is left is taken up by the next start. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopping.abort();
    clearInterval(this.#timer);
    await this.#running;
  }

  /** Something may be open: begins with it unless that is under way here. */
  wake(): void {
    this.#isWoken = true;
    if (this.#running || this.#isStopped) return;
    this.#running = this.#run()
      .catch((error: Error) => this.#context.log.error({ err: error }, 'bulk deployment interrupted'))
      .finally(() => {
        this.#running = undefined;
        // What was begun while this one looked for the last time.
        if (this.#isWoken) this.wake();
      });
  }

  async #run(): Promise<void> {
    const { store, exclusive } = this.#context;
    this.#isWoken = false;
    while (!this.#isStopped && (await store.bulkDeployments.findOpen())) {
      await exclusive.run('bulk deployment', async () => {
        const open = await store.bulkDeployments.findOpen();
        if (open && !this.#isStopped) await this.#carryOut(open);
      });
    }
  }

  async #carryOut(bulk: BulkDeployment): Promise<void> {
    const { bulkId } = bulk;
    try {
      const records = await this.#recordsOf(bulk);
      await this.#move(bulkId, ['Initializing'], 'Running');
      const done = new Set<number>();
      for (const { number } of await this.#context.store.bulkDeployments.listResults(
        bulkId,
        Number.MAX_SAFE_INTEGER,
      )) {
        done.add(number);
      }
      const open = records.map((record, index) => ({ record, number: index + 1 }));
      const isWhole = await this.#deployAll(
        bulkId,
        open.filter(({ number }) => !done.has(number)),
      );
      if (!isWhole) return;
      await this.#move(bulkId, ['Running'], 'Completed');
      await this.#move(bulkId, ['Stopping'], 'Stopped');
    } catch (error) {
      if (!(error instanceof BulkInputError || error instanceof ObjectError)) throw error;
      await this.#move(bulkId, ['Stopping'], 'Stopped');
      await this.#context.store.bulkDeployments.setStatus(bulkId, OPEN_BULK_STATUSES, 'Failed', {
        message: error.message,
        details: [{ DetailedErrorCode: 'InvalidInputFile', DetailedErrorMessage: error.message }],
      });
    }
  }

  async #recordsOf({ bulkId, input, inputFileUri }: BulkDeployment): Promise<BulkRecord[]> {
    if (input !== undefined) return parseBulkInput(Buffer.from(input));
    const bytes = await this.#context.objects.read(inputFileUri, MAX_INPUT_BYTES);
    const records = parseBulkInput(bytes);
    await this.#context.store.bulkDeployments.setInput(bulkId, bytes.toString('utf8'));
    return records;
  }

  /** Answers false where this process stops before the end. */
  async #deployAll(
    bulkId: string,
    open: ReadonlyArray<{ record: BulkRecord; number: number }>,
  ): Promise<boolean> {
    const queue = open.values();
    let isStopping = false;
    const lane = async () => {
      for (const { record, number } of queue) {
        if (this.#isStopped || isStopping) return;
        const status = (await this.#context.store.bulkDeployments.find(bulkId))?.status;
        if (status !== 'Running') {
          isStopping = true;
          return;
        }
        await this.#deployOne(bulkId, record, number);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    return !this.#isStopped;
  }

  /** Invalid is what is refused, so that trying again is no use. A stop ends the retries: the next start begins them anew. */
  async #deployOne(bulkId: string, record: BulkRecord, number: number): Promise<void> {
    const { GroupId: groupId, GroupVersionId: groupVersionId } = record;
    let retries = 0;
    let invalid = false;
    let outcome: Pick<BulkResult, 'deploymentId' | 'errorMessage' | 'errorDetails'>;
    for (;;) {
      try {
        const request = { DeploymentType: 'NewDeployment', GroupVersionId: groupVersionId };
        outcome = { deploymentId: (await this.#deployments.deploy(groupId, request)).deploymentId };
        break;
      } catch (error) {
        invalid = error instanceof ApiError;
        this.#context.log[invalid ? 'debug' : 'warn']({ err: error, bulkId, number }, 'record not deployed');
        if (invalid || retries === MAX_RETRIES) {
          outcome = failure(error as Error);
          break;
        }
        if (this.#isStopped) return;
        await delay(RETRY_MS * 2 ** retries, undefined, { signal: this.#stopping.signal }).catch(() => {});
        if (this.#isStopped) return;
        retries += 1;
      }
    }
    const result = { number, createdAt: new Date().toISOString(), groupId, groupVersionId, ...outcome };
    await this.#context.store.bulkDeployments.addResult(bulkId, result, { invalid, retries });
  }

  async #move(bulkId: string, from: readonly BulkStatus[], to: BulkStatus): Promise<void> {
    const moved = await this.#context.store.bulkDeployments.setStatus(bulkId, from, to);
    if (moved) this.#context.log.info({ bulkDeploymentId: bulkId, status: to }, 'bulk deployment');
  }
}

function failure(error: Error): { errorMessage: string; errorDetails: readonly ErrorDetail[] } {
  const code = error instanceof ApiError ? (error.type ?? 'InvalidRecord') : 'InternalFailure';
  const message = error instanceof ApiError ? error.message : 'The deployment could not be made.';
  return {
    errorMessage: message,
    errorDetails: [{ DetailedErrorCode: code, DetailedErrorMessage: message }],
  };
}
