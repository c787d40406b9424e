/**
 * Versions of the core software on the disk: `ggc/packages/<version>`, and the link `ggc/core` to the one that runs. A new
 * one comes in by its signature only; the one before stays, as the way back.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { checkJson, z } from '../../lib/check.js';
import { run } from '../../lib/subprocess.js';
import { syncFileSystemOf } from '../../lib/sync-file-system.js';

const VERSION = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]{1,32})?$/;

/** An update can't be done; the message says what is wrong and that nothing has changed. */
export class UpdateRefused extends Error {
  override readonly name = 'UpdateRefused';
}

/** An update that is not known to have worked yet: written before the link is switched. */
const trial = z.object({ from: z.string(), to: z.string(), starts: z.number().int() });
export type Trial = z.output<typeof trial>;

export interface SignedPackage {
  /** The tarball, as `npm run package` makes it. */
  readonly file: string;
  readonly version: string;
  /** Ed25519 or RSA signature (SHA-256) of the tarball's SHA-256 digest, base64. */
  readonly signature: string;
}

export class SoftwarePackages {
  readonly #packages: string;
  readonly #link: string;
  readonly #trial: string;

  /** `root`: the greengrass root. */
  constructor(root: string) {
    this.#packages = join(root, 'ggc', 'packages');
    this.#link = join(root, 'ggc', 'core');
    this.#trial = join(root, 'ota', 'trial.json');
  }

  /** Version that `ggc/core` leads to. Throws UpdateRefused where it is no link, as in a clone. */
  get current(): string {
    try {
      return basename(readlinkSync(this.#link));
    } catch (error) {
      throw new UpdateRefused(
        `${this.#link} is not a link to a package: this core was not installed from one and can't be updated this way`,
        { cause: error },
      );
    }
  }

  /** Folder of a version, present or not. */
  folderOf(version: string): string {
    return join(this.#packages, version);
  }

  /** Proves the package and unpacks it beside the others. Rejects with UpdateRefused. Changes nothing that runs. */
  async install({ file, version, signature }: SignedPackage, publicKeyPem: string): Promise<void> {
    if (!VERSION.test(version)) throw new UpdateRefused(`"${version}" is not a version`);
    if (version === this.current) throw new UpdateRefused(`version ${version} runs already`);
    const digest = await digestOf(file);
    if (!isSigned(digest, signature, publicKeyPem)) {
      throw new UpdateRefused(
        `the package of version ${version} is not signed with the key that this core trusts`,
      );
    }
    mkdirSync(this.#packages, { recursive: true });
    const incoming = mkdtempSync(join(this.#packages, '.incoming-'));
    try {
      const { code, stderr } = await run('tar', ['-xzf', file, '-C', incoming, '--no-same-owner']);
      if (code !== 0)
        throw new UpdateRefused(`the package of version ${version} can't be unpacked: ${stderr.trim()}`);
      const home = join(incoming, 'greengrass', 'ggc', 'packages', version);
      if (!existsSync(join(home, 'greengrassd'))) {
        throw new UpdateRefused(`the package does not hold version ${version} of the core`);
      }
      await syncFileSystemOf(home);
      rmSync(this.folderOf(version), { recursive: true, force: true });
      renameSync(home, this.folderOf(version));
    } finally {
      rmSync(incoming, { recursive: true, force: true });
    }
  }

  /** The update whose end is not known, if there is one. What can't be read is none: the link says what runs. */
  trial(): Trial | undefined {
    try {
      return checkJson(trial, readFileSync(this.#trial, 'utf8'), this.#trial);
    } catch {
      return undefined;
    }
  }

  /** Switches to the version, on trial. */
  begin(version: string): void {
    const from = this.current;
    this.#keep({ from, to: version, starts: 0 });
    this.#switch(version);
  }

  /** One more start of the version on trial; answers how many there were. */
  countStart(): number {
    const running = this.trial();
    if (!running) return 0;
    this.#keep({ ...running, starts: running.starts + 1 });
    return running.starts + 1;
  }

  /** The new version is healthy: it stays. Of the others only the one before is kept. */
  settle(): void {
    const running = this.trial();
    if (!running) return;
    rmSync(this.#trial, { force: true });
    for (const name of readdirSync(this.#packages)) {
      if (name !== running.from && name !== running.to) {
        rmSync(join(this.#packages, name), { recursive: true, force: true });
      }
    }
  }

  /** Back to the version before; answers it, or undefined where nothing is on trial. */
  fallBack(): string | undefined {
    const running = this.trial();
    if (!running) return undefined;
    this.#switch(running.from);
    rmSync(this.#trial, { force: true });
    return running.from;
  }

  #keep(value: Trial): void {
    writeFileAtomic(this.#trial, JSON.stringify(value), 0o600);
  }

  /** In one step: whoever starts the core finds the old version or the new one. */
  #switch(version: string): void {
    if (!existsSync(this.folderOf(version))) throw new UpdateRefused(`version ${version} is not on the disk`);
    const fresh = `${this.#link}.new`;
    rmSync(fresh, { force: true });
    symlinkSync(join('packages', version), fresh);
    renameSync(fresh, this.#link);
  }
}

function isSigned(digest: Buffer, signature: string, publicKeyPem: string): boolean {
  const key = createPublicKey(publicKeyPem);
  const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return verify(algorithm, digest, key, Buffer.from(signature, 'base64'));
}

async function digestOf(file: string): Promise<Buffer> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest();
}
