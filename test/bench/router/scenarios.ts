/** The scenarios and their goals: how much better than Mosquitto in the same run. */
import type { MessageLoad } from './load.js';

export interface Scenario {
  readonly name: string;
  readonly load: MessageLoad;
  /** Throughput against Mosquitto's; absent where the rate is given. */
  readonly goal?: number;
  /** Latency (p50 and p99) against Mosquitto's, at most. */
  readonly latencyGoal?: number;
}

const PAIRS = { pubs: 100, subs: 100, shape: 'pairs' } as const;
const IN = { pubs: 100, subs: 1, shape: 'in' } as const;
const OUT = { pubs: 1, subs: 100, shape: 'out' } as const;

export function scenarios(seconds: number): Scenario[] {
  const list: Scenario[] = [];
  for (const qos of [0, 1] as const) {
    const base = { qos, size: 256, window: 100, seconds };
    list.push(
      { name: `100 pairs, pipelined, 256 B, QoS ${qos}`, load: { ...PAIRS, ...base }, goal: 5 },
      { name: `fan-in 100:1, 256 B, QoS ${qos}`, load: { ...IN, ...base }, goal: 5 },
      { name: `fan-out 1:100, 256 B, QoS ${qos}`, load: { ...OUT, ...base }, goal: 5 },
      {
        name: `100 pairs, one in flight, 256 B, QoS ${qos}`,
        load: { ...PAIRS, ...base, window: 1 },
        goal: 1,
      },
      { name: `100 pairs, pipelined, 4 KB, QoS ${qos}`, load: { ...PAIRS, ...base, size: 4096 }, goal: 1.5 },
      ...[1000, 10_000].map((rate) => ({
        name: `100 pairs at ${rate} messages/s, 256 B, QoS ${qos}`,
        load: { ...PAIRS, ...base, rate, spin: 1 as const },
        latencyGoal: 1.2,
      })),
    );
  }
  return list;
}
