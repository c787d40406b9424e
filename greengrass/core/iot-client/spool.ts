/** What a queue of messages for the cloud can do, wherever it keeps them. */

/** A message that waits for the cloud. */
export interface SpooledMessage {
  /** Grows with every message; never used twice in one spool. */
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
  /** Not to be sent from then on (extension; ms since 1970). */
  readonly expiresAt?: number;
}

/** Which side gives way when the spool is full: V1 keeps the newest; `keepOldest` refuses new ones instead. */
export type FullPolicy = 'keepNewest' | 'keepOldest';

export interface SpoolLimits {
  /** Bytes that all rows may take together (`rowBytes`). */
  readonly maxBytes: number;
  readonly full: FullPolicy;
}

/** A bounded FIFO of messages. Nothing in it throws because of a full disk: it keeps what it can in memory, and says so. */
export interface Spool {
  /** Appends. Undefined: refused, because it is full (keepOldest) or because it can't be stored at present. */
  push(topic: string, payload: Buffer, expiresAt?: number): SpooledMessage | undefined;
  /** False where `push` would refuse a row of so many bytes. */
  hasRoom(bytes: number): boolean;
  /**
   * The messages behind `id` that may be sent, oldest first: at most `count`, and no more once `bytes` are reached
   * (but one at least). 0 begins at the head. What was removed, and what is not stored yet, is left out.
   */
  after(id: number, count: number, bytes: number): SpooledMessage[];
  /** The cloud has it. Does nothing where the message had to give way in the meantime. */
  remove(message: SpooledMessage): void;
  /** Stores now what is not stored yet; false where that fails. True: all is as safe as this spool makes it. */
  flush(): boolean;
  setLimits(limits: SpoolLimits): void;
  readonly length: number;
  readonly bytes: number;
  /** Stores what is still to be stored. */
  close(): void;
}

/** What a spool tells its owner. */
export interface SpoolListener {
  /** There is something new that may be sent. */
  onReady(): void;
  /** So many of the oldest messages had to give way. */
  onDropped(count: number): void;
  /** Storing fails (told once), or works again: undefined. What waits meanwhile is kept in memory, within the bound. */
  onTrouble(error: Error | undefined): void;
}

/** What a row takes besides topic and payload: its key, its header, its place in the page. */
export const ROW_OVERHEAD_BYTES = 32;

/** What the message counts against the bound of its spool. */
export function rowBytes({ topic, payload }: { readonly topic: string; readonly payload: Buffer }): number {
  return Buffer.byteLength(topic) + payload.length + ROW_OVERHEAD_BYTES;
}
