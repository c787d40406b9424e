/** Reads `config/config.json` of a greengrass root; shared by the command line and the daemon. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CoreConfig, parseCoreConfig } from '../model/core-config.js';

/** V1's words for a configuration that can't be used, followed by every reason. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Throws ConfigError: `Failed to parse /greengrass/config/config.json. <reasons>`. */
export function readRootConfig(root: string): { config: CoreConfig; warnings: readonly string[] } {
  const file = join(root, 'config', 'config.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(
      `Failed to parse ${file}. The file can't be read (${(error as NodeJS.ErrnoException).code}): put the core's configuration there, or name the greengrass root with --root.`,
      { cause: error },
    );
  }
  try {
    return parseCoreConfig(text, { root, file });
  } catch (error) {
    throw new ConfigError(`Failed to parse ${file}. ${(error as Error).message}`, { cause: error });
  }
}
