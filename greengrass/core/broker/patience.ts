/** How long a connection may be silent. Looked at from time to time: no timer for each connection, nothing for each packet. */
export class Patience {
  #wasHeard = false;
  #silentSince = performance.now();

  /** 0: for ever. */
  constructor(private limitMs: number) {}

  /** The limit from now on. */
  set(limitMs: number): void {
    this.limitMs = limitMs;
    this.#wasHeard = true;
  }

  heard(): void {
    this.#wasHeard = true;
  }

  /** `now`: as performance.now() counts. */
  isOver(now: number): boolean {
    if (this.#wasHeard) {
      this.#wasHeard = false;
      this.#silentSince = now;
    }
    return this.limitMs > 0 && now - this.#silentSince > this.limitMs;
  }
}
