/**
 * Versions of the core software on the disk: `ggc/packages/<version>`, the link `ggc/core` to the one that runs and
 * `ota/ota_agent` to the one whose agent runs. A new one comes in by its signature only; the one before stays, as the
 * way back. Links are switched in one step: whoever starts a program finds the old version or the new one.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { syncFolder } from '../../lib/atomic-file.js';
import { run } from '../../lib/subprocess.js';
import { syncFileSystemOf } from '../../lib/sync-file-system.js';
import { isSoftwareVersion } from '../../model/software-version.js';
import { isSigned } from './package-signature.js';

/** An update can't be done; the message says what is wrong and that nothing has changed. */
export class UpdateRefused extends Error {
  override readonly name = 'UpdateRefused';
}

export interface SignedPackage {
  /** The tarball, as `npm run package` makes it. */
  readonly file: string;
  readonly version: string;
  /** Ed25519 or RSA signature (SHA-256) of the tarball's SHA-256 digest, base64. */
  readonly signature: string;
}

export class SoftwarePackages {
  readonly #packages: string;
  readonly #coreLink: string;
  readonly #agentLink: string;

  /** `root`: the greengrass root. */
  constructor(root: string) {
    this.#packages = join(root, 'ggc', 'packages');
    this.#coreLink = join(root, 'ggc', 'core');
    this.#agentLink = join(root, 'ota', 'ota_agent');
  }

  /** Version that `ggc/core` leads to. Throws UpdateRefused where it is no link, as in a clone. */
  get current(): string {
    return versionOf(this.#coreLink);
  }

  /** Version whose agent is started. */
  get agent(): string {
    return versionOf(this.#agentLink);
  }

  /** Folder of a version, present or not. */
  folderOf(version: string): string {
    return join(this.#packages, version);
  }

  /** Proves the package and unpacks it beside the others. Rejects with UpdateRefused. Changes nothing that runs. */
  async install({ file, version, signature }: SignedPackage, publicKeysPem: string): Promise<void> {
    if (!isSoftwareVersion(version)) throw new UpdateRefused(`"${version}" is not a version`);
    const digest = await digestOf(file);
    if (!isSigned(digest, signature, publicKeysPem)) {
      throw new UpdateRefused(
        `the package of version ${version} is not signed with a key that this core trusts (certs/software.pub)`,
      );
    }
    // The agent runs from it, or the core does: it has come in by its signature, and stays as it is.
    if (this.#inUse().has(version)) return;
    mkdirSync(this.#packages, { recursive: true });
    this.#sweepIncoming();
    const incoming = mkdtempSync(join(this.#packages, '.incoming-'));
    try {
      const { code, stderr } = await run('tar', ['-xzf', file, '-C', incoming, '--no-same-owner'], {
        timeoutMs: 600_000,
      });
      if (code !== 0) {
        const { bavail, bsize } = await statfs(this.#packages);
        throw new UpdateRefused(
          `the package of version ${version} can't be unpacked: ${stderr.trim()} (${bavail * bsize} bytes are free on the disk of ${this.#packages})`,
        );
      }
      const home = join(incoming, 'greengrass', 'ggc', 'packages', version);
      if (!existsSync(join(home, 'greengrassd'))) {
        throw new UpdateRefused(`the package does not hold version ${version} of the core`);
      }
      await syncFileSystemOf(home);
      rmSync(this.folderOf(version), { recursive: true, force: true });
      renameSync(home, this.folderOf(version));
      syncFolder(this.#packages);
    } finally {
      rmSync(incoming, { recursive: true, force: true });
    }
  }

  switchCore(version: string): void {
    this.#switch(this.#coreLink, 'packages', version);
  }

  switchAgent(version: string): void {
    this.#switch(this.#agentLink, join('..', 'ggc', 'packages'), version);
  }

  /** Removes all versions but those that run and those that are named. */
  sweep(...kept: readonly string[]): void {
    const wanted = this.#inUse();
    for (const version of kept) wanted.add(version);
    for (const name of readdirSync(this.#packages)) {
      if (!wanted.has(name)) rmSync(join(this.#packages, name), { recursive: true, force: true });
    }
  }

  /** What a power cut left of an unpacking. */
  #sweepIncoming(): void {
    for (const name of readdirSync(this.#packages)) {
      if (name.startsWith('.incoming-')) rmSync(join(this.#packages, name), { recursive: true, force: true });
    }
  }

  #inUse(): Set<string> {
    return new Set([this.current, ...(existsSync(this.#agentLink) ? [this.agent] : [])]);
  }

  #switch(link: string, place: string, version: string): void {
    if (!existsSync(this.folderOf(version))) throw new UpdateRefused(`version ${version} is not on the disk`);
    const fresh = `${link}.new`;
    mkdirSync(join(link, '..'), { recursive: true });
    rmSync(fresh, { force: true });
    symlinkSync(join(place, version), fresh);
    renameSync(fresh, link);
    syncFolder(join(link, '..'));
  }
}

function versionOf(link: string): string {
  try {
    return basename(readlinkSync(link));
  } catch (error) {
    throw new UpdateRefused(
      `${link} is not a link to a package: this core was not installed from one and can't be updated this way`,
      { cause: error },
    );
  }
}

async function digestOf(file: string): Promise<Buffer> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest();
}
