/** System health telemetry of a core, as V1 has it since 1.11: the switch, the metrics, the message. */
import { z } from '../lib/check.js';

export const telemetrySwitch = z.enum(['On', 'Off']);
export type TelemetrySwitch = z.infer<typeof telemetrySwitch>;

/** The thing whose shadow carries a core's runtime configuration: `state.desired.telemetry`, answered in `reported`. */
export function configurationThingName(coreThingName: string): string {
  return `${coreThingName}-gcf`;
}

/** AWS's reserved topic for the telemetry of a Greengrass core. */
export function telemetryTopic(coreThingName: string): string {
  return `$aws/things/${coreThingName}/greengrass/health/json`;
}

export const TELEMETRY_UNITS = {
  SystemMemUsage: 'Megabytes',
  CpuUsage: 'Percent',
  TotalNumberOfFDs: 'Count',
  DroppedMessageCount: 'Count',
  LambdaOutOfMemory: 'Count',
  LambdaTimeout: 'Count',
  LambdaUngracefullyKilled: 'Count',
  LambdaError: 'Count',
} as const;
export type TelemetryMetric = keyof typeof TELEMETRY_UNITS;

/** Namespaces of what is no function; a function's is its ARN. */
export const SYSTEM_NAMESPACE = 'SystemMetrics';
export const SPOOLER_NAMESPACE = 'CloudSpooler';

const metrics = Object.keys(TELEMETRY_UNITS) as [TelemetryMetric, ...TelemetryMetric[]];

/** An aggregated data point: sums since the beginning, which only grow; the difference of two is what came between. */
export const telemetryPoint = z.object({
  /** Epoch seconds of the aggregation. */
  TS: z.number(),
  NS: z.string(),
  M: z.array(z.object({ N: z.enum(metrics), Sum: z.number(), U: z.string() })),
});
export type TelemetryPoint = z.infer<typeof telemetryPoint>;

/** What a core publishes. */
export interface TelemetryMessage {
  readonly ThingName: string;
  readonly Schema: '2020-06-30';
  readonly ADP: readonly TelemetryPoint[];
}
