/** What the isolation layer is asked for, and what it gives back: one worker process, in a container or without. */
import type { Duplex, Readable } from 'node:stream';
import type { IsolationMode } from '../../model/function-config.js';

export interface Mount {
  /** Path on the host. */
  readonly source: string;
  /** Path that the function sees. */
  readonly destination: string;
  readonly readOnly: boolean;
  /** The core's own (a model), and not a place that the group names: it may lie where functions must not look. */
  readonly isOwn?: boolean;
}

export interface Device {
  /** Path of the node, on the host and inside. */
  readonly path: string;
  readonly readOnly: boolean;
}

/** Everything that decides what a worker is and may. */
export interface WorkerSpec {
  /** UUID; also names container, cgroup and bundle. */
  readonly workerId: string;
  readonly functionArn: string;
  readonly isolation: IsolationMode;
  /** Program and arguments, as the worker sees them; the program is an absolute path. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Memory limit in KB; containers only. */
  readonly memoryKb?: number;
  /** Host folder of the function's code: `/lambda` inside a container, the working directory without one. */
  readonly codeFolder: string;
  /** Host folder of the language runtimes: `/runtime` inside a container. */
  readonly runtimeFolder: string;
  readonly accessSysfs: boolean;
  readonly mounts: readonly Mount[];
  readonly devices: readonly Device[];
  /** The worker inherits one end of a socket pair as descriptor DOOR_DESCRIPTOR. */
  readonly hasDoor?: boolean;
  /**
   * The worker waits for a line on its standard input, which `release` writes: its program knows to do so, or a shell (in
   * containers only) waits before it becomes the program.
   */
  readonly gate?: 'program' | 'shell';
}

/** How a worker ended. */
export interface WorkerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The kernel killed it for its memory limit. */
  readonly outOfMemory: boolean;
  /** In words, for the log: "exited with code 1", "Worker consumed all allocated memory (16384 KB)", … */
  readonly reason: string;
}

export type WorkerLogLevel = 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL';

/**
 * Descriptors that a worker inherits for its log, one pipe per level (names in the environment: `_GG_LOG_FD_<LEVEL>`).
 * Standard output is INFO, standard error is ERROR.
 */
export const LOG_DESCRIPTORS: Readonly<Record<WorkerLogLevel, number>> = {
  INFO: 1,
  ERROR: 2,
  DEBUG: 3,
  WARN: 4,
  FATAL: 5,
  TRACE: 6,
};

/** The worker's own way to the core, where it has one; its number is in the environment (`_GG_DOOR_FD`). */
export const DOOR_DESCRIPTOR = 7;

/** Volumes and devices of a container, which may change while it stands ready. */
export interface Given {
  /** Whether a start at this moment would give the same. Rejects where a disk does not answer. */
  isCurrent(): Promise<boolean>;
  /** Whether something was mounted or unmounted at a volume or below since; never waits. */
  mountsChanged(): boolean;
}

export interface WorkerProcess {
  /** Process id on the host. */
  readonly pid: number;
  readonly logs: Readonly<Record<WorkerLogLevel, Readable>>;
  /** The core's end of the socket pair; undefined where the worker has no door. */
  readonly door: Duplex | undefined;
  /** What a worker with a gate was given; undefined where nothing of it can change. */
  readonly given?: Given | undefined;
  /** Lets a worker that was started with a gate go on. */
  release(): void;
  /** Whether one of its own processes holds the client's end of a TCP connection between these ports of 127.0.0.1. */
  holdsConnection(clientPort: number, serverPort: number): boolean;
  /** Resolves once, when the process has ended and nothing of it is left (container, cgroup, mounts, bundle). */
  readonly exited: Promise<WorkerExit>;
  /** SIGTERM, then SIGKILL of all its processes after `graceMs`; at once where nothing handles SIGTERM. Resolves like `exited`. Idempotent. */
  stop(graceMs: number): Promise<WorkerExit>;
}

/** Starts workers. */
export interface WorkerEngine {
  start(spec: WorkerSpec): Promise<WorkerProcess>;
}
