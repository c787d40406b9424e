/**
 * NoContainer: a plain child process as the function's user, with no way to gain rights. It is still in a control group of
 * its own where the host has them, so that nothing of it survives it. V1 sets no memory limit here.
 */
import type { Logger } from '../../lib/log.js';
import { start } from '../../lib/subprocess.js';
import type { CoreCgroup, WorkerCgroup } from './cgroup.js';
import { MAX_PROCESSES } from './container-spec.js';
import { environmentText, plainCommand } from './launch.js';
import { stdioOf, WorkerChild } from './worker-child.js';
import type { WorkerProcess, WorkerSpec } from './worker-process.js';

export async function startPlain(
  spec: WorkerSpec,
  { cgroup, logger }: { readonly cgroup: CoreCgroup | undefined; readonly logger: Logger },
): Promise<WorkerProcess> {
  const group: WorkerCgroup | undefined = cgroup?.create(spec.workerId, { maxProcesses: MAX_PROCESSES });
  const clean = async () => {
    try {
      await group?.destroy();
    } catch (error) {
      logger.error({ err: error, workerId: spec.workerId }, 'A worker could not be removed completely.');
    }
  };
  try {
    const [program, ...args] = plainCommand(spec) as [string, ...string[]];
    const child = await start(program, args, {
      cwd: spec.codeFolder,
      env: {},
      stdio: stdioOf(spec),
      detached: true,
    });
    // It waits for its environment, so that the function's program never runs outside of the group.
    group?.enter(child.pid as number);
    return new WorkerChild({ child, cgroup: group, clean, kind: 'plain', input: environmentText(spec.env) });
  } catch (error) {
    await clean();
    throw error;
  }
}
