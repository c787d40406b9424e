/** The environment variables of GGCloudSpooler:1, as the group sets them. */
import type { FullPolicy } from './spool.js';

/** V1: at least this many bytes. */
const MIN_SPOOL_BYTES = 262_144;
const DEFAULT_SPOOL_BYTES = 2_621_440;

export interface SpoolSettings {
  readonly storage: 'Memory' | 'FileSystem';
  readonly maxBytes: number;
  readonly full: FullPolicy;
  /** Of the subscriptions with source `cloud`: QoS 0, or QoS 1 in a persistent session. */
  readonly quality: 'AtMostOnce' | 'AtLeastOncePersistent';
}

export const DEFAULT_SPOOL: SpoolSettings = {
  storage: 'Memory',
  maxBytes: DEFAULT_SPOOL_BYTES,
  full: 'keepNewest',
  quality: 'AtMostOnce',
};

/** Throws with V1's texts, and names the variable. */
export function spoolSettings(variables: Readonly<Record<string, string>>): SpoolSettings {
  const text = variables.GG_CONFIG_MAX_SIZE_BYTES;
  const maxBytes = text === undefined ? DEFAULT_SPOOL_BYTES : Number(text);
  if (!Number.isSafeInteger(maxBytes) || maxBytes < MIN_SPOOL_BYTES) {
    throw new Error(
      `Spool size should be at least ${MIN_SPOOL_BYTES} bytes, but GG_CONFIG_MAX_SIZE_BYTES is "${text}"`,
    );
  }
  return {
    storage: oneOf(variables, 'GG_CONFIG_STORAGE_TYPE', ['Memory', 'FileSystem']),
    maxBytes,
    full: oneOf(variables, 'GG_CONFIG_QUEUE_FULL_POLICY', ['keepNewest', 'keepOldest']),
    quality: oneOf(variables, 'GG_CONFIG_SUBSCRIPTION_QUALITY', ['AtMostOnce', 'AtLeastOncePersistent']),
  };
}

/** The first value is the default. */
function oneOf<T extends string>(
  variables: Readonly<Record<string, string>>,
  name: string,
  [first, second]: readonly [T, T],
): T {
  const value = variables[name] ?? first;
  if (value === first) return first;
  if (value === second) return second;
  throw new Error(`${name} must be ${first} or ${second}, but is "${value}"`);
}
