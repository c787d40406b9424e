/** SUBSCRIBE and UNSUBSCRIBE of a device: what it may ask for, and the answers. */
import type { Logger } from '../../lib/log.js';
import { filterProblem } from '../../model/topic.js';
import { decodeSubscribe, decodeUnsubscribe } from './client-packets.js';
import { grantedQos } from './device-permissions.js';
import type { DeviceSession } from './device-session.js';
import { suback, unsuback } from './server-packets.js';
import type { Sessions } from './sessions.js';

/** Most topic filters that one device may hold (AWS IoT: 50 on a connection; we leave room). */
const MAX_FILTERS = 500;
const REFUSED = 0x80;

/** Where a packet is in `bytes`, without its fixed header. */
export interface PacketRange {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Answers the SUBACK. Throws ProtocolError. */
export function subscribe(
  { bytes, start, end }: PacketRange,
  session: DeviceSession,
  { sessions, logger }: { sessions: Sessions; logger: Logger },
): Buffer {
  const { packetId, filters } = decodeSubscribe(bytes, start, end);
  const codes = filters.map(({ filter, qos }) => {
    const reason = filterProblem(filter) ?? roomProblem(session, filter);
    if (reason === undefined) {
      sessions.subscribe(session, filter, grantedQos(qos));
      return grantedQos(qos);
    }
    logger.warn({ clientId: session.clientId, filter, reason }, 'Subscription refused.');
    return REFUSED;
  });
  return suback(packetId, codes);
}

/** Answers the UNSUBACK. Throws ProtocolError. */
export function unsubscribe(
  { bytes, start, end }: PacketRange,
  session: DeviceSession,
  sessions: Sessions,
): Buffer {
  const { packetId, filters } = decodeUnsubscribe(bytes, start, end);
  for (const filter of filters) sessions.unsubscribe(session, filter);
  return unsuback(packetId);
}

function roomProblem({ filters }: DeviceSession, filter: string): string | undefined {
  return filters.size >= MAX_FILTERS && !filters.has(filter)
    ? `more than ${MAX_FILTERS} topic filters`
    : undefined;
}
