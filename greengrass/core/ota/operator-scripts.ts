/** V1's `managedRespawn`: the operator's scripts in `<root>/usr/scripts`, which run around an update and may refuse it. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../lib/subprocess.js';
import { UpdateRefused } from './software-packages.js';

const SCRIPT_TIMEOUT_MS = 300_000;

export class OperatorScripts {
  /** `software`: `ggc` or `ota`, with which V1's names of the scripts begin. */
  constructor(
    private readonly root: string,
    private readonly software: 'ggc' | 'ota',
    private readonly managedRespawn: boolean,
  ) {}

  /** Throws UpdateRefused where one that is asked for is not as it must be. */
  check(): void {
    if (!this.managedRespawn) return;
    this.#checked('pre');
    this.#checked('post');
  }

  /** Rejects with UpdateRefused where the script does. */
  async before(): Promise<void> {
    await this.#run('pre');
  }

  async after(): Promise<void> {
    await this.#run('post');
  }

  async #run(when: 'pre' | 'post'): Promise<void> {
    if (!this.managedRespawn) return;
    const options = { cwd: this.root, timeoutMs: SCRIPT_TIMEOUT_MS };
    const { code, stderr } = await run(this.#checked(when), [], options);
    if (code !== 0)
      throw new UpdateRefused(`${this.#name(when)} ended with ${code}: ${stderr.trim().slice(-300)}`);
  }

  /** V1: the scripts must be there, root's, and nobody else's to run or to write. */
  #checked(when: 'pre' | 'post'): string {
    const script = join(this.root, 'usr', 'scripts', this.#name(when));
    const stat = statSync(script, { throwIfNoEntry: false });
    if (!stat)
      throw new UpdateRefused(`${script} is not there, but managedRespawn in config.json asks for it`);
    if (stat.uid !== 0 || (stat.mode & 0o033) !== 0) {
      throw new UpdateRefused(`${script} must be root's to run and to write alone: chown root, chmod 700`);
    }
    return script;
  }

  #name(when: 'pre' | 'post'): string {
    return `${this.software}_${when}_update.sh`;
  }
}
