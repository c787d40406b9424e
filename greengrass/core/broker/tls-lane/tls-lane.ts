/** The door in C (lane.c): all sockets that are readable are read in one turn, with one call into JavaScript for all. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { DEFAULT_CIPHERS } from 'node:tls';
import { PACKAGE_ROOT } from '../../../lib/package-root.js';
import type { DeviceDoor, DoorOptions, Peer, ServerCredentials } from '../device-door.js';
import type { DeviceStream, Piece, StreamListener } from '../device-stream.js';

/** What lane.c exports; see there. */
interface Lane {
  setContext(chainPem: string, keyPem: string, cipherList: string, cipherSuites: string): void;
  listen(host: string, port: number): number;
  write(id: number, bytes: Buffer, from: number, end: number): -1 | 0 | 1;
  end(id: number): void;
  destroy(id: number): void;
  setPaused(id: number, isPaused: boolean): void;
  peer(id: number): Peer;
  reason(id: number): string;
  sweep(handshakeTimeoutMs: number): void;
  close(): void;
}

interface LaneModule {
  createLane(arena: Buffer, events: Int32Array, onTurn: (count: number) => void): Lane;
}

const EVENT_WORDS = 3;
const MAX_EVENTS = 512;
const ARENA_BYTES = 512 * 1024;
const OPENED = 1;
const CLOSED = 2;
const DRAINED = 3;
const FAILED = -1;
const GONE = 1;

let loaded: LaneModule | undefined | false = false;

/** The module, or undefined where it was not built for this machine. */
function load(): LaneModule | undefined {
  if (loaded !== false) return loaded;
  const file = join(PACKAGE_ROOT, 'greengrass', 'core', 'broker', 'tls-lane', 'tls-lane.node');
  try {
    loaded = createRequire(import.meta.url)(file) as LaneModule;
  } catch {
    loaded = undefined;
  }
  return loaded;
}

export const hasLane = (): boolean => load() !== undefined;

/** Throws where the module is not there, the port is taken or the certificate can't be used. */
export function openLaneDoor(
  { port, host }: { port: number; host: string | undefined },
  options: DoorOptions,
): DeviceDoor {
  const module = load();
  if (module === undefined) throw new Error('the TLS lane was not built for this machine');
  return new LaneDoor(module, { port, host }, options);
}

class LaneDoor implements DeviceDoor {
  readonly port: number;
  readonly #options: DoorOptions;
  readonly #lane: Lane;
  readonly #arena = Buffer.allocUnsafeSlow(ARENA_BYTES);
  readonly #events = new Int32Array(MAX_EVENTS * EVENT_WORDS);
  /** By the lane's ids, which are small numbers that come again. */
  readonly #streams: Array<LaneStream | undefined> = [];
  #open = 0;
  #onEmpty: (() => void) | undefined;

  constructor(
    module: LaneModule,
    { port, host }: { port: number; host: string | undefined },
    options: DoorOptions,
  ) {
    this.#options = options;
    this.#lane = module.createLane(this.#arena, this.#events, (count) =>
      options.inTurn(() => this.#turn(count)),
    );
    try {
      this.setCredentials(options.credentials);
      this.port = this.#lane.listen(host ?? '', port);
    } catch (error) {
      this.#lane.close();
      throw error;
    }
  }

  setCredentials({ certPem, keyPem, caPem }: ServerCredentials): void {
    const names = DEFAULT_CIPHERS.split(':');
    const suites = names.filter((name) => name.startsWith('TLS_')).join(':');
    const list = names.filter((name) => !name.startsWith('TLS_')).join(':');
    this.#lane.setContext(`${certPem.trim()}\n${caPem.trim()}\n`, keyPem, list, suites);
  }

  sweep(): void {
    this.#lane.sweep(this.#options.handshakeTimeoutMs);
  }

  async close(): Promise<void> {
    if (this.#open > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    this.#lane.close();
  }

  #turn(count: number): void {
    const events = this.#events;
    const arena = this.#arena;
    const streams = this.#streams;
    for (let at = 0; at < count * EVENT_WORDS; at += EVENT_WORDS) {
      const id = events[at] as number;
      const from = events[at + 1] as number;
      const length = events[at + 2] as number;
      if (length > 0) streams[id]?.listener.received(arena, from, from + length);
      else if (from === OPENED) this.#arrive(id);
      else if (from === CLOSED) streams[id]?.lost(this.#lane.reason(id));
      else if (from === DRAINED) streams[id]?.listener.written();
      else this.#notOpened(id);
    }
  }

  #notOpened(id: number): void {
    this.#options.onFailedHandshake(this.#lane.reason(id));
    this.#lane.destroy(id);
  }

  #arrive(id: number): void {
    const stream = new LaneStream(id, this.#lane, () => {
      if (this.#streams[id] !== stream) return;
      this.#streams[id] = undefined;
      this.#lane.destroy(id);
      this.#open -= 1;
      if (this.#open === 0) this.#onEmpty?.();
    });
    this.#streams[id] = stream;
    this.#open += 1;
    this.#options.onArrival(stream, this.#lane.peer(id));
  }
}

const NOBODY: StreamListener = { received() {}, written() {}, closed() {} };

class LaneStream implements DeviceStream {
  listener = NOBODY;
  isDestroyed = false;

  constructor(
    private readonly id: number,
    private readonly lane: Lane,
    private readonly onGone: () => void,
  ) {}

  listen(listener: StreamListener): void {
    this.listener = listener;
  }

  write(pieces: readonly Piece[]): boolean {
    let isGone = true;
    for (const { bytes } of pieces) {
      const result = this.lane.write(this.id, bytes, 0, bytes.length);
      if (result === GONE) continue;
      isGone = false;
      if (result !== FAILED) continue;
      this.#destroy('the connection is broken');
      break;
    }
    return isGone;
  }

  end(): void {
    if (!this.isDestroyed) this.lane.end(this.id);
  }

  destroy(): void {
    this.#destroy('the connection was closed');
  }

  pause(): void {
    if (!this.isDestroyed) this.lane.setPaused(this.id, true);
  }

  resume(): void {
    if (!this.isDestroyed) this.lane.setPaused(this.id, false);
  }

  /** The other side is gone. */
  lost(reason: string): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.onGone();
    this.listener.closed(reason);
  }

  #destroy(reason: string): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.onGone();
    setImmediate(() => this.listener.closed(reason));
  }
}
