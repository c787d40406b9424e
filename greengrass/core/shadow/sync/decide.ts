/** One step of the sync of one shadow, pure: what to write on either side, and what to remember. docs/shadows.md has the rule. */
import { checkJson, z } from '../../../lib/check.js';
import type { JsonObject } from '../../../model/shadow-document.js';
import { SYNC_DIRECTIONS, type SyncDirection } from '../../../model/shadow-sync.js';
import { afterAttempt, agreed, follow, isSameSide, mergeSides, patchBetween, type Side } from './merge.js';

/** The cloud's shadow as it was seen last. */
export interface CloudView {
  /** undefined where there is no shadow. */
  readonly version: number | undefined;
  readonly state: Side;
}

/** What is kept of a shadow between two steps, with the shadow itself in one transaction. */
export interface SyncRecord {
  readonly direction: SyncDirection;
  /** `both`: what the two sides agreed on last. One direction: what the source was when the target was told last. */
  readonly base: Side;
  /** The cloud was asked to become this, and the answer is not known. */
  readonly attempt?: {
    /** Version of the cloud's shadow that the request named. */
    readonly version: number;
    readonly state: Side;
  };
}

export interface Decision {
  /** What the local shadow becomes. Same as it is: nothing to do. */
  readonly local: Side;
  readonly record: SyncRecord;
  /** What to tell the cloud; absent where there is nothing to tell. */
  readonly send?: {
    readonly state: Side;
    /** The record once the cloud accepted. */
    readonly accepted: SyncRecord;
  };
}

export interface Situation {
  readonly direction: SyncDirection;
  readonly local: Side;
  readonly cloud: CloudView;
  readonly record: SyncRecord | undefined;
  /** The cloud refused the attempt of the record: it is known that it was not done. */
  readonly isAttemptRefused: boolean;
}

export function decide(situation: Situation): Decision {
  const { direction, local, cloud, record } = situation;
  // After a change of direction what was remembered means something else.
  const known = record?.direction === direction ? record : undefined;
  if (direction === 'both') return both(situation, known);
  if (direction === 'fromCloud') {
    return {
      local: follow(known?.base, cloud.state, local),
      record: { direction, base: cloud.state },
    };
  }
  // A request that is sent twice does no harm here: the core's word holds either way.
  const state = follow(known?.base, local, cloud.state);
  const told: SyncRecord = { direction, base: local };
  if (isSameSide(state, cloud.state)) return { local, record: told };
  const untold = known ?? { direction, base: undefined };
  if (cloud.version === undefined) return { local, record: untold, send: { state: {}, accepted: untold } };
  return { local, record: untold, send: { state, accepted: told } };
}

function both({ local, cloud, isAttemptRefused }: Situation, known: SyncRecord | undefined): Decision {
  const direction = 'both';
  let base = known?.base;
  const attempt = isAttemptRefused ? undefined : known?.attempt;
  if (known && attempt) {
    if (attempt.version === cloud.version && !isSameSide(attempt.state, cloud.state)) {
      // It did not arrive, or not yet. The same once more, so that at most one request is ever in doubt.
      return {
        local,
        record: known,
        send: { state: attempt.state, accepted: { direction, base: attempt.state } },
      };
    }
    base = afterAttempt(base, attempt.state, cloud.state);
  }
  const merged = mergeSides(base, local, cloud.state);
  const inStep: SyncRecord = { direction, base: merged };
  if (isSameSide(merged, cloud.state)) return { local: merged, record: inStep };
  const record: SyncRecord = { direction, base: agreed(base, merged, cloud.state) };
  if (cloud.version === undefined) {
    // A new shadow can't name a version. It is made empty, so that what is told of its contents can, and so that "gone" always
    // means deleted and never "did not arrive".
    const accepted = { direction, base: agreed(base, merged, {}) } as const;
    return { local: merged, record, send: { state: {}, accepted } };
  }
  return {
    local: merged,
    record: { ...record, attempt: { version: cloud.version, state: merged } },
    send: { state: merged, accepted: inStep },
  };
}

/** The body that makes `to` of `from`: an update, or a deletion. Undefined where they are equal. */
export function requestBetween(
  from: Side,
  to: Side,
): { operation: 'update' | 'delete'; body: { state?: object } } | undefined {
  if (isSameSide(from, to)) return undefined;
  if (to === undefined) return { operation: 'delete', body: {} };
  return { operation: 'update', body: { state: patchBetween(from ?? {}, to) ?? {} } };
}

const side = z
  .object({
    desired: z.custom<JsonObject>((value) => typeof value === 'object' && value !== null).optional(),
    reported: z.custom<JsonObject>((value) => typeof value === 'object' && value !== null).optional(),
  })
  .nullable();
const stored = z.object({
  direction: z.enum(SYNC_DIRECTIONS),
  base: side,
  attempt: z.object({ version: z.number(), state: side }).optional(),
});

export function writeRecord({ direction, base, attempt }: SyncRecord): string {
  return JSON.stringify({
    direction,
    base: base ?? null,
    ...(attempt && { attempt: { version: attempt.version, state: attempt.state ?? null } }),
  });
}

/** Throws where the record is not one of ours. */
export function readRecord(text: string): SyncRecord {
  const { direction, base, attempt } = checkJson(stored, text, 'the sync record of a shadow');
  return {
    direction,
    base: toSide(base),
    ...(attempt && { attempt: { version: attempt.version, state: toSide(attempt.state) } }),
  };
}

function toSide(value: z.output<typeof side>): Side {
  if (value === null) return undefined;
  const { desired, reported } = value;
  return { ...(desired && { desired }), ...(reported && { reported }) };
}
