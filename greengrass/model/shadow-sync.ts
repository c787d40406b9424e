/** Which shadows are kept in step with the cloud, and which way. V1 knew one: the thing's own shadow, both ways. */
import { z } from '../lib/check.js';

/** `toCloud`: local changes go up and none come down; `fromCloud`: the other way round. */
export const SYNC_DIRECTIONS = ['both', 'toCloud', 'fromCloud'] as const;
export type SyncDirection = (typeof SYNC_DIRECTIONS)[number];

const SHADOW_NAME = /^[a-zA-Z0-9:_-]{1,64}$/;

/** A member of `ShadowSync` in the group document. All but `thingArn` are extensions. */
export const shadowSyncMember = z.object({
  thingArn: z.string(),
  direction: z.enum(SYNC_DIRECTIONS).optional(),
  /** Named shadows to look for; those that core or cloud mention are synced without being listed. */
  shadowNames: z.array(z.string().regex(SHADOW_NAME)).max(25).optional(),
});
export type ShadowSyncMember = z.output<typeof shadowSyncMember>;

/** Attributes of a thing in the registry that say how its shadows are synced: V1's API has no member for it. */
const DIRECTION_ATTRIBUTE = 'greengrass:shadowDirection';
const NAMES_ATTRIBUTE = 'greengrass:shadowNames';

/** The member for a thing with these attributes; names are separated by commas. Answers a problem in words otherwise. */
export function shadowSyncMemberOf(
  thingArn: string,
  attributes: Readonly<Record<string, string>>,
): ShadowSyncMember | { problem: string } {
  const { [DIRECTION_ATTRIBUTE]: direction, [NAMES_ATTRIBUTE]: names } = attributes;
  const parsed = shadowSyncMember.safeParse({
    thingArn,
    ...(direction !== undefined && { direction }),
    ...(names !== undefined && { shadowNames: names.split(',').filter((name) => name !== '') }),
  });
  if (parsed.success) return parsed.data;
  const rules = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  return {
    problem: `attributes ${DIRECTION_ATTRIBUTE} (${SYNC_DIRECTIONS.join(', ')}) and ${NAMES_ATTRIBUTE} (up to 25 names, separated by commas) of ${thingArn}: ${rules}`,
  };
}
