/** Where the programs of a comparison run, and with what precedence. */
import { writeFileSync } from 'node:fs';

/** NICE=-10 (as root) puts broker and generator before whatever else the machine does; the same for all that are compared. */
const NICE = process.env.NICE ?? '0';

/** The kernel weighs sessions first, then the processes in them. Run the benchmark in one of its own: `setsid -w`. */
export function raiseSession(): void {
  if (NICE === '0') return;
  try {
    writeFileSync('/proc/self/autogroup', NICE);
  } catch {
    process.stdout.write('no precedence: that takes root and a kernel with CONFIG_SCHED_AUTOGROUP\n');
  }
}

/** Arguments of `nice` that run a program on one processor. */
export function onProcessor(number: number): string[] {
  return ['-n', NICE, 'taskset', '-c', String(number)];
}
