/** A function as a deployment puts it on the core: everything decided, nothing started. */
import type { EncodingType, IsolationMode } from '../../model/function-config.js';
import type { Device, Mount } from '../isolation/worker-process.js';

export interface DeployedFunction {
  /** With the version number. */
  readonly arn: string;
  /** Lambda's runtime name ("python3.7"), or EXECUTABLE_RUNTIME. */
  readonly runtime: string;
  readonly handler: string;
  readonly execArgs: readonly string[];
  readonly pinned: boolean;
  readonly timeoutMs: number;
  readonly encoding: EncodingType;
  readonly environment: Readonly<Record<string, string>>;
  readonly isolation: IsolationMode;
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly memoryKb?: number;
  readonly accessSysfs: boolean;
  /** Unzipped code on the host, read-only to the function. */
  readonly codeFolder: string;
  readonly mounts: readonly Mount[];
  readonly devices: readonly Device[];
  /** Folder below which the function finds its models, where it has no container. */
  readonly resourcePrefix?: string;
}
