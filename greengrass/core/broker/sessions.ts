/**
 * All sessions of the local MQTT server, by thing name: one for each device that is connected, or that asked to be
 * remembered. Remembered ones are in SQLite and survive a restart of the core.
 */
import { existsSync, renameSync, rmSync } from 'node:fs';
import type { Logger } from '../../lib/log.js';
import { DatabaseError } from '../../lib/sqlite.js';
import { ConnectionWindow } from './at-least-once.js';
import { DeviceSession } from './device-session.js';
import { DurableMailbox } from './durable-mailbox.js';
import { SessionStore, type StoredMessage, type StoredSession } from './session-store.js';

export interface Opened {
  readonly session: DeviceSession;
  /** There was a session already, and it goes on [MQTT-3.2.2-2]. */
  readonly isPresent: boolean;
}

export class Sessions {
  readonly #byName = new Map<string, DeviceSession>();
  #store: SessionStore | undefined;
  /** Who was promised something about his session since the last commit; and to whom that could not be kept. */
  #promised = new Set<string>();
  #broken = new Set<string>();
  #unreadable = 0;

  /** `path`: the database; absent: nothing is remembered, CONNACK says so with session present 0. */
  constructor(
    private readonly path: string | undefined,
    private readonly logger: Logger,
    /** Something is to be settled. */
    private readonly onChange: () => void,
  ) {}

  /** Sessions that can't be read are put aside: devices must not stay away because of them. Throws DatabaseError. */
  start(): void {
    if (this.path === undefined || this.#store) return;
    const { store, stored } = this.#open(this.path);
    for (const { clientId, filters, messages } of stored) {
      const mailbox = this.#mailbox(clientId, store, messages);
      this.#byName.set(clientId, new DeviceSession(clientId, true, mailbox, filters));
    }
    this.#store = store;
  }

  #mailbox(clientId: string, store: SessionStore, messages?: readonly StoredMessage[]): DurableMailbox {
    const onUnreadable = ({ message: reason }: Error) => {
      this.#unreadable += 1;
      this.logger.error(
        { clientId, reason, lost: this.#unreadable },
        'A message that was kept for a device could not be read and is lost: is the disk damaged?',
      );
    };
    return new DurableMailbox(clientId, store, onUnreadable, messages);
  }

  #open(path: string): { store: SessionStore; stored: StoredSession[] } {
    let store: SessionStore | undefined;
    try {
      store = new SessionStore(path, this.onChange);
      return { store, stored: store.load() };
    } catch (error) {
      store?.close();
      // Opening says DatabaseError; what only reading finds has the code of SQLite.
      if (!(error instanceof DatabaseError) && !isCorrupt(error)) throw error;
      const aside = `${path}.broken`;
      this.logger.error(
        { reason: (error as Error).message, aside },
        'The sessions of devices could not be read; they begin anew, the file was put aside.',
      );
      for (const suffix of ['', '-wal', '-shm']) {
        rmSync(`${aside}${suffix}`, { force: true });
        if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${aside}${suffix}`);
      }
      store = new SessionStore(path, this.onChange);
      return { store, stored: [] };
    }
  }

  stop(): void {
    this.settle();
    this.#store?.close();
    this.#store = undefined;
    this.#byName.clear();
  }

  /** Messages that were lost because the file could not be read where they are. */
  get unreadable(): number {
    return this.#unreadable;
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
    if (isPersistent) {
      store.create(clientId);
      this.#promised.add(clientId);
    }
    const atLeastOnce = isPersistent ? this.#mailbox(clientId, store) : new ConnectionWindow(onOverflow);
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
    if (!session.isPersistent) return;
    this.#store?.setFilter(session.clientId, filter, qos);
    this.#promised.add(session.clientId);
  }

  unsubscribe(session: DeviceSession, filter: string): void {
    session.unsubscribe(filter);
    if (!session.isPersistent) return;
    this.#store?.deleteFilter(session.clientId, filter);
    this.#promised.add(session.clientId);
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
      this.#promised.clear();
      return true;
    } catch (error) {
      this.#broken = this.#promised;
      this.#promised = new Set();
      this.logger.error(
        { reason: (error as Error).message },
        'Sessions of devices could not be written; messages to them are refused.',
      );
      return false;
    }
  }

  /** Clients whose CONNACK, SUBACK or UNSUBACK promises what the last `settle` could not keep. */
  takeBroken(): ReadonlySet<string> {
    const broken = this.#broken;
    if (broken.size > 0) this.#broken = new Set();
    return broken;
  }

  #discard(session: DeviceSession): void {
    session.detach();
    if (this.#byName.get(session.clientId) === session) this.#byName.delete(session.clientId);
    if (session.isPersistent) this.#store?.delete(session.clientId);
  }
}

function isCorrupt(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'SQLITE_NOTADB' || (typeof code === 'string' && code.startsWith('SQLITE_CORRUPT'));
}
