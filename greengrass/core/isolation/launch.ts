/**
 * How a worker's process chain is put together: enter the control group, make the file systems in a mount namespace of its
 * own, then become the engine (or the program itself). The shell text is constant; everything that varies is passed as
 * an argument to it and never parsed.
 */

/** Dies with the daemon; the sweep at the next start deals with what the engine's death leaves. */
const WITH_PARENT = ['/usr/bin/setpriv', '--pdeathsig', 'KILL', '--'];

/** $1 engine, $2 worker folder (the bundle), $3 engine state, $4 worker id, the rest: cgroup.procs files. */
const CONTAINER_SCRIPT = `
engine=$1 folder=$2 state=$3 id=$4
shift 4
for procs in "$@"; do echo $$ > "$procs" || exit 125; done
umount /sys/fs/cgroup/unified 2>/dev/null
mount -t tmpfs -o mode=755,size=4m,nr_inodes=4k greengrass "$folder/fs" || exit 125
mkdir "$folder/fs/upper" "$folder/fs/work" "$folder/fs/root" || exit 125
mount -t overlay -o "lowerdir=/,upperdir=$folder/fs/upper,workdir=$folder/fs/work" overlay "$folder/fs/root" || exit 125
exec "$engine" --root "$state" --cgroup-manager=disabled --log "$folder/engine.log" --log-format json \\
  run --preserve-fds 4 --pid-file "$folder/pid" --bundle "$folder" "$id"
`;

export interface ContainerLaunch {
  readonly engine: string;
  readonly folder: string;
  readonly stateFolder: string;
  readonly workerId: string;
  readonly procsFiles: readonly string[];
}

/** Program and arguments that start a container whose config.json lies in the folder. */
export function containerCommand({
  engine,
  folder,
  stateFolder,
  workerId,
  procsFiles,
}: ContainerLaunch): string[] {
  return [
    ...WITH_PARENT,
    ...['/usr/bin/unshare', '--mount', '--propagation', 'private', '--'],
    ...['/bin/sh', '-c', CONTAINER_SCRIPT, 'greengrass-container'],
    ...[engine, folder, stateFolder, workerId, ...procsFiles],
  ];
}

/** $1 how many cgroup.procs files follow; then the files, then the command. */
const PLAIN_SCRIPT = `
count=$1
shift
while [ "$count" -gt 0 ]; do echo $$ > "$1" || exit 125; shift; count=$((count - 1)); done
exec "$@"
`;

export interface PlainLaunch {
  readonly argv: readonly string[];
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly procsFiles: readonly string[];
}

/** Program and arguments that start a process without a container: as its user, with nothing to gain by setuid. */
export function plainCommand({ argv, uid, gid, additionalGids, procsFiles }: PlainLaunch): string[] {
  const groups = additionalGids.length > 0 ? ['--groups', additionalGids.join(',')] : ['--clear-groups'];
  return [
    ...['/bin/sh', '-c', PLAIN_SCRIPT, 'greengrass-worker', String(procsFiles.length), ...procsFiles],
    ...['/usr/bin/setpriv', '--reuid', String(uid), '--regid', String(gid), ...groups],
    ...['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--pdeathsig', 'KILL', '--'],
    ...argv,
  ];
}
