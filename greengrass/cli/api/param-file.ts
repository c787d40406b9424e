/** `file://path` (text) and `fileb://path` (bytes) in place of a value, as AWS's command line has it. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { UsageError } from '../usage-error.js';

const SCHEME = /^fileb?:\/\//;

/** The content of the file that `value` names, or `value` itself. `option` is named in the error. */
export function readParamFile(value: string, option: string): string {
  const scheme = SCHEME.exec(value)?.[0];
  if (scheme === undefined) return value;
  const path = value.slice(scheme.length).replace(/^~(?=\/|$)/, () => homedir());
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : String(error);
    throw new UsageError(
      `--${option}: cannot read ${path} (${why}); file:// takes a path as the shell knows it`,
    );
  }
}
