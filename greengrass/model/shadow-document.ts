/**
 * Shadow documents: merge, delta, version, metadata (pure). The rules are AWS IoT's: objects merge, `null` deletes
 * a key, arrays and scalars replace, metadata keeps the time of the last change per leaf, the version counts up by
 * one with every accepted update and goes on counting after a deletion.
 */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };
/** Mirrors the state: `{timestamp}` where the state has a leaf, an array of them for an array. */
export type Metadata = { [key: string]: Json };

export interface ShadowState {
  desired?: JsonObject;
  reported?: JsonObject;
}

export interface ShadowDocument {
  readonly state: ShadowState;
  readonly metadata: { desired?: Metadata; reported?: Metadata };
  readonly version: number;
}

/** An update as a client sends it, already checked for its form. */
export interface ShadowUpdate {
  readonly state: { desired?: JsonObject | null; reported?: JsonObject | null };
  readonly version?: number;
  readonly clientToken?: string;
}

/** A refused operation: AWS IoT's code (400, 404, 409, 413, …) and text. */
export class ShadowRefusal extends Error {
  override readonly name = 'ShadowRefusal';
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** Largest state (desired and reported together, as JSON text) in bytes. */
export const MAX_SHADOW_BYTES = 8 * 1024;
/** Deepest nesting below desired or reported. */
export const MAX_SHADOW_DEPTH = 5;
const MAX_CLIENT_TOKEN_BYTES = 64;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads the body of an update. Throws a ShadowRefusal with AWS IoT's texts. */
export function parseShadowUpdate(payload: Uint8Array): ShadowUpdate {
  const value = parseObject(payload);
  const { state, version, clientToken } = value;
  if (state === undefined) throw new ShadowRefusal(400, 'Missing required node: state');
  if (!isObject(state)) throw new ShadowRefusal(400, 'State node must be an object');
  for (const [key, part] of Object.entries(state)) {
    if (key !== 'desired' && key !== 'reported') {
      throw new ShadowRefusal(400, `State contains an invalid node: '${key}'`);
    }
    if (part !== null && !isObject(part))
      throw new ShadowRefusal(400, `${title(key)} node must be an object`);
    if (isDeeper(part, MAX_SHADOW_DEPTH)) {
      throw new ShadowRefusal(
        400,
        `JSON contains too many levels of nesting; maximum is ${MAX_SHADOW_DEPTH}`,
      );
    }
  }
  if (version !== undefined && (typeof version !== 'number' || !Number.isInteger(version) || version < 0)) {
    throw new ShadowRefusal(400, 'Invalid version');
  }
  return {
    state: state as { desired?: JsonObject | null; reported?: JsonObject | null },
    ...(version === undefined ? {} : { version }),
    ...optionalToken(clientToken),
  };
}

/** Reads `{clientToken}` from the body of a get or a delete; an empty body is fine. */
export function parseShadowRequest(payload: Uint8Array): { clientToken?: string; version?: number } {
  if (payload.length === 0) return {};
  const { clientToken, version } = parseObject(payload);
  return { ...optionalToken(clientToken), ...(typeof version === 'number' ? { version } : {}) };
}

function parseObject(payload: Uint8Array): JsonObject {
  if (payload.length > 128 * 1024)
    throw new ShadowRefusal(413, 'The payload exceeds the maximum size allowed');
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(payload);
  } catch {
    throw new ShadowRefusal(422, 'Invalid encoding; the payload must be UTF-8');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ShadowRefusal(400, 'Invalid JSON');
  }
  if (!isObject(value)) throw new ShadowRefusal(400, 'Payload must be a JSON object');
  return value;
}

function optionalToken(token: Json | undefined): { clientToken?: string } {
  if (token === undefined || token === null) return {};
  if (typeof token !== 'string' || Buffer.byteLength(token) > MAX_CLIENT_TOKEN_BYTES) {
    throw new ShadowRefusal(
      400,
      `Invalid clientToken; it must be a string of at most ${MAX_CLIENT_TOKEN_BYTES} bytes`,
    );
  }
  return { clientToken: token };
}

function title(key: string): string {
  return key.charAt(0).toUpperCase() + key.slice(1);
}

