/**
 * Devices of the running group that the cloud no longer vouches for: it says so by the shadow of `<core>-gcm`, and the list
 * is fetched then, after each connect, with each group, and every hour. The last list is kept under `var/state`: while
 * the cloud is away the core goes on with it, also after a restart.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { backoffMs } from '../../lib/backoff.js';
import { checkJson, z } from '../../lib/check.js';
import type { Logger } from '../../lib/log.js';
import { devicesThingName, type RefusedDevice, refusedDevice } from '../../model/device-list.js';
import { shadowTopic } from '../../model/topic.js';
import type { Component, Health } from '../component.js';
import { type ServiceClient, ServiceError } from '../service-client.js';

const FETCH_EVERY_MS = 60 * 60_000;
const RETRY_BASE_MS = 1000;
const RETRY_MAX_MS = 5 * 60_000;

const kept = z.object({ groupId: z.string(), refused: z.array(refusedDevice) });
type Kept = z.output<typeof kept>;

export interface RefusedDevicesOptions {
  readonly thingName: string;
  readonly writeDirectory: string;
  /** The connection to the cloud. */
  readonly link: {
    readonly connected: boolean;
    subscribe(filter: string, handler: () => void): void;
    onConnected(listener: () => void): void;
  };
  readonly service: Pick<ServiceClient, 'refusedDevices'>;
  /** Called with the whole list whenever it has changed. */
  readonly onChange: (refused: readonly RefusedDevice[]) => void;
  /** Something in the cloud has changed that concerns the certificates of this core. */
  readonly onNotice?: () => void;
  readonly logger: Logger;
}

export class RefusedDevices implements Component {
  readonly name = 'GGDeviceCertificateManager';
  readonly #options: RefusedDevicesOptions;
  readonly #file: string;
  #groupId: string | undefined;
  #kept: Kept | undefined;
  #fetching: Promise<void> | undefined;
  /** Something came while a fetch was under way, whose answer may be older. */
  #isStale = false;
  #attempt = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = true;

  constructor(options: RefusedDevicesOptions) {
    this.#options = options;
    this.#file = join(options.writeDirectory, 'var', 'state', 'refused-devices.json');
  }

  async start(): Promise<void> {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    const { thingName, link, onNotice } = this.#options;
    link.subscribe(shadowTopic(devicesThingName(thingName), 'update', 'delta'), () => {
      this.fetch();
      onNotice?.();
    });
    link.onConnected(() => this.fetch());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#fetching;
  }

  health(): Health {
    return { healthy: true };
  }

  /** The group that runs from now on; undefined: none. What is on disk about it counts until the cloud has answered. */
  setGroup(groupId: string | undefined): void {
    this.#groupId = groupId;
    this.#kept ??= this.#load();
    const { groupId: keptFor, refused = [] } = this.#kept ?? {};
    this.#options.onChange(keptFor === groupId ? refused : []);
    this.fetch();
  }

  /** V1's reset. */
  forget(): void {
    this.#kept = undefined;
    rmSync(this.#file, { force: true });
  }

  /** Asks the cloud, unless it is away: the next connect asks then. */
  fetch(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped || this.#groupId === undefined || !this.#options.link.connected) return;
    if (this.#fetching) {
      this.#isStale = true;
      return;
    }
    this.#isStale = false;
    this.#fetching = this.#fetch(this.#groupId).then((retryInMs) => {
      this.#fetching = undefined;
      if (this.#isStopped) return;
      if (this.#isStale) this.fetch();
      else this.#timer = setTimeout(() => this.fetch(), retryInMs).unref();
    });
  }

  /** Answers when to ask again, in ms. Never rejects. */
  async #fetch(groupId: string): Promise<number> {
    const { service, logger } = this.#options;
    try {
      const refused = await service.refusedDevices(groupId);
      this.#attempt = 0;
      if (groupId === this.#groupId) this.#take({ groupId, refused });
    } catch (error) {
      const { message } = error as Error;
      // A service that knows no such request, or a policy that does not allow it: asking often helps nobody.
      if (error instanceof ServiceError && !error.recoverable) {
        logger.warn({ reason: message }, 'The cloud does not say which devices have lost their right.');
        return FETCH_EVERY_MS;
      }
      const retryInMs = backoffMs(this.#attempt++, { baseMs: RETRY_BASE_MS, maxMs: RETRY_MAX_MS });
      logger.warn({ reason: message, retryInMs }, 'Could not ask which devices have lost their right.');
      return retryInMs;
    }
    return FETCH_EVERY_MS;
  }

  #take(news: Kept): void {
    const { logger, onChange } = this.#options;
    if (JSON.stringify(news) === JSON.stringify(this.#kept)) return;
    this.#kept = news;
    logger.info({ devices: news.refused.map(({ thingArn }) => thingArn) }, 'Devices that are refused.');
    onChange(news.refused);
    try {
      writeFileAtomic(this.#file, JSON.stringify(news), 0o600);
    } catch (error) {
      logger.error(
        { reason: (error as Error).message },
        'The list of refused devices could not be written; it counts until the next restart.',
      );
    }
  }

  #load(): Kept | undefined {
    try {
      return checkJson(kept, readFileSync(this.#file, 'utf8'), this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#options.logger.error(
          { reason: (error as Error).message },
          'The list of refused devices could not be read; the cloud is asked for it.',
        );
      }
      return undefined;
    }
  }
}
