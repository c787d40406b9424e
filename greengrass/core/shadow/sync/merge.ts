/**
 * The conflict rule of the shadow sync, pure. docs/shadows.md has it in words.
 *
 * Three states are compared: `base`, what both sides agreed on last, and what each side has now. Leaf by leaf: changed on one
 * side only, the change holds; changed on both, `desired` is the cloud's and `reported` is the core's. A deletion is a
 * change like any other, so what one side deleted and the other left alone stays deleted.
 */
import {
  isEqual,
  type Json,
  type JsonObject,
  MAX_SHADOW_BYTES,
  type ShadowState,
} from '../../../model/shadow-document.js';

/** A shadow's state; undefined where there is no shadow. */
export type Side = ShadowState | undefined;
type Part = 'desired' | 'reported';
type Owner = 'cloud' | 'local';

/** Whose value holds where both sides changed a leaf. No clock has a say: clocks of devices jump. */
const OWNERS: Readonly<Record<Part, Owner>> = { desired: 'cloud', reported: 'local' };
const PARTS: readonly Part[] = ['desired', 'reported'];

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isSameSide(a: Side, b: Side): boolean {
  if (a === undefined || b === undefined) return a === b;
  return PARTS.every((part) => isEqual(a[part] ?? {}, b[part] ?? {}));
}

/**
 * What both sides become. `base` undefined where there was none, also where it never was known: then what only one side
 * has is an addition, and the result is the union. Where the union is too large for a shadow, the cloud's document holds.
 */
export function mergeSides(base: Side, local: Side, cloud: Side): Side {
  const state: ShadowState = {};
  for (const part of PARTS) {
    const merged = mergeValue(base?.[part], local?.[part], cloud?.[part], OWNERS[part]);
    if (isObject(merged)) state[part] = merged;
  }
  if (Buffer.byteLength(JSON.stringify(state)) > MAX_SHADOW_BYTES) return cloud ?? local;
  if (state.desired || state.reported) return state;
  // Nothing is left: whether an empty shadow stays is up to the side that changed its mind.
  const exists = (side: Side) => side !== undefined;
  const isThere = exists(local) === exists(cloud) ? exists(local) : !exists(base);
  return isThere ? {} : undefined;
}

/** undefined: not there. Empty objects are never there, as in every shadow. */
function mergeValue(
  base: Json | undefined,
  local: Json | undefined,
  cloud: Json | undefined,
  owner: Owner,
): Json | undefined {
  if (isEqual(local, cloud) || isEqual(cloud, base)) return local;
  if (isEqual(local, base)) return cloud;
  const winner = owner === 'cloud' ? cloud : local;
  // A value (not an object) that wins takes the place of all that the other side has there.
  if (winner !== undefined && !isObject(winner)) return winner;
  if (!isObject(local) && !isObject(cloud)) return winner;
  // Whoever has no object there deleted all that was in it.
  return mergeObjects(objectOrEmpty(base), objectOrEmpty(local), objectOrEmpty(cloud), owner);
}

function mergeObjects(
  base: JsonObject,
  local: JsonObject,
  cloud: JsonObject,
  owner: Owner,
): JsonObject | undefined {
  const merged: JsonObject = Object.create(null);
  for (const key of new Set([...Object.keys(local), ...Object.keys(cloud)])) {
    const value = mergeValue(own(base, key), own(local, key), own(cloud, key), owner);
    if (value !== undefined) merged[key] = value;
  }
  return Object.keys(merged).length === 0 ? undefined : merged;
}

function objectOrEmpty(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/**
 * What both sides have in common, leaf by leaf, and `base` where they differ. The base while one side still has to be told.
 */
export function agreed(base: Side, a: Side, b: Side): Side {
  const state: ShadowState = {};
  for (const part of PARTS) {
    const value = agreedValue(base?.[part], a?.[part], b?.[part]);
    if (isObject(value)) state[part] = value;
  }
  if (state.desired || state.reported) return state;
  const decides = (a === undefined) === (b === undefined) ? a : base;
  return decides === undefined ? undefined : {};
}

function agreedValue(base: Json | undefined, a: Json | undefined, b: Json | undefined): Json | undefined {
  if (isEqual(a, b)) return a;
  // Only objects, and what is not there, have parts in common.
  if ([base, a, b].some((value) => value !== undefined && !isObject(value))) return base;
  const [inBase, inA, inB] = [objectOrEmpty(base), objectOrEmpty(a), objectOrEmpty(b)];
  const next: JsonObject = Object.create(null);
  for (const key of new Set([inBase, inA, inB].flatMap((object) => Object.keys(object)))) {
    const value = agreedValue(own(inBase, key), own(inA, key), own(inB, key));
    if (value !== undefined) next[key] = value;
  }
  return Object.keys(next).length === 0 ? undefined : next;
}

/**
 * The base after an attempt whose end is not known: the cloud was asked to become `attempt` and is found as `cloud`. A leaf
 * that is as we asked for was written by us, so that a later local change is no conflict with the core's own earlier one. A
 * shadow that is gone was deleted after the attempt: deletions are not undone.
 */
export function afterAttempt(base: Side, attempt: Side, cloud: Side): Side {
  return cloud === undefined ? attempt : agreed(base, attempt, cloud);
}

/** The `state` of an update that makes `to` of `from`: nulls for what goes. undefined where they are equal. */
export function patchBetween(from: ShadowState, to: ShadowState): ShadowState | undefined {
  const patch: { [part in Part]?: JsonObject } = {};
  for (const part of PARTS) {
    const changes = changesBetween(from[part] ?? {}, to[part] ?? {});
    if (changes) patch[part] = changes;
  }
  return patch.desired || patch.reported ? patch : undefined;
}

function changesBetween(from: JsonObject, to: JsonObject): JsonObject | undefined {
  const changes: JsonObject = Object.create(null);
  for (const key of Object.keys(from)) if (!Object.hasOwn(to, key)) changes[key] = null;
  for (const [key, value] of Object.entries(to)) {
    const before = own(from, key);
    if (isEqual(before, value)) continue;
    const inner = isObject(value) && isObject(before) ? changesBetween(before, value) : undefined;
    changes[key] = inner ?? value;
  }
  return Object.keys(changes).length === 0 ? undefined : changes;
}

/**
 * One direction only: what changed on the source since `base` is done to the target, and the target's other changes are left
 * alone. Answers what the target becomes.
 */
export function follow(base: Side, source: Side, target: Side): Side {
  if (isSameSide(base, source)) return target;
  const state: ShadowState = {};
  for (const part of PARTS) {
    const value = mergeValue(base?.[part], source?.[part], target?.[part], 'local');
    if (isObject(value)) state[part] = value;
  }
  if (Buffer.byteLength(JSON.stringify(state)) > MAX_SHADOW_BYTES) return source ?? target;
  if (state.desired || state.reported) return state;
  return source === undefined ? undefined : {};
}
