/**
 * Topics that devices publish to, by their bytes: checked and decoded once. Devices repeat their topics, so a publish
 * costs one look-up; the string that comes out is the same one each time, which makes it cheap as a key further on.
 */
import { publishTopicProblem } from './device-permissions.js';
import { wireText } from './wire-text.js';

const MAX_TOPICS = 8192;
/** Longer topics break the rules anyway; they are not remembered. */
const MAX_REMEMBERED_BYTES = 300;

export interface KnownTopic {
  readonly name: string;
  /** Why nobody may publish there. */
  readonly problem: string | undefined;
}

export class KnownTopics {
  readonly #topics = new Map<string, KnownTopic>();

  /** Throws ProtocolError where the bytes are no text. */
  find(bytes: Buffer, start: number, end: number): KnownTopic {
    const key = bytes.toString('latin1', start, end);
    const known = this.#topics.get(key);
    if (known !== undefined) return known;
    const name = wireText(bytes, start, end, 'topic');
    const topic = { name, problem: publishTopicProblem(name) };
    if (end - start <= MAX_REMEMBERED_BYTES) {
      if (this.#topics.size >= MAX_TOPICS) this.#topics.clear();
      this.#topics.set(key, topic);
    }
    return topic;
  }
}

/** The topic of a connection's last message: mostly the next one has it too, and comparing bytes is cheaper than a look-up. */
export class RecentTopic {
  #topic: KnownTopic | undefined;
  #bytes = Buffer.alloc(0);

  constructor(private readonly known: KnownTopics) {}

  /** Throws ProtocolError where the bytes are no text. */
  find(bytes: Buffer, start: number, end: number): KnownTopic {
    const last = this.#bytes;
    if (this.#topic !== undefined && last.length === end - start) {
      let at = last.length - 1;
      while (at >= 0 && last[at] === bytes[start + at]) at -= 1;
      if (at < 0) return this.#topic;
    }
    this.#topic = this.known.find(bytes, start, end);
    this.#bytes = Buffer.from(bytes.subarray(start, end));
    return this.#topic;
  }
}
