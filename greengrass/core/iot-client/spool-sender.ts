/**
 * Sends what waits in the spool, higher priorities first and oldest first within one, with several messages under way at a time; each is removed when its
 * PUBACK has come. MQTT keeps the order on a connection; after a lost one everything without a PUBACK goes out again,
 * in the old order, so that of each topic the cloud sees the messages in order, some of them twice.
 *
 * A message that the cloud refuses by cutting the connection must not hold up the others for ever: after a cut the
 * oldest message under way is suspected and goes out alone; when that ends REFUSED_AFTER connections that were quiet
 * without it, it is dropped.
 */
import { backoffMs } from '../../lib/backoff.js';
import type { Logger } from '../../lib/log.js';
import { laneOf } from './lanes.js';
import { PublishError } from './publish-error.js';
import { RefusedTopics } from './refused-topics.js';
import { rowBytes, type Spool, type SpooledMessage } from './spool.js';
import { SpoolReader } from './spool-reader.js';

/** Most messages under way. AWS IoT allows 100 without a PUBACK on a connection. */
export const DEFAULT_WINDOW = 64;
const MAX_BYTES_UNDER_WAY = 1024 * 1024;
/** So many connections in a row end while the message alone is under way, then it is given up. */
export const REFUSED_AFTER = 5;
/** How long a new connection must hold by itself before a suspected message is sent. */
const QUIET_MS = 1000;
/** Messages that are dropped in one go: expired, or of refused topics. */
const DROP_COUNT = 1000;

export interface SenderConnection {
  readonly connected: boolean;
  /** Resolves with the PUBACK; rejects with PublishError. */
  publish(topic: string, payload: Buffer, qos: 0 | 1): Promise<void>;
}

export interface SenderOptions {
  readonly connection: SenderConnection;
  readonly logger: Logger;
  readonly window?: number;
  /** For tests; ms. */
  readonly quietMs?: number;
}

interface UnderWay {
  message: SpooledMessage;
}

