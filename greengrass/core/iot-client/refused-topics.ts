/**
 * Topics that the cloud seems to refuse. AWS IoT answers a publish that the policy does not allow by closing the
 * connection, without a reason: a message that is alone under way when that happens, again and again, is the culprit.
 */

/** After a refusal, messages of the topic are not tried for so long; doubled with each further one. */
const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;
/** Topics that are remembered. */
const MAX_TOPICS = 1000;

interface Refusal {
  until: number;
  pauseMs: number;
}

export class RefusedTopics {
  readonly #topics = new Map<string, Refusal>();

  /** `now`: ms. */
  constructor(private readonly now: () => number) {}

  /** True while messages of the topic are not to be tried. */
  isPaused(topic: string): boolean {
    if (this.#topics.size === 0) return false;
    const refusal = this.#topics.get(topic);
    return refusal !== undefined && this.now() < refusal.until;
  }

  /** True where the topic was refused before: its next message goes out alone, and one cut is enough. */
  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** Answers how long the topic is left alone now, in ms. */
  add(topic: string): number {
    const known = this.#topics.get(topic);
    const pauseMs = known ? Math.min(known.pauseMs * 2, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    this.#topics.delete(topic);
    this.#topics.set(topic, { until: this.now() + pauseMs, pauseMs });
    if (this.#topics.size > MAX_TOPICS) {
      const [first] = this.#topics.keys();
      if (first !== undefined) this.#topics.delete(first);
    }
    return pauseMs;
  }

  /** The cloud took a message of the topic. */
  delete(topic: string): void {
    if (this.#topics.size > 0) this.#topics.delete(topic);
  }
}
