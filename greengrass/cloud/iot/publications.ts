/** A publication that was let in, on its way: retained, stored for sessions, told to the other replicas. */
import type { PersistentSessions } from './persistent-sessions.js';
import type { Replicas } from './replicas.js';
import type { RetainedMessages } from './retained-messages.js';

export interface Publication {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

export class Publications {
  constructor(
    private readonly sessions: PersistentSessions,
    private readonly retained: RetainedMessages,
    private readonly replicas: Replicas,
  ) {}

  /**
   * Resolves when nothing of it can be lost any more, so that it may be acknowledged. Who is connected here without a
   * persistent session, or subscribed with QoS 0, is served by aedes afterwards.
   */
  async take({ topic, payload, qos, retain }: Publication): Promise<void> {
    if (retain) await this.retained.keep({ topic, payload, qos });
    const enqueued = qos === 1 ? await this.sessions.enqueue(topic, payload) : undefined;
    await this.replicas.publish({ topic, payload, qos, enqueued });
  }
}
