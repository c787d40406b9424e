/** Fetches a package to `<root>/ota/incoming/<sha256>.tar.gz`, going on behind what is there, and checks it. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { SoftwareUpdateJob } from '../../model/software-version.js';
import { UpdateRefused } from './software-packages.js';

/** Fetches what is at the path into the file, behind what the file holds, and no more than so many bytes. */
export type FetchPackage = (path: string, file: string, maxBytes: number) => Promise<void>;

/** A package unpacks to about three times its size; it lies packed and unpacked beside each other. */
const SPACE_FACTOR = 4;

export class PackageFetcher {
  readonly #folder: string;

  constructor(
    root: string,
    private readonly fetchPackage: FetchPackage,
  ) {
    this.#folder = join(root, 'ota', 'incoming');
  }

  /** Rejects with UpdateRefused where the disk is too small, or what came is not what the job names. */
  async fetch({ path, sha256, size }: SoftwareUpdateJob['package']): Promise<string> {
    const file = join(this.#folder, `${sha256}.tar.gz`);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#folder)) {
      if (name !== `${sha256}.tar.gz`) rmSync(join(this.#folder, name), { recursive: true, force: true });
    }
    const have = existsSync(file) ? statSync(file).size : 0;
    await this.#checkSpace(size * SPACE_FACTOR - have);
    if (have !== size) await this.fetchPackage(path, file, size);
    const digest = await sha256Of(file);
    if (digest === sha256) return file;
    rmSync(file, { force: true });
    throw new UpdateRefused(`the package that came has the digest ${digest}, not ${sha256} as the job says`);
  }

  /** What was fetched is installed, or of no use. */
  clear(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #checkSpace(needed: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#folder);
    const free = bavail * bsize;
    if (free >= needed) return;
    throw new UpdateRefused(
      `the update needs ${needed} bytes on the disk of ${this.#folder}, but ${free} are free: ${needed - free} are missing`,
    );
  }
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
