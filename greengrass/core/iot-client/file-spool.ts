/**
 * The spool in a file: survives kill -9 and power cuts. Group commit: what is pushed in one turn of the event loop is
 * stored by one transaction at its end, together with the removals that are due. Memory holds only what is not stored yet, however many messages lie on the disk.
 *
 * While storing fails (full disk) the messages stay in memory, within the bound, may be sent from there, and are tried
 * to be stored again and again.
 */
import { DiskReserve } from './disk-reserve.js';
import { laneOf, laneOfPriority, withLane } from './lanes.js';
import { rowBytes, type Spool, type SpooledMessage, type SpoolLimits, type SpoolListener } from './spool.js';
import type { SpoolFile, Stock } from './spool-file.js';
import { isDamage, openSpoolFile, renewSpoolFile } from './spool-salvage.js';

/** More than that is not gathered for one transaction. */
const MAX_BATCH_BYTES = 256 * 1024;
/** Removals alone may wait so long: a crash before only makes the cloud get these messages twice. */
const REMOVAL_DELAY_MS = 20;
/** Between attempts while storing fails. */
const RETRY_MS = 1000;

export class FileSpool implements Spool {
  #file: SpoolFile;
  readonly #reserve: DiskReserve;
  #limits: SpoolLimits;
  /** What is in the file. */
  #stock: Stock;
  /** By lane: the last id that was given, and the last one that gave way. */
  readonly #lastIds: Map<number, number>;
  readonly #evictedThrough = new Map<number, number>();
  #lanes: readonly number[];
  /** Not stored yet. */
  readonly #pending = new Map<number, SpooledMessage>();
  #pendingBytes = 0;
  /** Stored, and to be deleted: the cloud has them. Bytes by id. */
  readonly #gone = new Map<number, number>();
  #goneBytes = 0;
  #turn: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #trouble = false;
  /** How long the last transaction took: no more than half of the time goes into waiting for the disk. */
  #lastMs = 0;

