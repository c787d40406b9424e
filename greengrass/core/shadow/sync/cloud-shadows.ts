/**
 * Shadows of the cloud over the core's MQTT connection: ordinary shadow topics, requests told apart by their client tokens, so
 * that it works with every AWS IoT.
 */
import { randomUUID } from 'node:crypto';
import { CheckError, checkJson, z } from '../../../lib/check.js';
import { type JsonObject, MAX_SHADOW_BYTES } from '../../../model/shadow-document.js';
import { parseShadowTopic, type ShadowTopic, shadowTopic } from '../../../model/topic.js';
import type { CloudView } from './decide.js';
import { Pacer } from './pacer.js';
import type { Timers } from './timers.js';

/** What the sync needs of the connection to the cloud. */
export interface CloudLink {
  readonly connected: boolean;
  /** Called after each CONNACK. */
  onConnected(listener: () => void): void;
  subscribe(filter: string, handler: (topic: string, payload: Buffer) => void): void;
  unsubscribe(filter: string, handler: (topic: string, payload: Buffer) => void): void;
  publish(topic: string, payload: Buffer, qos: 0 | 1): Promise<void>;
}

export interface CloudShadowsOptions {
  readonly link: CloudLink;
  readonly timers: Timers;
  /** How long an answer may take, in ms. */
  readonly timeoutMs: number;
  readonly requestsPerSecond: number;
  /** Somebody, perhaps this core, changed or deleted the shadow in the cloud. */
  readonly onChanged: (key: string, view: CloudView & { readonly atVersion: number }) => void;
}

/** The cloud refused a request. `code` as AWS IoT's. */
export class CloudRefusal extends Error {
  override readonly name = 'CloudRefusal';
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(`${message} (${code})`);
  }
}

/** No answer: the link broke, or it took too long. Whether the request was done is not known. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

const part = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
);
const state = z.object({ desired: part.optional(), reported: part.optional() }).default({});
const done = z.object({ version: z.number().optional(), clientToken: z.string().optional() });
const got = done.extend({ state });
const ofRejected = z.object({
  code: z.number(),
  message: z.string().default(''),
  clientToken: z.string().optional(),
});
const ofDocuments = z.object({ current: z.object({ state, version: z.number() }) });

type Accepted = z.output<typeof done> & Partial<z.output<typeof got>>;

interface Waiting {
  readonly resolve: (answer: Accepted) => void;
  readonly reject: (error: Error) => void;
}

export class CloudShadows {
  readonly #options: CloudShadowsOptions;
  readonly #pacer: Pacer;
  readonly #waiting = new Map<string, Waiting>();
  readonly #receive = (topic: string, payload: Buffer) => this.#message(topic, payload);

  constructor(options: CloudShadowsOptions) {
    this.#options = options;
    const { timers, requestsPerSecond } = options;
    this.#pacer = new Pacer({ perSecond: requestsPerSecond, maxInFlight: 10, timers });
    options.link.onConnected(() => this.abandon());
  }

  get connected(): boolean {
    return this.#options.link.connected;
  }

  /** One filter for all shadows of the thing, named ones too. */
  watch(thingName: string): void {
    this.#options.link.subscribe(`$aws/things/${thingName}/shadow/#`, this.#receive);
  }

  unwatch(thingName: string): void {
    this.#options.link.unsubscribe(`$aws/things/${thingName}/shadow/#`, this.#receive);
  }

  /** Requests of a connection that is gone get no answer any more. */
  abandon(): void {
    for (const { reject } of [...this.#waiting.values()]) reject(new NoAnswer('the connection was lost'));
  }

  async get(key: string): Promise<CloudView> {
    try {
      const { state, version } = await this.#request(key, 'get', {});
      return { version: version ?? 0, state: onlyParts(state ?? {}) };
    } catch (error) {
      if (error instanceof CloudRefusal && error.code === 404)
        return { version: undefined, state: undefined };
      throw error;
    }
  }

  /** Resolves with the new version. Throws CloudRefusal (409: somebody was faster) and NoAnswer. */
  async change(
    key: string,
    { operation, body }: { operation: 'update' | 'delete'; body: object },
    version: number | undefined,
  ): Promise<number | undefined> {
    const answer = await this.#request(key, operation, {
      ...body,
      ...(version === undefined ? {} : { version }),
    });
    return operation === 'delete' ? undefined : answer.version;
  }

  #request(key: string, operation: ShadowTopic['operation'], body: object): Promise<Accepted> {
    const { link, timers, timeoutMs } = this.#options;
    return this.#pacer.run(
      () =>
        new Promise<Accepted>((resolve, reject) => {
          const clientToken = randomUUID();
          const cancel = timers.after(timeoutMs, () =>
            fail(new NoAnswer(`no answer within ${timeoutMs} ms`)),
          );
          const settle = () => {
            cancel();
            this.#waiting.delete(clientToken);
          };
          const fail = (error: Error) => {
            settle();
            reject(error);
          };
          this.#waiting.set(clientToken, {
            resolve: (answer) => {
              settle();
              resolve(answer);
            },
            reject: fail,
          });
          const payload = Buffer.from(JSON.stringify({ ...body, clientToken }));
          link
            .publish(shadowTopic(key, operation), payload, 1)
            .catch((error: Error) => fail(new NoAnswer(error.message)));
        }),
    );
  }

  #message(topic: string, payload: Buffer): void {
    const parsed = parseShadowTopic(topic);
    // Requests of others pass by on the same filter; a payload beyond all limits is none of a shadow service.
    if (!parsed?.kind || payload.length > 16 * MAX_SHADOW_BYTES) return;
    try {
      this.#answer(parsed, payload.toString('utf8'), topic);
    } catch (error) {
      // Not a body of a shadow service. Whoever waits for an answer runs into its time limit.
      if (!(error instanceof CheckError)) throw error;
    }
  }

  #answer({ key, operation, kind }: ShadowTopic, text: string, topic: string): void {
    const { onChanged } = this.#options;
    if (kind === 'documents') {
      const { current } = checkJson(ofDocuments, text, topic);
      const { version } = current;
      onChanged(key, { version, state: onlyParts(current.state), atVersion: version });
    } else if (kind === 'rejected') {
      const { code, message, clientToken } = checkJson(ofRejected, text, topic);
      if (clientToken) this.#waiting.get(clientToken)?.reject(new CloudRefusal(code, message));
    } else if (kind === 'accepted') {
      // The answer to an update holds what was sent, nulls included, which is no state.
      const answer: Accepted = checkJson(operation === 'get' ? got : done, text, topic);
      if (answer.clientToken) this.#waiting.get(answer.clientToken)?.resolve(answer);
      if (operation !== 'delete' || answer.version === undefined) return;
      onChanged(key, { version: undefined, state: undefined, atVersion: answer.version });
    }
  }
}

function onlyParts({ desired, reported }: z.output<typeof state>) {
  return { ...(desired && { desired }), ...(reported && { reported }) };
}
