/**
 * Keeps one shadow in step with the cloud. One step at a time: look at both sides, decide, write locally (with the record, in
 * one transaction), tell the cloud, write down that it knows. What happens meanwhile makes another step; so a burst of
 * updates costs the cloud one request with the newest state.
 *
 *   idle ──woken──> step ──again?──> step … ──> idle
 *                     └──no answer, refused──> waits ──> step
 */
import { backoffMs } from '../../../lib/backoff.js';
import type { Logger } from '../../../lib/log.js';
import type { KeptShadow } from '../../../model/shadow-operations.js';
import type { SyncDirection } from '../../../model/shadow-sync.js';
import type { SyncStep } from '../shadow-service.js';
import { CloudRefusal, type CloudShadows, NoAnswer } from './cloud-shadows.js';
import {
  type CloudView,
  type Decision,
  decide,
  readRecord,
  requestBetween,
  type SyncRecord,
  writeRecord,
} from './decide.js';
import { isSameSide } from './merge.js';
import type { Timers } from './timers.js';

/** The local side, as the shadow service offers it. */
export interface LocalShadows {
  syncStep(
    key: string,
    decide: (kept: KeptShadow | undefined, record: string | undefined) => SyncStep,
  ): Promise<void>;
}

export interface SyncerOptions {
  readonly key: string;
  readonly direction: SyncDirection;
  readonly local: LocalShadows;
  readonly cloud: CloudShadows;
  readonly timers: Timers;
  readonly logger: Logger;
  /** Between two updates of this shadow in the cloud, in ms. */
  readonly minIntervalMs: number;
  /** In [0, 1), for the jitter of retries. */
  readonly random: () => number;
}

/** What the cloud told of a shadow: `atVersion` is that of the change, also where it was deleted. */
type News = CloudView & { readonly atVersion: number };

export class ShadowSyncer {
  readonly #options: SyncerOptions;
  #view: CloudView | undefined;
  /** The newest news since the cloud was asked; of the same version a deletion is the newer one. */
  #heard: News | undefined;
  #isAttemptRefused = false;
  /** A change is on its way to the cloud. */
  #isTelling = false;
  /** Meanwhile the cloud told of a shadow that was thought to be gone. */
  #isUnclear = false;
  #wanted = false;
  #running = false;
  #stopped = false;
  #failures = 0;
  #mayTellAt = Number.NEGATIVE_INFINITY;
  #cancelWait: (() => void) | undefined;
  #lastError: string | undefined;

  constructor(options: SyncerOptions) {
    this.#options = options;
  }

  get direction(): SyncDirection {
    return this.#options.direction;
  }

