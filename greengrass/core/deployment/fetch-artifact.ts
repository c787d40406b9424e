/** An artifact's way to the disk: fetched, going on behind what is there, and proven by its digest. */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { DeploymentError } from '../errors.js';
import { diskFull, isDiskFull } from './disk-space.js';

/** Fetches an artifact into a file, going on behind what the file holds. */
export type Fetch = (sha256Hex: string, file: string) => Promise<void>;

/** `what` is for messages: "the code of …". Throws DeploymentError; what was fetched before the line broke stays. */
export async function fetchArtifact(digest: string, file: string, what: string, fetch: Fetch): Promise<void> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // A file that went wrong on its way (a torn tail after a power cut) is fetched once more from its start.
  for (const attempt of [1, 2]) {
    try {
      await fetch(digest, file);
    } catch (error) {
      if (isDiskFull(error)) throw diskFull(`${what} was fetched`, error);
      throw new DeploymentError(
        'ArtifactDownloadFailed',
        `unable to execute download step in deployment. error while downloading: ${what}: ${(error as Error).message}`,
        { cause: error },
      );
    }
    const got = await fileDigest(file);
    if (got === digest) return;
    rmSync(file, { force: true });
    if (attempt === 2) {
      throw new DeploymentError(
        'ArtifactDigestMismatch',
        `${what} does not have the digest that the deployment names: SHA-256 is ${got}, but must be ${digest}`,
      );
    }
  }
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
