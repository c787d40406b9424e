/**
 * Named steps at which tests kill or hold a real process. Without GREENGRASS_TEST_STEPS, which nothing but tests sets,
 * they do nothing. It names a folder: a file `<step>.kill` in it ends the process there as a power cut would,
 * `<step>.hold` keeps it there until the file is gone; `<step>` appears when the step was reached.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.env.GREENGRASS_TEST_STEPS;

/** A step that can't wait. */
export function passedStep(step: string): void {
  if (folder === undefined) return;
  writeFileSync(join(folder, step), '');
  if (existsSync(join(folder, `${step}.kill`))) process.kill(process.pid, 'SIGKILL');
}

export async function reachedStep(step: string): Promise<void> {
  if (folder === undefined) return;
  passedStep(step);
  while (existsSync(join(folder, `${step}.hold`))) await new Promise((wake) => setTimeout(wake, 10));
}
