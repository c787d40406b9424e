/** What has been started, to be ended in reverse: the order in which an operator would. */
export class Started {
  readonly #ends: Array<() => Promise<unknown>> = [];
  #ended = false;

  /** Once everything was ended, what comes late is ended at once. */
  add(end: () => Promise<unknown>): void {
    if (this.#ended) void end().catch(() => undefined);
    else this.#ends.push(end);
  }

  /** Ends all; a failure does not keep the rest from ending and is thrown when all is done. Idempotent. */
  async end(): Promise<void> {
    this.#ended = true;
    const failures: unknown[] = [];
    for (const end of this.#ends.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
