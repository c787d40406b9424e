/** Artifacts in a folder, each under its SHA-256: `<folder>/<first two digits>/<digest>`. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder, writeFileAtomic } from '../../lib/atomic-file.js';
import { spool } from './spool.js';
import type { ArtifactStore } from './store.js';

const DIGEST = /^[0-9a-f]{64}$/;

export class ArtifactFolder implements ArtifactStore {
  constructor(readonly folder: string) {}

  async put(content: Uint8Array): Promise<string> {
    const digest = createHash('sha256').update(content).digest('hex');
    if ((await this.size(digest)) !== content.length) {
      writeFileAtomic(this.#pathOf(digest), content, 0o600);
    }
    return digest;
  }

  async keep(content: AsyncIterable<Uint8Array>): Promise<{ sha256Hex: string; sizeBytes: number }> {
    // Beside the artifacts, so that it can be renamed; backups look at folders of two digits only.
    const { file, ...facts } = await spool(content, join(this.folder, 'incoming'));
    try {
      if ((await this.size(facts.sha256Hex)) !== facts.sizeBytes) {
        const path = this.#pathOf(facts.sha256Hex);
        await mkdir(dirname(path), { recursive: true });
        await rename(file, path);
        syncFolder(dirname(path));
      }
    } finally {
      await rm(file, { force: true });
    }
    return facts;
  }

  async size(sha256Hex: string): Promise<number | undefined> {
    if (!DIGEST.test(sha256Hex)) return undefined;
    try {
      return (await stat(this.#pathOf(sha256Hex))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  read(sha256Hex: string, start?: number, end?: number): NodeJS.ReadableStream {
    return createReadStream(this.#pathOf(sha256Hex), {
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
    });
  }

  /** A digest is the only name that leads into the folder. */
  #pathOf(digest: string): string {
    if (!DIGEST.test(digest)) throw new Error(`"${digest}" is not a SHA-256 in lower-case hex`);
    return join(this.folder, digest.slice(0, 2), digest);
  }
}
