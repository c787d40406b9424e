/** What of the host no function in a container may see: the core's folders, and its keys wherever they lie. */
import type { CoreConfig } from '../../model/core-config.js';

type Places = Pick<CoreConfig, 'writeDirectory' | 'privateKeyPath' | 'mqttServerKeyPath' | 'secretsKeyPath'>;

/** Absolute paths. A function with uid 0 may read any file that it sees: a key outside of the core's folders too. */
export function hiddenPathsOf(
  root: string,
  { writeDirectory, privateKeyPath, mqttServerKeyPath, secretsKeyPath }: Places,
): string[] {
  const keys = [privateKeyPath, mqttServerKeyPath, secretsKeyPath].filter((path) => path !== undefined);
  const folders = [...new Set([root, writeDirectory])];
  const isInside = (path: string) => folders.some((folder) => path.startsWith(`${folder}/`));
  return [...folders, ...new Set(keys.filter((path) => !isInside(path)))];
}