export class SpoolSender {
  readonly #options: SenderOptions;
  readonly #maxWindow: number;
  readonly #refused = new RefusedTopics(() => performance.now());
  #spool: Spool | undefined;
  readonly #reader = new SpoolReader();
  #underWay = new Set<UnderWay>();
  #bytesUnderWay = 0;
  #window: number;
  #suspect: { id: number; cuts: number } | undefined;
  #attempt = 0;
  #pause: NodeJS.Timeout | undefined;
  #isQuiet = false;
  /** Messages that were given up because the cloud refuses them. */
  refused = 0;
  /** Messages that waited longer than they should. */
  expired = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#maxWindow = options.window ?? DEFAULT_WINDOW;
    this.#window = this.#maxWindow;
  }

  start(spool: Spool): void {
    this.#spool = spool;
    this.#reader.open(spool);
    this.send();
  }

  stop(): void {
    this.#spool = undefined;
    this.#wake();
    this.#reader.open(undefined);
    this.#underWay = new Set();
    this.#bytesUnderWay = 0;
  }

  /** Ids of the messages under way. */
  get underWay(): ReadonlySet<number> {
    return new Set([...this.#underWay].map(({ message }) => message.id));
  }

  /** What waits has moved: `moved` gives the new message of an old id. What is under way stays so. */
  moveTo(spool: Spool, moved: ReadonlyMap<number, SpooledMessage>): void {
    this.#spool = spool;
    this.#reader.open(spool);
    for (const each of this.#underWay) {
      const message = moved.get(each.message.id);
      if (this.#suspect?.id === each.message.id && message) this.#suspect.id = message.id;
      // Without a new one it had to give way; no spool has an id of 0.
      each.message = message ?? { ...each.message, id: 0 };
      if (message) this.#reader.skip(laneOf(message.id), message.id);
    }
    this.send();
  }

  /** A new connection: at once, except that a suspected message waits to see whether it holds without it. */
  connected(): void {
    const wasQuiet = this.#isQuiet;
    this.#wake();
    if (this.#suspect && wasQuiet) this.#suspect.cuts = 0;
    if (this.#suspect && this.#suspect.cuts >= 2) {
      this.#isQuiet = true;
      this.#sleep(this.#options.quietMs ?? QUIET_MS);
      return;
    }
    this.send();
  }

  /** The spool has something new. */
  ready(): void {
    this.#reader.ready();
    this.send();
  }

  /** Sends what may be sent now. Costs nothing while the cloud is away. */
  send(): void {
    const { connection } = this.#options;
    let dropped = 0;
    while (this.#spool && connection.connected && !this.#pause && this.#hasRoom()) {
      const message = this.#reader.next();
      if (!message) return;
      const { topic, expiresAt } = message;
      const isExpired = expiresAt !== undefined && Date.now() >= expiresAt;
      if (isExpired || this.#refused.isPaused(topic)) {
        this.#spool.remove(message);
        if (isExpired) this.expired += 1;
        else this.refused += 1;
        dropped += 1;
        // Long rows of them must not keep the rest of the core waiting.
        if (dropped >= DROP_COUNT) this.#sleep(0);
        continue;
      }
      if (this.#refused.has(topic)) {
        if (this.#underWay.size > 0) {
          this.#reader.putBack();
          return;
        }
        this.#suspect = { id: message.id, cuts: REFUSED_AFTER - 1 };
      }
      // What is suspected would have come before: it is not there any more.
      else if (this.#suspect && message.id > this.#suspect.id) this.#suspect = undefined;
      this.#publish(message);
    }
  }

  #hasRoom(): boolean {
    const window = this.#suspect ? 1 : this.#window;
    return this.#underWay.size < window && this.#bytesUnderWay < MAX_BYTES_UNDER_WAY;
  }

  #publish(message: SpooledMessage): void {
    const each: UnderWay = { message };
    this.#underWay.add(each);
    this.#bytesUnderWay += rowBytes(message);
    this.#options.connection.publish(message.topic, message.payload, 1).then(
      () => this.#sent(each),
      (error: Error) => this.#failed(each, error),
    );
  }

  #sent(each: UnderWay): void {
    if (!this.#underWay.delete(each)) return;
    const { message } = each;
    this.#bytesUnderWay -= rowBytes(message);
    this.#spool?.remove(message);
    this.#attempt = 0;
    if (this.#suspect && message.id >= this.#suspect.id) this.#suspect = undefined;
    this.#refused.delete(message.topic);
    if (this.#window < this.#maxWindow) this.#window += 1;
    this.send();
  }

  /** The first of those under way that fails speaks for all: they go out again, in order. */
  #failed(each: UnderWay, error: Error): void {
    if (!this.#underWay.has(each)) return;
    const { connection, logger } = this.#options;
    const [oldest] = this.#underWay;
    const isAlone = this.#underWay.size === 1;
    this.#underWay = new Set();
    this.#bytesUnderWay = 0;
    this.#window = 1;
    this.#reader.rewind();
    logger.error(
      { topic: oldest?.message.topic, errorString: error.message },
      'Cloud messaging error: Error occurred while trying to publish a message.',
    );
    if (oldest && error instanceof PublishError && error.failure === 'cut')
      this.#cut(oldest.message, isAlone);
    // Without a connection the next one goes on.
    if (connection.connected) this.#sleep(backoffMs(this.#attempt++, { baseMs: 200, maxMs: 30_000 }));
  }

  #cut(message: SpooledMessage, isAlone: boolean): void {
    if (this.#suspect?.id !== message.id) this.#suspect = { id: message.id, cuts: 0 };
    if (!isAlone) return;
    this.#suspect.cuts += 1;
    if (this.#suspect.cuts < REFUSED_AFTER) return;
    this.#suspect = undefined;
    this.#spool?.remove(message);
    this.refused += 1;
    const pauseMs = this.#refused.add(message.topic);
    this.#options.logger.error(
      { topic: message.topic, cuts: REFUSED_AFTER, refused: this.refused, pauseMs },
      'Message was dropped: the cloud cuts the connection whenever it is sent. Does the policy of the core allow ' +
        'iot:Publish on this topic? Further messages of the topic are dropped too until the pause is over.',
    );
  }

  #sleep(ms: number): void {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#wake();
      this.send();
    }, ms);
  }

  #wake(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    this.#isQuiet = false;
  }
}
