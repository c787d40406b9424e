/**
 * How a worker's process chain is put together: enter the control group, make the file systems in a mount namespace of its
 * own, then become the engine (or the program itself). The shell text is constant; everything that varies is passed as
 * an argument to it and never parsed. What runs as root sees nothing of the function's environment: LD_PRELOAD and its
 * kin would make it run the function's code.
 */
import type { RootfsKind } from './rootfs.js';
import type { WorkerSpec } from './worker-process.js';

/**
 * $1 the engine's log, for what fails before it; $2 empty, or the folder for an overlay of the host's root; then lists that end with "--": cgroup.procs files to enter,
 * mounts to drop from sight, volumes (the core's descriptor of the source as it was looked at, the source's path, the place
 * where the engine will look for it); the rest is the engine's command line. A volume is bound by its path, as a descriptor
 * from another mount namespace can't be, and must then be what the descriptor holds. The descriptor stays the core's: the
 * engine would keep it, and with it the disk busy, for as long as the worker lives.
 *
 * To enter a control group is to wait for the kernel (7 ms and more where nobody did so just before), in which the file
 * systems are made; the engine starts when both are done.
 */
const CONTAINER_SCRIPT = `
log=$1 fs=$2
shift 2
{ while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; } &
entering=$!
while [ "$1" != -- ]; do shift; done
shift
while [ "$1" != -- ]; do umount "$1" 2>> "$log" || exit 125; shift; done
shift
while [ "$1" != -- ]; do
  mount --rbind "$2" "$3" 2>> "$log" || exit 125
  [ "$3" -ef "$1" ] || { echo "the volume $2 was changed while it was mounted" >> "$log"; exit 125; }
  shift 3
done
shift
if [ -n "$fs" ]; then
  {
    mount -t tmpfs -o mode=755,size=4m,nr_inodes=4k greengrass "$fs" &&
    mkdir "$fs/upper" "$fs/work" "$fs/root" &&
    mount -t overlay -o "nosuid,nodev,lowerdir=/,upperdir=$fs/upper,workdir=$fs/work" overlay "$fs/root"
  } 2>> "$log" || exit 125
fi
wait "$entering" || exit 125
exec "$@"
`;

export interface ContainerLaunch {
  /** Absolute path of crun or runc. */
  readonly engine: string;
  /** The bundle; engine.log and the pid file are written into it. */
  readonly folder: string;
  readonly rootfs: RootfsKind;
  /** The engine's own folder. */
  readonly stateFolder: string;
  readonly workerId: string;
  /** How many descriptors above standard error the worker inherits. */
  readonly descriptors: number;
  readonly procsFiles: readonly string[];
  /** Hierarchies that the engine must not see. */
  readonly cgroupMounts: readonly string[];
  /** Sources of volumes, what the core holds of them (in /proc), and where they are bound for the engine. */
  readonly volumes: ReadonlyArray<{
    readonly held: string;
    readonly source: string;
    readonly place: string;
  }>;
}

/** runc always handles control groups; it is left with none that holds a limit of ours. */
export function isRunc(engine: string): boolean {
  return engine.endsWith('/runc');
}

/** Program and arguments that start a container whose config.json lies in the folder. */
export function containerCommand(launch: ContainerLaunch): string[] {
  const { engine, folder, rootfs, stateFolder, workerId, descriptors, procsFiles, cgroupMounts } = launch;
  return [
    // The engine keeps what the host has mounted for as long as the worker lives; "slave": but not what is unmounted there.
    ...['/usr/bin/unshare', '--mount', '--propagation', 'slave', '--'],
    ...['/bin/sh', '-c', CONTAINER_SCRIPT, 'greengrass-container'],
    `${folder}/engine.log`,
    rootfs === 'overlay' ? `${folder}/fs` : '',
    ...procsFiles,
    '--',
    ...cgroupMounts,
    '--',
    ...launch.volumes.flatMap(({ held, source, place }) => [held, source, place]),
    '--',
    ...[engine, '--root', stateFolder, '--log', `${folder}/engine.log`, '--log-format', 'json'],
    ...(isRunc(engine) ? [] : ['--cgroup-manager=disabled']),
    ...[
      'run',
      '--preserve-fds',
      String(descriptors),
      '--pid-file',
      `${folder}/pid`,
      '--bundle',
      folder,
      workerId,
    ],
  ];
}

/**
 * Runs as the function's user and waits for its environment, which comes in on standard input as `environmentText`. An
 * empty one means that the daemon died.
 */
const ENVIRONMENT_SCRIPT = 'env=$(cat); [ -n "$env" ] || exit 125; eval "$env"; unset env; exec "$@"';

/** Program and arguments that start a process without a container: as its user, with nothing to gain by setuid. */
export function plainCommand({
  argv,
  uid,
  gid,
  additionalGids,
}: Pick<WorkerSpec, 'argv' | 'uid' | 'gid' | 'additionalGids'>): string[] {
  const groups = additionalGids.length > 0 ? ['--groups', additionalGids.join(',')] : ['--clear-groups'];
  return [
    ...['/usr/bin/setpriv', '--reuid', String(uid), '--regid', String(gid), ...groups],
    ...['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--pdeathsig', 'KILL', '--'],
    ...['/bin/sh', '-c', ENVIRONMENT_SCRIPT, 'greengrass-worker', ...argv],
  ];
}

/** The environment as a shell takes it; names are identifiers (spec-checks.ts), values are quoted whole. Never empty. */
export function environmentText(env: Readonly<Record<string, string>>): string {
  const lines = Object.entries(env).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`,
  );
  return [':', ...lines, ''].join('\n');
}
