/** A worker's process as we hold it: its log pipes, its end and the reason for it, its stop. Both kinds of isolation. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Duplex, Readable } from 'node:stream';
import type { ChildProcess, SpawnOptions } from '../../lib/subprocess.js';
import type { WorkerCgroup } from './cgroup.js';
import { holdsConnection, sessionMembers } from './tcp-peer.js';
import {
  DOOR_DESCRIPTOR,
  type Given,
  LOG_DESCRIPTORS,
  type WorkerExit,
  type WorkerLogLevel,
  type WorkerProcess,
  type WorkerSpec,
} from './worker-process.js';

/** Standard input is an empty pipe: engines change the owner of what they are given, which must not be /dev/null. */
const STDIO: readonly 'pipe'[] = ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'];

/** With one more for the door. */
export function stdioOf({ hasDoor }: Pick<WorkerSpec, 'hasDoor'>): NonNullable<SpawnOptions['stdio']> {
  return [...STDIO, ...(hasDoor ? ['pipe' as const] : [])];
}

/** How much a failed start may say. */
const MAX_ERROR_BYTES = 2000;

export interface WorkerChildOptions {
  readonly child: ChildProcess;
  readonly cgroup: WorkerCgroup | undefined;
  /** Removes what the worker leaves; awaited before `exited` resolves. */
  readonly clean: () => Promise<void>;
  readonly memoryKb?: number;
  /** A container's child is its engine; a plain process leads a process group of its own. */
  readonly kind: 'container' | 'plain';
  /** What the engine says went wrong with a worker that has ended; undefined where nothing did. */
  readonly failure?: () => string | undefined;
  /** Written to its standard input. */
  readonly input?: string;
  /** It waits for a line on its standard input. */
  readonly isGated?: boolean;
  readonly given?: Given | undefined;
}

interface RawExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class WorkerChild implements WorkerProcess {
  readonly logs: Readonly<Record<WorkerLogLevel, Readable>>;
  readonly door: Duplex | undefined;
  /** The process has ended; what it left may still be there. */
  readonly ended: Promise<RawExit>;
  readonly exited: Promise<WorkerExit>;
  readonly #options: WorkerChildOptions;
  #pid: number;
  #isStopping = false;
  #hasEnded = false;

  constructor(options: WorkerChildOptions) {
    this.#options = options;
    const { child, input = '', isGated } = options;
    this.#pid = child.pid as number;
    child.stdin?.on('error', () => {});
    if (!isGated) child.stdin?.end(input);
    this.logs = Object.fromEntries(
      Object.entries(LOG_DESCRIPTORS).map(([level, fd]) => [level, child.stdio[fd] as Readable]),
    ) as Record<WorkerLogLevel, Readable>;
    this.door = (child.stdio as ReadonlyArray<unknown>)[DOOR_DESCRIPTOR] as Duplex | undefined;
    this.door?.on('error', () => {});
    this.ended = new Promise((resolve) =>
      child.once('exit', (code, signal) => {
        this.#hasEnded = true;
        this.door?.destroy();
        resolve({ code, signal });
      }),
    );
    this.exited = this.ended.then((raw) => this.#finish(raw));
  }

  get given(): Given | undefined {
    return this.#options.given;
  }

  get pid(): number {
    return this.#pid;
  }

  /** The worker runs under this process id. */
  runs(pid: number): void {
    this.#pid = pid;
  }

  release(): void {
    if (this.#options.isGated) this.#options.child.stdin?.end('\n');
  }

  /** What a start that failed said on standard error; only for a process that has ended and that nobody reads. */
  firstErrors(): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      // A pipe that nothing was written to may be closed already.
      if (this.logs.ERROR.destroyed) resolve(text);
      this.logs.ERROR.on('data', (chunk: Buffer) => {
        if (text.length < MAX_ERROR_BYTES) text += chunk.toString('utf8');
      });
      this.logs.ERROR.once('close', () => resolve(text.trim()));
    });
  }

  holdsConnection(clientPort: number, serverPort: number): boolean {
    if (this.#hasEnded) return false;
    const { cgroup } = this.#options;
    // Without a control group it is the session, which a plain process leads and nobody else can join.
    return holdsConnection(cgroup?.pids() ?? sessionMembers(this.#pid), clientPort, serverPort);
  }

  async stop(graceMs: number): Promise<WorkerExit> {
    // Its process id may be somebody else's by now.
    if (!this.#isStopping && !this.#hasEnded) {
      this.#isStopping = true;
      signal(this.#pid, 'SIGTERM');
      // The kernel drops what the first process of a container does not handle, where any other would end.
      const isDropped = this.#options.kind === 'container' && endsBy(this.#pid, 'SIGTERM');
      const timer = setTimeout(() => this.#kill(), isDropped ? 0 : graceMs);
      void this.ended.then(() => clearTimeout(timer));
    }
    return this.exited;
  }

  #kill(): void {
    const { cgroup, child } = this.#options;
    cgroup?.killAll();
    if (this.#hasEnded) return;
    signal(this.#pid, 'SIGKILL');
    child.kill('SIGKILL');
  }

  async #finish({ code: rawCode, signal: rawSignal }: RawExit): Promise<WorkerExit> {
    const { cgroup, clean, memoryKb, kind, child, failure } = this.#options;
    // Where there is no control group, this is how a plain process' children end with it.
    if (kind === 'plain' && child.pid !== undefined) signal(-child.pid, 'SIGKILL');
    // An engine gives a signal as 128 + its number.
    const killed = rawSignal ?? (kind === 'container' ? signalOf(rawCode) : null);
    const outOfMemory =
      !this.#isStopping && (cgroup?.oomKills() ?? 0) > 0 && (killed === 'SIGKILL' || rawCode !== 0);
    const said = this.#isStopping || outOfMemory ? undefined : failure?.();
    await clean();
    const code = killed === null ? rawCode : null;
    const reason = said ?? reasonOf(code, killed, outOfMemory, memoryKb);
    return { code, signal: killed, outOfMemory, reason };
  }
}

function reasonOf(
  code: number | null,
  killed: NodeJS.Signals | null,
  outOfMemory: boolean,
  memoryKb?: number,
): string {
  if (outOfMemory) return `Worker consumed all allocated memory (${memoryKb ?? 'no limit known'} KB)`;
  return killed === null ? `exited with code ${code}` : `was ended by ${killed}`;
}

function signalOf(code: number | null): NodeJS.Signals | null {
  const names: Record<number, NodeJS.Signals> = {
    129: 'SIGHUP',
    130: 'SIGINT',
    131: 'SIGQUIT',
    132: 'SIGILL',
    134: 'SIGABRT',
    135: 'SIGBUS',
    136: 'SIGFPE',
    137: 'SIGKILL',
    139: 'SIGSEGV',
    141: 'SIGPIPE',
    143: 'SIGTERM',
    159: 'SIGSYS',
  };
  return code === null ? null : (names[code] ?? null);
}

/** Whether a process leaves a signal to its default action: it does not catch, block or ignore it. */
function endsBy(pid: number, name: 'SIGTERM'): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const masks = [...status.matchAll(/^Sig(?:Blk|Ign|Cgt):\t([0-9a-f]+)$/gm)];
    const bit = 1n << BigInt(constants.signals[name] - 1);
    return masks.length === 3 && masks.every(([, mask]) => (BigInt(`0x${mask}`) & bit) === 0n);
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}
