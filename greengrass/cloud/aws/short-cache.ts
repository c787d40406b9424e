/**
 * Answers of AWS, kept for a short time. Every HTTPS request of a core or device asks for its certificate, things and
 * policies; AWS limits how often it may be asked. Equal questions at one time are one question. Failures are not kept.
 */
const KEEP_MS = 30_000;
/** "There is none" is kept for less: whoever has just made it at AWS is about to use it. */
const KEEP_NONE_MS = 3_000;
/** Anybody can show certificates that nobody knows; their number must not be ours to keep. */
const MAX_ENTRIES = 2_000;

interface Entry<T> {
  readonly answer: Promise<T>;
  /** Infinity while the question is under way. */
  until: number;
}

export class ShortCache<T> {
  readonly #entries = new Map<string, Entry<T>>();

  constructor(private readonly now: () => number = () => performance.now()) {}

  get(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#entries.get(key);
    if (known && known.until > this.now()) return known.answer;
    const entry: Entry<T> = { answer: ask(), until: Number.POSITIVE_INFINITY };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.answer.then(
      (answer) => {
        entry.until = this.now() + (isNone(answer) ? KEEP_NONE_MS : KEEP_MS);
      },
      () => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
      },
    );
    // The oldest goes first: a Map keeps the order of insertion.
    if (this.#entries.size > MAX_ENTRIES) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    return entry.answer;
  }
}

function isNone(answer: unknown): boolean {
  return answer === undefined || (Array.isArray(answer) && answer.length === 0);
}
