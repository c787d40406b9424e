/** Deployed function + worker → how its process is started, with the doors that are this worker's alone. */
import type { Logger } from '../../lib/log.js';
import { FrameDoor } from '../ipc/frame-door.js';
import { RuntimeApi } from '../ipc/runtime-api.js';
import type { WorkDesk } from '../ipc/work-desk.js';
import { DOOR_DESCRIPTOR, type WorkerProcess, type WorkerSpec } from '../isolation/worker-process.js';
import { customRuntimeEnvironment, isCustomRuntime } from './custom-runtime.js';
import type { DeployedFunction } from './deployed-function.js';
import { type RuntimeCommand, workerPaths } from './runtime-command.js';
import type { Worker } from './worker.js';
import { type CoreFacts, workerEnvironment } from './worker-environment.js';

export interface WorkerSpecsOptions {
  readonly desk: WorkDesk;
  readonly facts: CoreFacts;
  readonly ipcPort: () => number;
  readonly runtimesFolder: string;
  readonly logger: Logger;
  /** For tests: our runtimes speak HTTP like everybody else's. */
  readonly withoutFrames?: boolean;
}

export class WorkerSpecs {
  /** By worker id. */
  readonly #runtimeApis = new Map<string, RuntimeApi>();

  constructor(private readonly options: WorkerSpecsOptions) {}

  /** Rejects where a door can't be opened. `release` is called when the worker is gone, also after a rejection. */
  async of(deployed: DeployedFunction, command: RuntimeCommand, worker: Worker): Promise<WorkerSpec> {
    const { facts, ipcPort, runtimesFolder } = this.options;
    const paths = workerPaths(deployed, runtimesFolder);
    const hasDoor = command.hasDoor === true && this.options.withoutFrames !== true;
    const runtimeApi = isCustomRuntime(deployed.runtime)
      ? await this.#openRuntimeApi(deployed, worker)
      : undefined;
    return {
      workerId: worker.id,
      functionArn: deployed.arn,
      isolation: deployed.isolation,
      argv: command.argv,
      ...(hasDoor ? { hasDoor } : {}),
      env: {
        ...workerEnvironment(deployed, facts, { token: worker.token, port: ipcPort(), paths }),
        ...(hasDoor ? { _GG_DOOR_FD: String(DOOR_DESCRIPTOR) } : {}),
        ...(runtimeApi ? customRuntimeEnvironment(deployed, paths.code, runtimeApi.address) : {}),
      },
      uid: deployed.uid,
      gid: deployed.gid,
      additionalGids: deployed.additionalGids,
      ...(deployed.memoryKb === undefined ? {} : { memoryKb: deployed.memoryKb }),
      codeFolder: deployed.codeFolder,
      runtimeFolder: runtimesFolder,
      accessSysfs: deployed.accessSysfs,
      mounts: deployed.mounts,
      devices: deployed.devices,
    };
  }

  /** The process runs: what it was given to talk through is served from now on, until its end. */
  attach(worker: Worker, { door }: WorkerProcess): void {
    const { desk, logger } = this.options;
    if (door) new FrameDoor(door, worker.caller, desk, logger);
  }

  release(worker: Worker): void {
    this.#runtimeApis.get(worker.id)?.close();
    this.#runtimeApis.delete(worker.id);
  }

  async #openRuntimeApi(deployed: DeployedFunction, worker: Worker): Promise<RuntimeApi> {
    const { desk, logger } = this.options;
    const api = await RuntimeApi.open({
      caller: worker.caller,
      desk,
      timeoutMs: deployed.timeoutMs,
      isOwnConnection: (clientPort, serverPort) => worker.holdsConnection(clientPort, serverPort),
      logger,
    });
    this.#runtimeApis.set(worker.id, api);
    return api;
  }
}
