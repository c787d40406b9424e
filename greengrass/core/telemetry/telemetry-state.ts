/** What telemetry keeps over a restart: one small file in the write directory. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';
import { telemetryPoint, telemetrySwitch } from '../../model/telemetry.js';

const state = z.object({
  telemetry: telemetrySwitch,
  /** Epoch ms; the interval of aggregation and publication is counted from here. */
  aggregatedAtMs: z.number(),
  publishedAtMs: z.number(),
  /** The sums as they stand. */
  totals: z.array(telemetryPoint),
  /** Aggregated, not yet published; oldest first. */
  waiting: z.array(telemetryPoint),
});
export type TelemetryState = z.infer<typeof state>;

export class TelemetryFile {
  readonly #path: string;

  constructor(writeDirectory: string) {
    this.#path = join(writeDirectory, 'telemetry', 'state.json');
  }

  /** V1's defaults where there is no file: on, from now. Throws CheckError where the file is not what it should be. */
  load(nowMs: number): TelemetryState {
    if (!existsSync(this.#path)) return initialState(nowMs);
    return checkJson(state, readFileSync(this.#path, 'utf8'), this.#path);
  }

  save(kept: TelemetryState): void {
    writeFileAtomic(this.#path, JSON.stringify(kept), 0o600);
  }
}

export function initialState(nowMs: number): TelemetryState {
  return { telemetry: 'On', aggregatedAtMs: nowMs, publishedAtMs: nowMs, totals: [], waiting: [] };
}
