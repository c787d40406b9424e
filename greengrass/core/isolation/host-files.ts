/**
 * Copies of the host's files for name resolution, bound into every container. The copies are rewritten in place when the
 * host's change, so that long-lived workers see it: a container can't follow a file that is replaced, and on many hosts
 * /etc/resolv.conf is a link into /run, which containers have of their own.
 */
import { mkdirSync, readFileSync, unwatchFile, watchFile, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Mount } from './worker-process.js';

const FILES = ['/etc/resolv.conf', '/etc/hosts'] as const;
const INTERVAL_MS = 5000;

export class HostFiles {
  #mounts: readonly Mount[] = [];
  readonly #listeners = new Map<string, () => void>();

  /** `folder` receives the copies. */
  constructor(private readonly folder: string) {}

  /** Binds for those files that the host has. */
  get mounts(): readonly Mount[] {
    return this.#mounts;
  }

  start(): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o755 });
    this.#mounts = FILES.flatMap((file) => {
      const copy = join(this.folder, basename(file));
      const refresh = () => copyFile(file, copy);
      if (!refresh()) return [];
      watchFile(file, { persistent: false, interval: INTERVAL_MS }, refresh);
      this.#listeners.set(file, refresh);
      return [{ source: copy, destination: file, readOnly: true }];
    });
  }

  stop(): void {
    for (const [file, listener] of this.#listeners) unwatchFile(file, listener);
    this.#listeners.clear();
    this.#mounts = [];
  }
}

/** False where there is no such file now; an earlier copy stays. */
function copyFile(file: string, copy: string): boolean {
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch {
    return false;
  }
  writeFileSync(copy, text, { mode: 0o644 });
  return true;
}