  /** Both sides were equal when they were looked at last, and nothing is known to have changed since. */
  get inStep(): boolean {
    return this.#view !== undefined && !this.#wanted && !this.#running;
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** The local shadow changed. */
  wake(): void {
    this.#wanted = true;
    if (this.#running || this.#stopped || this.#cancelWait) return;
    this.#running = true;
    void this.#run();
  }

  /** A new connection: nothing is known of the cloud any more. */
  connected(): void {
    this.#view = undefined;
    this.#failures = 0;
    this.#cancelWait?.();
    this.#cancelWait = undefined;
    this.wake();
  }

  /** The cloud told of a change. News may come late, twice and out of order; versions tell. */
  cloudChanged(news: News): void {
    const { version, state, atVersion } = news;
    const last = this.#heard?.atVersion ?? -1;
    if (atVersion > last || (atVersion === last && state === undefined)) this.#heard = news;
    const view = this.#view;
    if (view?.version === undefined) {
      if (view && state === undefined) return;
      // Of a shadow that was gone: made anew, or news from before. The cloud itself has to say; if something is on its way
      // there, after that.
      if (view && this.#isTelling) {
        this.#isUnclear = true;
        return;
      }
      this.#view = undefined;
    } else {
      if (atVersion < view.version) return;
      // Mostly the echo of what we wrote.
      if (version === view.version && isSameSide(state, view.state)) return;
      this.#view = { version, state };
    }
    this.wake();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelWait?.();
    this.#cancelWait = undefined;
  }

  async #run(): Promise<void> {
    const { cloud, timers, logger, key, random } = this.#options;
    let waitMs: number | undefined;
    try {
      while (this.#wanted && !this.#stopped && cloud.connected) {
        const early = this.#mayTellAt - timers.now();
        if (early > 0) {
          waitMs = early;
          break;
        }
        this.#wanted = false;
        await this.#step();
        this.#failures = 0;
        this.#lastError = undefined;
      }
    } catch (error) {
      this.#wanted = true;
      this.#view = undefined;
      const isRefused = error instanceof CloudRefusal && error.code < 429;
      waitMs = backoffMs(this.#failures++, {
        baseMs: isRefused ? 30_000 : 500,
        maxMs: isRefused ? 600_000 : 60_000,
        random,
      });
      this.#lastError = (error as Error).message;
      const facts = { key, reason: this.#lastError, retryInMs: waitMs };
      if (error instanceof NoAnswer) logger.info(facts, 'The cloud did not answer for a shadow.');
      else logger.warn(facts, 'Failed to execute sync operation.');
    }
    // In the same turn as the look that found nothing to do.
    this.#running = false;
    if (waitMs === undefined || this.#stopped) return;
    this.#cancelWait = timers.after(waitMs, () => {
      this.#cancelWait = undefined;
      if (this.#wanted) this.wake();
    });
  }

  async #step(): Promise<void> {
    const { key, local, cloud, timers, minIntervalMs } = this.#options;
    const view = await this.#look();
    const { send } = await this.#write(view);
    this.#isAttemptRefused = false;
    if (!send || this.#stopped) return;
    const request = requestBetween(view.state, send.state);
    if (!request) return;
    this.#mayTellAt = timers.now() + minIntervalMs;
    let version: number | undefined;
    try {
      this.#isTelling = true;
      this.#isUnclear = false;
      version = await cloud.change(key, request, view.version);
    } catch (error) {
      if (!(error instanceof CloudRefusal)) throw error;
      this.#isAttemptRefused = true;
      // Somebody was faster (409), or what was to be deleted is gone (404): look again.
      if (error.code !== 409 && error.code !== 404) throw error;
      this.#view = undefined;
      this.#wanted = true;
      return;
    } finally {
      this.#isTelling = false;
    }
    if (this.#stopped) return;
    this.#told(view, { version, state: send.state });
    await local.syncStep(key, (kept) => {
      // The local shadow may have moved on since what was sent, which may be from before a crash.
      if (!isSameSide(kept?.document?.state, send.accepted.base)) this.#wanted = true;
      return { record: writeRecord(send.accepted) };
    });
  }

  /** The cloud accepted: what it became is known, unless somebody else made or deleted the shadow in the same moment. */
  #told(before: CloudView, now: CloudView): void {
    // A new shadow could not name a version: others may have made it too, and then it holds more than what was sent.
    const isMade = before.version === undefined;
    // Deleted before or after what was sent arrived? Versions don't tell.
    const isGone = now.version !== undefined && this.#view !== undefined && this.#view.version === undefined;
    if (isMade || isGone || this.#isUnclear) {
      this.#view = undefined;
      this.wake();
    } else if (this.#view?.version === before.version) this.#view = now;
  }

  async #look(): Promise<CloudView> {
    while (this.#view === undefined) {
      this.#heard = undefined;
      const seen = await this.#options.cloud.get(this.#options.key);
      const heard = this.#heard as News | undefined;
      // News that came meanwhile may be older than the answer or newer. Of a shadow that is gone no version tells.
      if (!heard || (seen.version !== undefined && heard.atVersion < seen.version)) this.#view = seen;
      else if (seen.version !== undefined || heard.version === undefined) {
        this.#view = { version: heard.version, state: heard.state };
      }
    }
    return this.#view;
  }

  async #write(view: CloudView): Promise<Decision> {
    const { key, direction, local } = this.#options;
    let decision: Decision | undefined;
    await local.syncStep(key, (kept, text) => {
      const side = kept?.document?.state;
      decision = decide({
        direction,
        local: side,
        cloud: view,
        record: this.#read(text),
        isAttemptRefused: this.#isAttemptRefused,
      });
      const request = requestBetween(side, decision.local);
      const record = writeRecord(decision.record);
      return {
        ...(request && {
          operation: { operation: request.operation, payload: Buffer.from(JSON.stringify(request.body)) },
        }),
        ...(record !== text && { record }),
      };
    });
    if (!decision) throw new Error('the shadow service did not run the step');
    return decision;
  }

  #read(text: string | undefined): SyncRecord | undefined {
    if (text === undefined) return undefined;
    try {
      return readRecord(text);
    } catch (error) {
      const { key, logger } = this.#options;
      logger.error({ key, reason: (error as Error).message }, 'The sync starts anew for a shadow.');
      return undefined;
    }
  }
}
