/** Room on the disk, asked for before it is used: a deployment that can't end well is refused while nothing has changed. */
import { mkdirSync, statfsSync } from 'node:fs';
import { DeploymentError } from '../errors.js';

/** Left free for what a deployment writes beside code: group document, report, logs. */
export const RESERVE_BYTES = 1024 * 1024;

/** Free bytes of the file system that holds `folder`, which is made where it is missing. */
export type FreeBytes = (folder: string) => number;

/** As the operating system tells it; what is reserved for root does not count, as other services may need it. */
export const freeBytes: FreeBytes = (folder) => {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
};

/** True where an error, or what caused it, says that the disk or the user's share of it is full. */
export function isDiskFull(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')) return true;
  }
  return false;
}

/** The disk became full on the way, by whatever else writes to it. */
export function diskFull(what: string, error: unknown): DeploymentError {
  return new DeploymentError(
    'NotEnoughDiskSpace',
    `the disk became full while ${what}: ${(error as Error).message}. Free some space and deploy again.`,
  );
}

/** Throws DeploymentError with the bytes that are missing. `what` completes "not enough space on the disk for …". */
export function requireSpace(folder: string, bytes: number, what: string, free: FreeBytes = freeBytes): void {
  const available = free(folder);
  const missing = bytes + RESERVE_BYTES - available;
  if (missing <= 0) return;
  throw new DeploymentError(
    'NotEnoughDiskSpace',
    `not enough space on the disk for ${what}: ${bytes} bytes and ${RESERVE_BYTES} in reserve are needed, ${available} are free at ${folder}: ${missing} bytes are missing. Free some and deploy again.`,
  );
}
