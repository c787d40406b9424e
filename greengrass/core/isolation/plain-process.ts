/**
 * NoContainer: a plain child process as the function's user, with no way to gain rights. It is still in a control group of
 * its own where the host has them, so that nothing of it survives it. V1 sets no memory limit here.
 */
import { start } from '../../lib/subprocess.js';
import type { CoreCgroup, WorkerCgroup } from './cgroup.js';
import { MAX_PROCESSES } from './container-spec.js';
import { plainCommand } from './launch.js';
import { STDIO, WorkerChild } from './worker-child.js';
import type { WorkerProcess, WorkerSpec } from './worker-process.js';

export async function startPlain(spec: WorkerSpec, cgroup: CoreCgroup | undefined): Promise<WorkerProcess> {
  const group: WorkerCgroup | undefined = cgroup?.create(spec.workerId, { maxProcesses: MAX_PROCESSES });
  const clean = async () => {
    await group?.destroy();
  };
  try {
    const [program, ...args] = plainCommand({ ...spec, procsFiles: group?.procsFiles ?? [] }) as [
      string,
      ...string[],
    ];
    const child = await start(program, args, {
      cwd: spec.codeFolder,
      env: { ...spec.env },
      stdio: STDIO,
      detached: true,
    });
    const worker = new WorkerChild({ child, cgroup: group, clean });
    worker.runs(child.pid as number);
    return worker;
  } catch (error) {
    await clean().catch(() => undefined);
    throw error;
  }
}