/** True where objects and arrays nest deeper than `levels`. Looks no further down than that: the depth is the sender's. */
function isDeeper(value: Json | undefined, levels: number): boolean {
  if (!Array.isArray(value) && !isObject(value)) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

/**
 * Applies an update. `previousVersion` is that of the last document, also of a deleted one (0 where there never was
 * one); `nowS` is the time in epoch seconds. Throws a ShadowRefusal (409 version conflict, 413 too large).
 */
export function applyUpdate(
  current: ShadowDocument | undefined,
  update: ShadowUpdate,
  nowS: number,
  previousVersion = current?.version ?? 0,
): ShadowDocument {
  if (update.version !== undefined && update.version !== previousVersion) {
    throw new ShadowRefusal(409, 'Version conflict');
  }
  const state: ShadowState = {};
  const metadata: ShadowDocument['metadata'] = {};
  for (const part of ['desired', 'reported'] as const) {
    const change = update.state[part];
    if (change === null) continue;
    const merged = mergeObject(current?.state[part] ?? {}, current?.metadata[part] ?? {}, change ?? {}, nowS);
    if (Object.keys(merged.state).length === 0) continue;
    state[part] = merged.state;
    metadata[part] = merged.metadata;
  }
  if (Buffer.byteLength(JSON.stringify(state)) > MAX_SHADOW_BYTES) {
    throw new ShadowRefusal(413, 'The payload exceeds the maximum size allowed');
  }
  return { state, metadata, version: previousVersion + 1 };
}

function mergeObject(
  state: JsonObject,
  metadata: Metadata,
  change: JsonObject,
  nowS: number,
): { state: JsonObject; metadata: Metadata } {
  // Objects without a prototype: a key named __proto__ is data like any other.
  const nextState: JsonObject = Object.assign(Object.create(null), state);
  const nextMetadata: Metadata = Object.assign(Object.create(null), metadata);
  for (const [key, value] of Object.entries(change)) {
    if (value === null) {
      delete nextState[key];
      delete nextMetadata[key];
      continue;
    }
    if (isObject(value)) {
      const before = nextState[key];
      const merged = mergeObject(
        isObject(before) ? before : {},
        isObject(before) ? ((nextMetadata[key] as Metadata | undefined) ?? {}) : {},
        value,
        nowS,
      );
      if (Object.keys(merged.state).length === 0) {
        delete nextState[key];
        delete nextMetadata[key];
      } else {
        nextState[key] = merged.state;
        nextMetadata[key] = merged.metadata;
      }
      continue;
    }
    nextState[key] = value;
    nextMetadata[key] = stamp(value, nowS);
  }
  return { state: nextState, metadata: nextMetadata };
}

function stamp(value: Json, nowS: number): Json {
  if (Array.isArray(value)) return value.map((item) => stamp(item, nowS));
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, stamp(item, nowS)]));
  }
  return { timestamp: nowS };
}

/** What is desired and not (or not so) reported, with its metadata; undefined where nothing is. */
export function deltaOf(document: ShadowDocument): { state: JsonObject; metadata: Metadata } | undefined {
  const { desired, reported } = document.state;
  if (!desired || !reported) return desired && !reported ? wholeDesired(document) : undefined;
  return differences(desired, reported, document.metadata.desired ?? {});
}

function wholeDesired(document: ShadowDocument): { state: JsonObject; metadata: Metadata } | undefined {
  const { desired } = document.state;
  if (!desired || Object.keys(desired).length === 0) return undefined;
  return { state: desired, metadata: document.metadata.desired ?? {} };
}

function differences(
  desired: JsonObject,
  reported: JsonObject,
  metadata: Metadata,
): { state: JsonObject; metadata: Metadata } | undefined {
  const state: JsonObject = Object.create(null);
  const stamps: Metadata = Object.create(null);
  for (const [key, value] of Object.entries(desired)) {
    const other = reported[key];
    if (isObject(value) && isObject(other)) {
      const inner = differences(value, other, (metadata[key] as Metadata | undefined) ?? {});
      if (inner) {
        state[key] = inner.state;
        stamps[key] = inner.metadata;
      }
    } else if (!isEqual(value, other)) {
      state[key] = value;
      stamps[key] = metadata[key] ?? null;
    }
  }
  return Object.keys(state).length === 0 ? undefined : { state, metadata: stamps };
}

/** Deep equality of JSON values; the order of keys does not matter. */
export function isEqual(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => isEqual(item, b[index]));
  }
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => key in b && isEqual(a[key], b[key]));
  }
  return false;
}
