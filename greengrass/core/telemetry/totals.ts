/** The ever-growing sums of telemetry, by namespace and metric. */
import { TELEMETRY_UNITS, type TelemetryMetric, type TelemetryPoint } from '../../model/telemetry.js';

/** Functions come and go with deployments: beyond so many namespaces the one that has not counted longest goes. */
const MOST_NAMESPACES = 100;

export class Totals {
  /** The one that counted last is the last. */
  readonly #sums = new Map<string, Map<TelemetryMetric, number>>();

  add(namespace: string, metric: TelemetryMetric, value: number): void {
    const sums = this.#sums.get(namespace) ?? new Map<TelemetryMetric, number>();
    sums.set(metric, (sums.get(metric) ?? 0) + value);
    this.#sums.delete(namespace);
    this.#sums.set(namespace, sums);
    const [oldest] = this.#sums.keys();
    if (this.#sums.size > MOST_NAMESPACES && oldest !== undefined) this.#sums.delete(oldest);
  }

  /** Takes over what was kept. */
  load(points: readonly TelemetryPoint[]): void {
    for (const { NS, M } of points) for (const { N, Sum } of M) this.add(NS, N, Sum);
  }

  /** One point for each namespace. `timeS`: epoch seconds. */
  points(timeS: number): TelemetryPoint[] {
    return [...this.#sums].map(([NS, sums]) => ({
      TS: timeS,
      NS,
      M: [...sums].map(([N, sum]) => ({ N, Sum: Math.round(sum * 100) / 100, U: TELEMETRY_UNITS[N] })),
    }));
  }
}
