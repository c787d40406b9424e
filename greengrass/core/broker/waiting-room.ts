/**
 * Connections that have come in and have not said who they are: a bounded number in all, and of each who; beyond it the
 * oldest gives way, so that a flood never keeps a newcomer out.
 */
export class WaitingRoom<T> {
  readonly #waiting = new Map<T, string>();
  readonly #counts = new Map<string, number>();

  constructor(
    private readonly limits: { readonly all: number; readonly ofEach: number },
    /** Called for the one that gives way, which has left already. */
    private readonly turnOut: (one: T) => void,
  ) {}

  get size(): number {
    return this.#waiting.size;
  }

  /** `who`: whose share it takes: a certificate, an address. */
  enter(one: T, who: string): void {
    this.#waiting.set(one, who);
    const count = (this.#counts.get(who) ?? 0) + 1;
    this.#counts.set(who, count);
    if (count > this.limits.ofEach) this.#turnOut(who);
    else if (this.#waiting.size > this.limits.all) this.#turnOut();
  }

  /** It has said who it is, or is gone. Idempotent. */
  leave(one: T): void {
    const who = this.#waiting.get(one);
    if (who === undefined) return;
    this.#waiting.delete(one);
    const count = (this.#counts.get(who) ?? 1) - 1;
    if (count > 0) this.#counts.set(who, count);
    else this.#counts.delete(who);
  }

  #turnOut(who?: string): void {
    for (const [one, whose] of this.#waiting) {
      if (who !== undefined && whose !== who) continue;
      this.leave(one);
      this.turnOut(one);
      return;
    }
  }
}
