/** Forgets entries of the audit log that are older than they need be: at the start, and every day. */
import type { Logger } from '../../lib/log.js';
import type { AuditStore } from '../store/audit.js';

const DAY_MS = 24 * 60 * 60 * 1000;

export class AuditKeeper {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly audit: AuditStore,
    private readonly days: number,
    private readonly log: Logger,
  ) {}

  async start(): Promise<void> {
    await this.#sweep();
    this.#timer = setInterval(() => void this.#sweep(), DAY_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
  }

  async #sweep(): Promise<void> {
    try {
      const count = await this.audit.deleteBefore(new Date(Date.now() - this.days * DAY_MS).toISOString());
      if (count > 0) this.log.info({ count, days: this.days }, 'old entries of the audit log deleted');
    } catch (error) {
      this.log.error({ err: error }, 'the audit log could not be swept');
    }
  }
}
