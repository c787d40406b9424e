/**
 * Arguments of `nice` that run a program on one processor. NICE=-10 (as root) gives broker and generator precedence
 * over whatever else the machine does; the same for all that are compared.
 */
export function onProcessor(number: number): string[] {
  return ['-n', process.env.NICE ?? '0', 'taskset', '-c', String(number)];
}
