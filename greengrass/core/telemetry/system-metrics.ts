/** What the whole device uses, this core among all else, from the kernel's counters. */
import { readFileSync } from 'node:fs';
import { cpus, freemem, totalmem } from 'node:os';

export interface SystemMetrics {
  readonly SystemMemUsage: number;
  /** Percent of all processors since the last call, or since the start of the device. */
  readonly CpuUsage: number;
  readonly TotalNumberOfFDs: number;
}

const MEGABYTE = 1024 * 1024;

export class SystemMeter {
  #busy = 0;
  #all = 0;

  read(): SystemMetrics {
    let busy = 0;
    let all = 0;
    for (const { times } of cpus()) {
      const used = times.user + times.nice + times.sys + times.irq;
      busy += used;
      all += used + times.idle;
    }
    const share = all > this.#all ? (busy - this.#busy) / (all - this.#all) : 0;
    this.#busy = busy;
    this.#all = all;
    return {
      SystemMemUsage: (totalmem() - availableBytes()) / MEGABYTE,
      CpuUsage: Math.min(100, Math.max(0, share * 100)),
      TotalNumberOfFDs: openFiles(),
    };
  }
}

/** Caches count as available. */
function availableBytes(): number {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return match ? Number(match[1]) * 1024 : freemem();
}

/** Open files of the device: the first number, the second (allocated and free) is 0 since Linux 2.6. */
function openFiles(): number {
  return Number(readFileSync('/proc/sys/fs/file-nr', 'utf8').split(/\s/)[0]) || 0;
}
