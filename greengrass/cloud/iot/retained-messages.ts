/** Retained messages as AWS IoT keeps them: the last one of a topic; an empty payload takes it away. */
import type { Logger } from '../../lib/log.js';
import { filterMatches } from '../../model/topic.js';
import type { RetainedMessage, RetainedStore } from '../store/retained.js';

/** Topics with a retained message. */
const MAX_TOPICS = 10_000;
const PAGE = 100;

export class RetainedMessages {
  constructor(
    private readonly store: RetainedStore,
    private readonly logger: Logger,
  ) {}

  /** Resolves when it is stored. A topic too many is published and not kept. */
  async keep(message: RetainedMessage): Promise<void> {
    if (message.payload.length === 0) {
      await this.store.delete(message.topic);
    } else if (!(await this.store.put(message, new Date().toISOString(), MAX_TOPICS))) {
      this.logger.warn(
        { topic: message.topic, limit: MAX_TOPICS },
        'A message was not retained: there are too many retained messages.',
      );
    }
  }

  /** Each message that one of the filters takes, once. Never throws: where the store fails it ends, and the log says so. */
  async *matching(filters: readonly string[]): AsyncGenerator<RetainedMessage, void, void> {
    try {
      for (const [index, filter] of filters.entries())
        for await (const message of this.#matching(filter))
          if (!filters.slice(0, index).some((other) => takes(other, message.topic))) yield message;
    } catch (error) {
      this.logger.error({ reason: (error as Error).message }, 'Retained messages could not be read.');
    }
  }

  async *#matching(filter: string): AsyncGenerator<RetainedMessage, void, void> {
    const wildcard = filter.search(/[+#]/);
    if (wildcard < 0) {
      const message = await this.store.find(filter);
      if (message) yield message;
      return;
    }
    // `a/#` takes `a` as well, which `a/` is no prefix of.
    const prefix = filter.slice(0, wildcard).replace(/\/$/, '');
    let after = '';
    for (;;) {
      const page = await this.store.list(prefix, PAGE, after);
      for (const message of page) if (takes(filter, message.topic)) yield message;
      const last = page.at(-1);
      if (page.length < PAGE || !last) return;
      after = last.topic;
    }
  }
}

function takes(filter: string, topic: string): boolean {
  return filterMatches(filter, topic, 'included');
}
