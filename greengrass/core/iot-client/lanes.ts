/**
 * A message's id is its place in the spool: the upper digits say its priority, the lower ones when it came. So one key
 * orders by both, in memory and as primary key of a table, and no second index has to be written with every message.
 */

/** V1's messages have none of their own (extension: a subscription's `Priority`). */
const DEFAULT_PRIORITY = 0;
const HIGHEST = 100;
const LOWEST = -100;
/** Places in a lane: 201 lanes of so many are within what a double counts exactly. */
export const LANE_SIZE = 2 ** 45;

/** Where the ids of a priority begin; what lies beyond -100 to 100 counts as the nearest of them. */
export function laneOfPriority(priority: number = DEFAULT_PRIORITY): number {
  return (HIGHEST - Math.max(LOWEST, Math.min(HIGHEST, Math.trunc(priority)))) * LANE_SIZE;
}

/** Where the lane of this message begins. */
export function laneOf(id: number): number {
  return id - (id % LANE_SIZE);
}

export function priorityOf(id: number): number {
  return HIGHEST - laneOf(id) / LANE_SIZE;
}

/** Puts `lane` into its place in the list; answers the list itself where it is there already. */
export function withLane(lanes: readonly number[], lane: number): readonly number[] {
  return lanes.includes(lane) ? lanes : [...lanes, lane].sort((a, b) => a - b);
}
