/** The one interface that every part of the core has. */
export interface Health {
  readonly healthy: boolean;
  /** Why not, in words; absent where healthy. */
  readonly reason?: string;
}

/**
 * A part of the core. Constructors only assign. `start` resolves when the part is ready to serve; `stop` is
 * idempotent and resolves when nothing of it is left: sockets, timers, children, cgroups, mounts.
 */
export interface Component {
  /** V1's component name, which is also the name of its log file. */
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  health(): Health;
}
