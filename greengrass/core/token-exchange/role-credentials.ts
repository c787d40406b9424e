/**
 * Credentials of the group's role, for functions that call AWS with an SDK of theirs (V1's token exchange service). One
 * set serves all functions of the core; it is fetched when somebody asks, and again before it ends.
 */
import type { Logger } from '../../lib/log.js';
import { type RoleCredentials, type ServiceClient, ServiceError } from '../service-client.js';

/** SDKs take new ones when the old have five minutes left; those that they get must last longer. */
const RENEWAL_MS = 10 * 60 * 1000;

export interface RoleCredentialsOptions {
  readonly service: Pick<ServiceClient, 'assumeRoleForGroup'>;
  readonly logger: Logger;
}

export class RoleCredentialsSource {
  readonly #options: RoleCredentialsOptions;
  #kept: RoleCredentials | undefined;
  #fetching: Promise<RoleCredentials> | undefined;
  #generation = 0;

  constructor(options: RoleCredentialsOptions) {
    this.#options = options;
  }

  /**
   * While the cloud is away the kept ones serve until they end. Rejects with ServiceError: the group has no role (not
   * recoverable), or the cloud can't be asked.
   */
  async current(): Promise<RoleCredentials> {
    const kept = this.#kept;
    const leftMs = kept === undefined ? 0 : Date.parse(kept.expiration) - Date.now();
    if (kept && leftMs > RENEWAL_MS) return kept;
    try {
      this.#fetching ??= this.#fetch();
      return await this.#fetching;
    } catch (error) {
      const isRefused = error instanceof ServiceError && !error.recoverable;
      if (kept && kept === this.#kept && leftMs > 0 && !isRefused) return kept;
      throw error;
    }
  }

  /** The group, and so perhaps its role, has changed: what is on its way is the old one's, too. */
  forget(): void {
    this.#kept = undefined;
    this.#fetching = undefined;
    this.#generation += 1;
  }

  async #fetch(): Promise<RoleCredentials> {
    const { service, logger } = this.#options;
    const generation = this.#generation;
    try {
      const received = await service.assumeRoleForGroup();
      if (generation !== this.#generation) return this.current();
      this.#kept = received;
      logger.info({ expiration: received.expiration }, 'Credentials of the group role received.');
      return received;
    } finally {
      if (generation === this.#generation) this.#fetching = undefined;
    }
  }
}
