/** What the OCI runtime says about its own failures: JSON lines in the bundle's engine.log. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Its errors in its own words, or undefined where it had none. `folder` is the bundle. */
export function engineMessage(folder: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(join(folder, 'engine.log'), 'utf8');
  } catch {
    return undefined;
  }
  const messages = text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap(errorIn);
  return messages.length > 0 ? messages.join('; ') : undefined;
}

function errorIn(line: string): string[] {
  try {
    const { msg, level } = JSON.parse(line) as { msg?: string; level?: string };
    return level === 'warning' || level === 'info' || level === 'debug' ? [] : [msg ?? line];
  } catch {
    return [line];
  }
}
