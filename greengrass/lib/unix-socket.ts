/**
 * Unix sockets whose path may be long: the kernel takes 107 bytes, deep folders have more. A longer path is reached
 * through an open descriptor of its folder (`/proc/self/fd/N/name`), so that a socket stays where people look for it.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';

/** sizeof(sun_path) less the closing zero. */
const MAX_PATH_BYTES = 107;

export interface SocketPath {
  /** What to give to listen() or connect(). */
  readonly path: string;
  /** Call when the socket is closed (server), or connected (client). Idempotent. */
  release(): void;
}

/** The folder of `path` must exist where the path is too long for the kernel. */
export function socketPath(path: string): SocketPath {
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return { path, release: () => undefined };
  let fd: number | undefined = openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  return {
    path: `/proc/self/fd/${fd}/${basename(path)}`,
    release() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
