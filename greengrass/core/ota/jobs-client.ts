/** AWS IoT Jobs from the side of a thing: requests with their answers over MQTT. */
import { randomUUID } from 'node:crypto';
import { check, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';

/** The connection to the cloud, as far as jobs need it. */
export interface JobsLink {
  subscribe(filter: string, handler: (topic: string, payload: Buffer) => void): void;
  publish(topic: string, payload: string, qos: 0 | 1): Promise<void>;
  onConnected(listener: () => void): void;
}

/** One for each attempt. The first answer may come before the subscription to it is in force. */
const ANSWER_TIMEOUTS_MS = [1_000, 3_000, 10_000];

const summaries = z.array(z.object({ jobId: z.string() }));
const pendingAnswer = z.object({ inProgressJobs: summaries.default([]), queuedJobs: summaries.default([]) });
const executionAnswer = z.object({
  execution: z
    .object({
      jobId: z.string(),
      status: z.string(),
      versionNumber: z.number().int(),
      jobDocument: z.unknown(),
    })
    .optional(),
});
export type ThingJob = NonNullable<z.output<typeof executionAnswer>['execution']>;
const rejection = z.object({ code: z.string(), message: z.string().default('') });
const tokenOf = z.object({ clientToken: z.string() });

/** Refusals that are none: the same request may be taken later. */
const PASSING = new Set(['InternalError', 'RequestThrottled']);

/** The cloud said no. */
export class JobRejected extends Error {
  override readonly name = 'JobRejected';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

export interface JobReport {
  readonly status: 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED' | 'REJECTED';
  readonly statusDetails: Readonly<Record<string, string>>;
}

export class JobsClient {
  readonly #link: JobsLink;
  readonly #prefix: string;
  readonly #waiting = new Map<string, (isAccepted: boolean, body: unknown) => void>();

  constructor(
    link: JobsLink,
    thingName: string,
    private readonly logger: Logger,
  ) {
    this.#link = link;
    this.#prefix = `$aws/things/${thingName}/jobs`;
  }

  /** `listener` is called when there may be another job: after each connect, and when the cloud says so. */
  listen(listener: () => void): void {
    const answered = (topic: string, payload: Buffer) => this.#take(topic, payload);
    for (const request of ['get', '+/get', '+/update'])
      this.#link.subscribe(`${this.#prefix}/${request}/+`, answered);
    this.#link.subscribe(`${this.#prefix}/notify`, listener);
    this.#link.onConnected(listener);
  }

  /** Ids of what waits for this thing, in the order of the cloud. */
  async pending(): Promise<string[]> {
    const answer = check(pendingAnswer, await this.#ask('get', {}), 'the list of pending jobs');
    return [...answer.inProgressJobs, ...answer.queuedJobs].map(({ jobId }) => jobId);
  }

  /** Undefined where the job is no longer the thing's to do. */
  async describe(jobId: string): Promise<ThingJob | undefined> {
    try {
      return check(executionAnswer, await this.#ask(`${jobId}/get`, {}), `job ${jobId}`).execution;
    } catch (error) {
      if (error instanceof JobRejected) return undefined;
      throw error;
    }
  }

  /** Rejects with JobRejected where the job can't be reported on any more: it was cancelled, it is through. */
  async report(jobId: string, { status, statusDetails }: JobReport): Promise<void> {
    const details = Object.entries(statusDetails).map(([name, text]) => [name, text.slice(0, 1000) || '-']);
    await this.#ask(`${jobId}/update`, { status, statusDetails: Object.fromEntries(details) });
  }

  /** The answer may be lost, and the subscription may come after it: asked again then. */
  async #ask(request: string, body: object): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#askOnce(request, body, ANSWER_TIMEOUTS_MS[attempt] as number);
      } catch (error) {
        if (error instanceof JobRejected || attempt + 1 >= ANSWER_TIMEOUTS_MS.length) throw error;
        this.logger.debug({ request, reason: (error as Error).message }, 'A request for jobs is sent again.');
      }
    }
  }

  #askOnce(request: string, body: object, timeoutMs: number): Promise<unknown> {
    const clientToken = randomUUID();
    const topic = `${this.#prefix}/${request}`;
    return new Promise((resolve, reject) => {
      const settle = (settled: () => void) => {
        clearTimeout(timer);
        this.#waiting.delete(clientToken);
        settled();
      };
      const timer = setTimeout(
        () => settle(() => reject(new Error(`no answer to ${topic} within ${timeoutMs} ms`))),
        timeoutMs,
      );
      this.#waiting.set(clientToken, (isAccepted, answer) =>
        settle(() => (isAccepted ? resolve(answer) : reject(refusalOf(answer)))),
      );
      this.#link
        .publish(topic, JSON.stringify({ ...body, clientToken }), 1)
        .catch((error: Error) => settle(() => reject(error)));
    });
  }

  #take(topic: string, payload: Buffer): void {
    try {
      const body: unknown = JSON.parse(payload.toString('utf8'));
      const { clientToken } = check(tokenOf, body, topic);
      this.#waiting.get(clientToken)?.(topic.endsWith('/accepted'), body);
    } catch {
      this.logger.debug({ topic }, 'An answer of the jobs service is nobody’s.');
    }
  }
}

function refusalOf(answer: unknown): Error {
  try {
    const { code, message } = check(rejection, answer, 'refusal');
    if (PASSING.has(code)) return new Error(`${code}: ${message}`);
    return new JobRejected(code, message);
  } catch (error) {
    return error as Error;
  }
}
