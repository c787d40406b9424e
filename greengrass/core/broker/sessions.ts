/**
 * All sessions of the local MQTT server, by thing name: one for each device that is connected, or that asked to be
 * remembered. Remembered ones are in SQLite and survive a restart of the core.
 */
import type { Logger } from '../../lib/log.js';
import { ConnectionWindow } from './at-least-once.js';
import { DeviceSession } from './device-session.js';
import { DurableMailbox } from './durable-mailbox.js';
import { SessionStore } from './session-store.js';

export interface Opened {
  readonly session: DeviceSession;
  /** There was a session already, and it goes on [MQTT-3.2.2-2]. */
  readonly isPresent: boolean;
}

export class Sessions {
  readonly #byName = new Map<string, DeviceSession>();
  #store: SessionStore | undefined;

  /** `path`: the database; absent: nothing is remembered, CONNACK says so with session present 0. */
  constructor(
    private readonly path: string | undefined,
    private readonly logger: Logger,
    /** Something is to be settled. */
    private readonly onChange: () => void,
  ) {}

  /** Throws DatabaseError. */
  start(): void {
    if (this.path === undefined || this.#store) return;
    const store = new SessionStore(this.path, this.onChange);
    for (const { clientId, filters, messages } of store.load()) {
      const mailbox = new DurableMailbox(clientId, store, messages);
      this.#byName.set(clientId, new DeviceSession(clientId, true, mailbox, filters));
    }
    this.#store = store;
  }

  stop(): void {
    this.settle();
    this.#store?.close();
    this.#store = undefined;
    this.#byName.clear();
  }

  find(clientId: string): DeviceSession | undefined {
    return this.#byName.get(clientId);
  }

  /** The session of a client that connects. Whoever was connected under this name is gone already. */
  open(clientId: string, isClean: boolean, onOverflow: () => void): Opened {
    const old = this.#byName.get(clientId);
    const store = this.#store;
    if (!isClean && old?.isPersistent) return { session: old, isPresent: true };
    if (old) this.#discard(old);
    const isPersistent = !isClean && store !== undefined;
    if (isPersistent) store.create(clientId);
    const atLeastOnce = isPersistent ? new DurableMailbox(clientId, store) : new ConnectionWindow(onOverflow);
    const session = new DeviceSession(clientId, isPersistent, atLeastOnce);
    this.#byName.set(clientId, session);
    return { session, isPresent: false };
  }

  /** The connection is gone. */
  leave(session: DeviceSession): void {
    session.detach();
    if (!session.isPersistent && this.#byName.get(session.clientId) === session) {
      this.#byName.delete(session.clientId);
    }
  }

  subscribe(session: DeviceSession, filter: string, qos: 0 | 1): void {
    session.subscribe(filter, qos);
    if (session.isPersistent) this.#store?.setFilter(session.clientId, filter, qos);
  }

  unsubscribe(session: DeviceSession, filter: string): void {
    session.unsubscribe(filter);
    if (session.isPersistent) this.#store?.deleteFilter(session.clientId, filter);
  }

  /** Forgets the sessions of devices that `isMember` does not know. */
  keepOnly(isMember: (clientId: string) => boolean): void {
    for (const session of this.#byName.values()) if (!isMember(session.clientId)) this.#discard(session);
    this.settle();
  }

  /** Makes durable what changed. False where it could not be: a full disk, most likely. */
  settle(): boolean {
    try {
      this.#store?.commit();
      return true;
    } catch (error) {
      this.logger.error(
        { reason: (error as Error).message },
        'Sessions of devices could not be written; messages to them are refused.',
      );
      return false;
    }
  }

  #discard(session: DeviceSession): void {
    session.detach();
    if (this.#byName.get(session.clientId) === session) this.#byName.delete(session.clientId);
    if (session.isPersistent) this.#store?.delete(session.clientId);
  }
}
