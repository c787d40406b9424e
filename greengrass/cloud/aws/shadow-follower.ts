/**
 * Reads shadows again and again, each for as long as the deployment that it is followed for is open: soon after the
 * notice, then more seldom. Where AWS can't be reached, the deployment waits and the readings go on.
 */
import type { Logger } from '../../lib/log.js';
import type { ShadowDocument } from '../../model/shadow-document.js';

/** Time between two readings: from the first, longer with each that brings nothing new, to the last. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 10_000;
const GROWTH = 1.3;

export interface ShadowFollowerOptions {
  read(thingName: string): Promise<ShadowDocument | undefined>;
  /** False once the deployment is at its end. */
  isOpen(deploymentId: string): Promise<boolean>;
  /** A state of the shadow that was not seen before. */
  onDocument(thingName: string, document: ShadowDocument): void;
  readonly logger: Logger;
}

interface Followed {
  deploymentId: string;
  pauseMs: number;
  /** Version of the shadow that was seen last. */
  version?: number;
  /** The last reading failed; the log knows it. */
  isFailing: boolean;
  endPause(): void;
}

export class ShadowFollower {
  readonly #options: ShadowFollowerOptions;
  readonly #followed = new Map<string, Followed>();
  #isStopped = false;

  constructor(options: ShadowFollowerOptions) {
    this.#options = options;
  }

  /** From now on the shadow is followed for this deployment. */
  follow(thingName: string, deploymentId: string): void {
    if (this.#isStopped) return;
    const known = this.#followed.get(thingName);
    if (known) {
      known.deploymentId = deploymentId;
      known.pauseMs = FIRST_PAUSE_MS;
      known.endPause();
      return;
    }
    const entry: Followed = { deploymentId, pauseMs: FIRST_PAUSE_MS, isFailing: false, endPause: () => {} };
    this.#followed.set(thingName, entry);
    void this.#run(thingName, entry);
  }

  /** Ends all readings; what is under way is not handed on. */
  stop(): void {
    this.#isStopped = true;
    for (const entry of this.#followed.values()) entry.endPause();
    this.#followed.clear();
  }

  /** Never rejects. */
  async #run(thingName: string, entry: Followed): Promise<void> {
    while (!this.#isStopped) {
      const { deploymentId } = entry;
      try {
        const isOpen = await this.#options.isOpen(deploymentId);
        if (this.#isStopped) return;
        // A newer deployment may have come meanwhile.
        if (!isOpen && entry.deploymentId === deploymentId) {
          this.#followed.delete(thingName);
          return;
        }
        await this.#readOnce(thingName, entry);
      } catch (error) {
        if (!this.#isStopped) this.#failed(thingName, entry, error as Error);
      }
      if (!this.#isStopped) await this.#pause(entry);
    }
  }

  async #readOnce(thingName: string, entry: Followed): Promise<void> {
    const document = await this.#options.read(thingName);
    if (this.#isStopped) return;
    if (entry.isFailing) {
      entry.isFailing = false;
      this.#options.logger.info({ thingName }, 'Reports of the core can be read again.');
    }
    if (!document || document.version === entry.version) return;
    entry.version = document.version;
    entry.pauseMs = FIRST_PAUSE_MS;
    this.#options.onDocument(thingName, document);
  }

  #failed(thingName: string, entry: Followed, error: Error): void {
    if (entry.isFailing) return;
    entry.isFailing = true;
    const { deploymentId } = entry;
    this.#options.logger.warn(
      { thingName, deploymentId, reason: error.message },
      'Reports of the core cannot be read; the deployment waits.',
    );
  }

  async #pause(entry: Followed): Promise<void> {
    const pauseMs = entry.pauseMs;
    entry.pauseMs = Math.min(pauseMs * GROWTH, LAST_PAUSE_MS);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      entry.endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
