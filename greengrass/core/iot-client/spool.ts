/** What a queue of messages for the cloud can do, wherever it keeps them. */

/** A message that waits for the cloud. */
export interface SpooledMessage {
  /** Its place: by priority, then as it came (`lanes.ts`). Never used twice in one spool. */
  readonly id: number;
  readonly topic: string;
  readonly payload: Buffer;
  /** When it was pushed; ms since 1970. */
  readonly cameAt: number;
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

/**
 * A bounded queue of messages: higher priorities first, each in the order in which it came. Where it is full the oldest of
 * the lowest priority give way. Nothing in it throws because of a full disk: it keeps what it can in memory, and says so.
 */
export interface Spool {
  /** Appends. Undefined: refused, because it is full (keepOldest) or because it can't be stored at present. */
  push(
    topic: string,
    payload: Buffer,
    expiresAt?: number,
    priority?: number,
    cameAt?: number,
  ): SpooledMessage | undefined;
  /** False where `push` would refuse a row of so many bytes. */
  hasRoom(bytes: number): boolean;
  /**
   * The messages behind `id` and before `until` that may be sent, by place: at most `count`, and no more once `bytes` are
   * reached (but one at least). 0 begins at the head. What was removed, and what is not stored yet, is left out.
   */
  after(id: number, count: number, bytes: number, until?: number): SpooledMessage[];
  /** Beginnings of the lanes that held something since the spool was opened, highest priority first. */
  readonly lanes: readonly number[];
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
  /** So many messages had to give way. */
  onDropped(count: number): void;
  /** Storing fails (told once), or works again: undefined. What waits meanwhile is kept in memory, within the bound. */
  onTrouble(error: Error | undefined): void;
  /** Its file was damaged and is a new one now. `saved`: messages that went along; `lost`: absent where it can't be known. */
  onDamage?(damage: {
    readonly reason: string;
    readonly aside: string;
    readonly saved: number;
    readonly lost?: number;
  }): void;
  /** It ends, or moved, and so many messages could neither be stored nor taken along. */
  onLost?(count: number): void;
}

/** What a row takes besides topic and payload: its key, its header, its place in the page. */
export const ROW_OVERHEAD_BYTES = 32;

/** What the message counts against the bound of its spool. */
export function rowBytes({ topic, payload }: { readonly topic: string; readonly payload: Buffer }): number {
  return Buffer.byteLength(topic) + payload.length + ROW_OVERHEAD_BYTES;
}
