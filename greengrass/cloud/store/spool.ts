/** Content of unknown length on its way into the store: a file, and what it is called. */
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Spooled {
  /** The caller's to delete. */
  readonly file: string;
  readonly sha256Hex: string;
  readonly sizeBytes: number;
}

/** Writes the content to a new file in `folder`, durably. Rejects with the content's error and leaves nothing then. */
export async function spool(content: AsyncIterable<Uint8Array>, folder: string): Promise<Spooled> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `.greengrass-${randomUUID()}.tmp`);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      done(null, chunk);
    },
  });
  try {
    await pipeline(content, meter, createWriteStream(file, { flags: 'wx', mode: 0o600, flush: true }));
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  }
  return { file, sha256Hex: hash.digest('hex'), sizeBytes };
}
