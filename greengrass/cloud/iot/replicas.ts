/** What the brokers of several replicas over one store tell each other, in the form that goes over the bus. */
import { check, checkJson, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import type { Bus, BusMessage } from '../store/bus.js';

const PUBLISH = 'mqtt.publish';
const NOTICE = 'mqtt.notice';

const publishHeaders = z.object({
  topic: z.string(),
  qos: z.enum(['0', '1']),
  /** Of the message in the queues of sessions; empty with QoS 0. */
  key: z.string(),
  clientIds: z.string(),
});
const clientIds = z.array(z.string());

const notice = z.discriminatedUnion('kind', [
  /** A client connected: connections of the same client id that are older end. */
  z.object({
    kind: z.literal('connected'),
    clientId: z.string(),
    connectedAt: z.number(),
    sessionIdentifier: z.string(),
    versionNumber: z.number(),
  }),
  /** A persistent session as it is now; without filters it is no more. */
  z.object({
    kind: z.literal('session'),
    clientId: z.string(),
    filters: z.array(z.tuple([z.string(), z.number()])).optional(),
  }),
  z.object({ kind: z.literal('disconnectCertificate'), certificateId: z.string() }),
  z.object({ kind: z.literal('review'), certificateId: z.string().optional() }),
]);
export type ReplicaNotice = z.output<typeof notice>;

/** A publication that one replica took, and the sessions that it was stored for. */
export interface ReplicaPublication {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1;
  readonly enqueued: { readonly key: string; readonly clientIds: readonly string[] } | undefined;
}

export interface ReplicaListener {
  onPublication(publication: ReplicaPublication): void;
  onNotice(notice: ReplicaNotice): void;
}

export class Replicas {
  readonly #bus: Pick<Bus, 'send' | 'onMessage'> | undefined;
  readonly #logger: Logger;

  constructor(bus: Pick<Bus, 'send' | 'onMessage'> | undefined, logger: Logger) {
    this.#bus = bus;
    this.#logger = logger;
  }

  /** What the others say reaches the listener in order, from when `ready` is resolved. */
  listen(listener: ReplicaListener, ready: Promise<void>): void {
    let isReady = false;
    const early: BusMessage[] = [];
    this.#bus?.onMessage((message) => {
      if (isReady) this.#take(message, listener);
      else early.push(message);
    });
    ready.then(
      () => {
        isReady = true;
        for (const message of early.splice(0)) this.#take(message, listener);
      },
      () => early.splice(0),
    );
  }

  async publish({ topic, payload, qos, enqueued }: ReplicaPublication): Promise<void> {
    if (!this.#bus) return;
    const headers = {
      ...{ topic, qos: String(qos), key: enqueued?.key ?? '' },
      clientIds: JSON.stringify(enqueued?.clientIds ?? []),
    };
    await this.#bus.send({ kind: PUBLISH, headers, body: payload });
  }

  async tell(what: ReplicaNotice): Promise<void> {
    await this.#bus?.send({ kind: NOTICE, body: Buffer.from(JSON.stringify(what)) });
  }

  #take(message: BusMessage, listener: ReplicaListener): void {
    try {
      if (message.kind === NOTICE)
        listener.onNotice(checkJson(notice, message.body.toString(), 'a notice of another replica'));
      if (message.kind === PUBLISH) listener.onPublication(publicationOf(message));
    } catch (error) {
      this.#logger.error(
        { kind: message.kind, reason: (error as Error).message },
        'What another replica said was not understood.',
      );
    }
  }
}

function publicationOf({ headers, body }: BusMessage): ReplicaPublication {
  const where = 'a publication of another replica';
  const { topic, qos, key, clientIds: list } = check(publishHeaders, headers, where);
  return {
    topic,
    payload: body,
    qos: qos === '0' ? 0 : 1,
    enqueued: key === '' ? undefined : { key, clientIds: checkJson(clientIds, list, where) },
  };
}
