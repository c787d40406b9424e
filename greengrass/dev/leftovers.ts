/** Looks for what a core may leave behind on the machine: processes, mounts, cgroups. For `--once` and for tests. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupId, isolationFolder } from '../core/isolation/place.js';

/** Everything on this machine that names `marker` (a folder of the run): one line each. */
export function leftoversOf(marker: string): string[] {
  return [...processes(marker), ...mounts(marker)];
}

/** This process and those that started it: npm and shells, which name the folder on their command lines. */
function ownLine(): Set<string> {
  const line = new Set<string>();
  for (let pid = String(process.pid); pid !== '0' && !line.has(pid); ) {
    line.add(pid);
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    pid = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? '0';
  }
  return line;
}

function processes(marker: string): string[] {
  const own = ownLine();
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && !own.has(name))
    .flatMap((pid) => {
      const read = (file: string) => {
        try {
          return readFileSync(join('/proc', pid, file), 'utf8')
            .replaceAll('\0', ' ')
            .trim();
        } catch {
          return '';
        }
      };
      const command = read('cmdline');
      return command.includes(marker) || read('environ').includes(marker)
        ? [`process ${pid}: ${command.slice(0, 200)}`]
        : [];
    });
}

function mounts(marker: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(marker))
    .map((line) => `mount: ${line}`);
}

/** Control groups of the core with this root that are still there. */
export function leftCgroups(root: string): string[] {
  const name = `greengrass-${cgroupId(isolationFolder(join(root, 'ggc')))}`;
  return ['', ...readdirSync('/sys/fs/cgroup')]
    .map((hierarchy) => join('/sys/fs/cgroup', hierarchy, name))
    .filter((path) => existsSync(path));
}
