import { priorityOf } from './lanes.js';
import type { Spool, SpooledMessage } from './spool.js';

const COUNT = 256;
const BYTES = 1024 * 1024;

/**
 * Empties one spool into another, in order; answers the new message of each id in `watched` that found room. `onLost` hears
 * how many found none.
 */
export function moveSpool(
  from: Spool,
  to: Spool,
  watched: ReadonlySet<number>,
  onLost: (count: number) => void = () => undefined,
): ReadonlyMap<number, SpooledMessage> {
  const moved = new Map<number, SpooledMessage>();
  let lost = 0;
  for (;;) {
    from.flush();
    const read = from.after(0, COUNT, BYTES);
    if (read.length === 0) break;
    for (const message of read) {
      const { id, topic, payload, expiresAt, cameAt } = message;
      const copy = to.push(topic, payload, expiresAt, priorityOf(id), cameAt);
      if (copy && watched.has(message.id)) moved.set(message.id, copy);
      if (!copy) lost += 1;
      from.remove(message);
    }
  }
  if (lost > 0) onLost(lost);
  return moved;
}