  constructor(
    private readonly path: string,
    limits: SpoolLimits,
    private readonly listener: SpoolListener,
  ) {
    this.#limits = limits;
    this.#reserve = new DiskReserve(`${path}-reserve`);
    this.#file = openSpoolFile(
      path,
      (damage) => this.listener.onDamage?.(damage),
      () => this.#reserve.giveUp(),
    );
    this.#reserve.take();
    const { lastIds, ...stock } = this.#file.stock();
    this.#stock = stock;
    this.#lastIds = new Map(lastIds);
    this.#lanes = [...lastIds.keys()].sort((a, b) => a - b);
  }

  push(
    topic: string,
    payload: Buffer,
    expiresAt?: number,
    priority?: number,
    cameAt = Date.now(),
  ): SpooledMessage | undefined {
    const lane = laneOfPriority(priority);
    const id = (this.#lastIds.get(lane) ?? lane) + 1;
    const message = { id, topic, payload, cameAt, ...(expiresAt === undefined ? {} : { expiresAt }) };
    const bytes = rowBytes(message);
    if (!this.hasRoom(bytes)) return undefined;
    this.#lastIds.set(lane, id);
    this.#lanes = withLane(this.#lanes, lane);
    this.#pending.set(message.id, message);
    this.#pendingBytes += bytes;
    if (this.#trouble) this.listener.onReady();
    else if (this.#pendingBytes >= MAX_BATCH_BYTES) this.flush();
    else this.#schedule();
    return message;
  }

  hasRoom(bytes: number): boolean {
    const { maxBytes, full } = this.#limits;
    if (this.#trouble && this.#pendingBytes + bytes > maxBytes) return false;
    return full === 'keepNewest' || this.bytes + bytes <= maxBytes;
  }

  after(id: number, count: number, bytes: number, until = Number.MAX_SAFE_INTEGER): SpooledMessage[] {
    const found: SpooledMessage[] = [];
    let size = 0;
    const wanted = () => found.length < count && size < bytes;
    const take = (message: SpooledMessage) => {
      found.push(message);
      size += rowBytes(message);
    };
    const unstored = this.#unstored(id, until);
    let at = 0;
    for (const message of this.#stored(id, until, count + this.#gone.size)) {
      for (let next = unstored[at]; next && next.id < message.id && wanted(); next = unstored[++at])
        take(next);
      if (!wanted()) break;
      if (!this.#gone.has(message.id)) take(message);
    }
    for (; at < unstored.length && wanted(); at++) take(unstored[at] as SpooledMessage);
    return found;
  }

  get lanes(): readonly number[] {
    return this.#lanes;
  }

  remove(message: SpooledMessage): void {
    const { id } = message;
    if (this.#pending.delete(id)) {
      this.#pendingBytes -= rowBytes(message);
      return;
    }
    if (id <= (this.#evictedThrough.get(laneOf(id)) ?? 0) || this.#gone.has(id)) return;
    const bytes = rowBytes(message);
    this.#gone.set(id, bytes);
    this.#goneBytes += bytes;
    if (!this.#turn && !this.#timer) this.#later(REMOVAL_DELAY_MS);
  }

  flush(): boolean {
    // While storing fails, attempts have their own time.
    return this.#trouble ? this.#pending.size === 0 : this.#flush();
  }

  setLimits(limits: SpoolLimits): void {
    this.#limits = limits;
    this.#flush();
  }

  get length(): number {
    return this.#stock.rows + this.#pending.size - this.#gone.size;
  }

  get bytes(): number {
    return this.#stock.bytes + this.#pendingBytes - this.#goneBytes;
  }

  close(): void {
    this.#flush();
    this.#clear();
    if (this.#pending.size > 0) this.listener.onLost?.(this.#pending.size);
    this.#file.close();
  }

  /** Nothing where the file can't be read at present: that is told, and tried again when something new comes. */
  *#stored(after: number, until: number, count: number): Generator<SpooledMessage> {
    let last = after;
    let isRenewed = false;
    for (;;) {
      try {
        for (const message of this.#file.read(last, until, count)) {
          yield message;
          last = message.id;
        }
        return;
      } catch (error) {
        if (isRenewed || !this.#renew(error)) {
          this.#fails(error as Error);
          return;
        }
        isRenewed = true;
      }
    }
  }

  /** The file turned out to be damaged: on with a new one, and what can be read of the old. False where it is not that. */
  #renew(error: unknown): boolean {
    if (!isDamage(error)) return false;
    const { rows } = this.#stock;
    this.#file.close();
    try {
      this.#file = renewSpoolFile(this.path, error as Error, (damage) =>
        this.listener.onDamage?.({ ...damage, lost: Math.max(0, rows - damage.saved) }),
      );
      const { lastIds, ...stock } = this.#file.stock();
      this.#stock = stock;
      for (const [lane, id] of lastIds) this.#lastIds.set(lane, Math.max(id, this.#lastIds.get(lane) ?? 0));
      return true;
    } catch {
      // No new one can be made: the messages stay in memory, within the bound.
      return false;
    }
  }

  /** At the end of this turn; later where the disk is slow, so that the rest of the core has its share. */
  #schedule(): void {
    if (this.#turn) return;
    if (this.#lastMs > 5) {
      if (!this.#timer) this.#later(this.#lastMs);
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#turn = setImmediate(() => this.#flush());
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), ms);
  }

  #clear(): void {
    clearImmediate(this.#turn);
    clearTimeout(this.#timer);
    this.#turn = undefined;
    this.#timer = undefined;
  }

  #flush(): boolean {
    this.#clear();
    const isDue =
      this.#trouble ||
      this.#pending.size > 0 ||
      this.#gone.size > 0 ||
      this.#stock.bytes > this.#limits.maxBytes;
    if (!isDue) return true;
    const started = performance.now();
    try {
      this.#commit();
    } catch (error) {
      // From now on they may be sent from memory.
      if (this.#fails(error as Error)) this.listener.onReady();
      return false;
    }
    this.#lastMs = performance.now() - started;
    if (this.#trouble) {
      this.#trouble = false;
      this.listener.onTrouble(undefined);
      this.listener.onReady();
    }
    return true;
  }

  /** Tried again later. True where it is news. */
  #fails(error: Error): boolean {
    const isNews = !this.#trouble;
    this.#trouble = true;
    if (isNews) this.listener.onTrouble(error);
    this.#later(RETRY_MS);
    return isNews;
  }

  #commit(): void {
    const hadPending = this.#pending.size > 0;
    try {
      this.#apply(this.#pending.values(), this.#limits.maxBytes);
    } catch (error) {
      if ((error as { code?: string }).code !== 'SQLITE_FULL') throw error;
      this.#makeRoomOnDisk();
      this.#apply(this.#pending.values(), this.#limits.maxBytes);
      this.#file.checkpoint();
      this.#reserve.take();
    }
    this.#pending.clear();
    this.#pendingBytes = 0;
    if (hadPending) this.listener.onReady();
  }

  /** The disk is full: what the cloud has goes, and the oldest messages give way as where the spool is full. */
  #makeRoomOnDisk(): void {
    this.#reserve.giveUp();
    this.#file.checkpoint();
    const left = this.#stock.bytes - this.#goneBytes;
    const room = this.#limits.full === 'keepNewest' ? 2 * this.#pendingBytes + 65_536 : 0;
    this.#apply([], Math.max(0, left - room));
    this.#file.checkpoint();
  }

  #apply(added: Iterable<SpooledMessage>, maxBytes: number): void {
    const batch = { removed: this.#gone, added: [...added], maxBytes };
    const { rows, bytes, evicted, evictedThrough } = this.#guarded(() =>
      this.#file.apply(this.#stock, batch),
    );
    this.#stock = { rows, bytes };
    for (const [lane, id] of evictedThrough) this.#evictedThrough.set(lane, id);
    this.#gone.clear();
    this.#goneBytes = 0;
    if (evicted > 0) this.listener.onDropped(evicted);
  }

  /** Once more where the file had to be renewed. */
  #guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!this.#renew(error)) throw error;
      return work();
    }
  }

  /** While storing fails: what may be sent from memory, by place. */
  #unstored(after: number, until: number): SpooledMessage[] {
    if (!this.#trouble) return [];
    const found = [...this.#pending.values()].filter(({ id }) => id > after && id < until);
    return found.sort((a, b) => a.id - b.id);
  }
}
