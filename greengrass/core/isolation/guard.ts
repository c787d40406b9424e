/**
 * Ends all workers of a core when its daemon dies without a word (kill -9): a shell that waits for the end of a pipe
 * which the daemon holds. What is left of them in files and control groups is swept at the next start.
 */
import { Socket } from 'node:net';
import { type ChildProcess, start } from '../../lib/subprocess.js';

/** $1 the core's group in one hierarchy. Several rounds: a worker may just have been starting. */
const SCRIPT = `
read -r _
for round in 1 2 3 4 5 6 7 8 9 10; do
  for procs in "$1"/*/cgroup.procs; do
    [ -e "$procs" ] || continue
    while read -r pid; do kill -KILL "$pid"; done < "$procs"
  done
  sleep 0.1
done
`;

export class Guard {
  #child: ChildProcess | undefined;

  /** Starts it once. */
  async start(coreGroup: string): Promise<void> {
    if (this.#child) return;
    const child = await start('/bin/sh', ['-c', SCRIPT, 'greengrass-guard', coreGroup], {
      cwd: '/',
      env: {},
      stdio: ['pipe', 'ignore', 'ignore'],
      // A signal to the daemon's process group (Ctrl-C, a supervisor's kill) must not reach it.
      detached: true,
    });
    // It must not keep the daemon running.
    child.unref();
    if (child.stdin instanceof Socket) child.stdin.unref();
    this.#child = child;
  }

  /** Ends it; workers stay as they are. */
  stop(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}
