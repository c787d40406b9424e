/** Where a core's control socket is: the core listens there, `gg` connects to it. Pure. */
import { join } from 'node:path';

/** `writeDirectory` as in CoreConfig. Who may open the socket may look into the core: root only. */
export function controlSocketPath(writeDirectory: string): string {
  return join(writeDirectory, 'var', 'state', 'control.sock');
}
