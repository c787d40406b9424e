/**
 * What hostile code tries from inside a function, in Python. Each script calls `won(what)` where it got what it wanted;
 * anything else (an exception, silence) is a refusal. `{{name}}` stands for a fact of the host (see AttackFacts).
 */

/** Facts of the host that scripts may name. */
export interface AttackFacts {
  /** The core's folder, which functions must not see. */
  readonly root: string;
  readonly rootName: string;
  /** A process of the host, with the attacker's own uid. */
  readonly hostPid: string;
  /** The victim function's process, as the host numbers it. */
  readonly victimPid: string;
  /** Path of a listening Unix socket in the core's folder, open to everybody. */
  readonly socket: string;
  readonly shmKey: string;
  readonly shmFile: string;
  readonly secret: string;
  readonly port: string;
  readonly victimArn: string;
  /** Folder of the rw volume. */
  readonly volume: string;
  /** Number of the file system that the host's `/dev` is. */
  readonly hostDev: string;
}

export interface Attack {
  readonly what: string;
  readonly script: string;
  /** Not tried outside of a container: it would harm this machine, or proves nothing there. */
  readonly inContainerOnly?: true;
  /** Uid 0 may do this by design. */
  readonly ordinaryOnly?: true;
}

/** In front of every script. System calls by name, for both 64-bit machines that we know. */
export const PRELUDE = `
import ctypes, errno, os, platform, socket, stat, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
SECRET = '{{secret}}'
ARM = platform.machine() == 'aarch64'
NUMBERS = dict(ptrace=(101, 117), process_vm_readv=(310, 270), pidfd_open=(434, 434), pidfd_getfd=(438, 438),
    mount=(165, 40), umount2=(166, 39), pivot_root=(155, 41), chroot=(161, 51), setns=(308, 268), unshare=(272, 97),
    clone=(56, 220), clone3=(435, 435), keyctl=(250, 219), add_key=(248, 217), io_uring_setup=(425, 425), bpf=(321, 280),
    perf_event_open=(298, 241), userfaultfd=(323, 282), init_module=(175, 105), finit_module=(313, 273),
    delete_module=(176, 106), reboot=(169, 142), settimeofday=(164, 170), clock_settime=(227, 112), swapon=(167, 224),
    acct=(163, 89), syslog=(103, 116), sethostname=(170, 161), open_by_handle_at=(304, 265), name_to_handle_at=(303, 264),
    fanotify_init=(300, 262), fsopen=(430, 430), fsmount=(432, 432), open_tree=(428, 428), move_mount=(429, 429),
    mount_setattr=(442, 442), kcmp=(312, 272), kexec_load=(246, 104), quotactl=(179, 60), memfd_secret=(447, 447),
    shmget=(29, 194), shmat=(30, 196))
def call(name, *args):
    number = NUMBERS[name][1 if ARM else 0]
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, name + ': ' + os.strerror(code))
    return result
def read(path, size=100000):
    with open(path, 'rb') as file:
        return file.read(size).decode('latin1')
def gain(text):
    if SECRET in text: won(text)
`;

/** A call that is refused by the filter fails before the kernel looks at its arguments; a good refusal is EPERM or ENOSYS. */
function refusedCall(what: string, name: string, args: string): Attack {
  return {
    what,
    script: `
try: result = call('${name}', ${args})
except OSError as error:
    # Any other error means that the kernel has looked at the call.
    if error.errno not in (errno.EPERM, errno.ENOSYS): won(str(error))
else: won(str(result))`,
    inContainerOnly: true,
  };
}

const FILES: Attack[] = [
  { what: "read the core's private key by its path", script: `gain(read('{{root}}/certs/attacked.key'))` },
  {
    what: 'climb out of a mounted folder to the key',
    script: `
for start in ('/lambda', '/runtime', '{{volume}}', '/tmp', '/proc/self/cwd'):
    try:
        fd = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(12):
            for name in ('certs/attacked.key', '{{rootName}}/certs/attacked.key', '{{root}}/certs/attacked.key'[1:]):
                try: gain(os.read(os.open(name, os.O_RDONLY, dir_fd=fd), 1000).decode())
                except OSError: pass
            above = os.open('..', os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = above
        os.close(fd)
    except OSError: pass`,
  },
  { what: "list the core's folder", script: `if os.listdir('{{root}}'): won(str(os.listdir('{{root}}')))` },
  {
    what: 'find the key anywhere in the file tree',
    script: `
for d, folders, files in os.walk('/'):
    # What is not a file of the disk, and what can't have the core inside.
    folders[:] = [f for f in folders if f != 'node_modules' and os.path.join(d, f) not in ('/proc', '/sys', '/usr')]
    if 'attacked.key' in files: gain(read(os.path.join(d, 'attacked.key')))`,
  },
  {
    what: "read the key through other processes' roots, folders and descriptors",
    script: `
for pid in os.listdir('/proc'):
    if not pid.isdigit() and pid != 'thread-self': continue
    for place in ('root{{root}}', 'cwd/../certs', 'root/proc/1/root{{root}}/certs'):
        for name in ('/certs/attacked.key', '/attacked.key'):
            try: gain(read('/proc/%s/%s%s' % (pid, place, name)))
            except OSError: pass`,
  },
  { what: "read another function's code", script: `gain(read('{{root}}/code/victim/main.py'))` },
  {
    what: 'make a hard or symbolic link to the key on a volume, and read it',
    script: `
for make in (os.link, os.symlink):
    try:
        try: os.unlink('{{volume}}/way')
        except OSError: pass
        make('{{root}}/certs/attacked.key', '{{volume}}/way')
        gain(read('{{volume}}/way'))
    except OSError: pass`,
    inContainerOnly: true,
  },
  {
    what: 'open the key by a file handle',
    script: `
class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]
handle, mount = Handle(128), ctypes.c_int()
call('name_to_handle_at', -100, b'{{root}}/certs/attacked.key', ctypes.byref(handle), ctypes.byref(mount), 0)
fd = call('open_by_handle_at', os.open('/', os.O_RDONLY), ctypes.byref(handle), 0)
gain(os.read(fd, 1000).decode())`,
  },
  {
    what: 'write to its own code',
    script: `open('/lambda/main.py', 'a').write('x'); won('written')`,
    inContainerOnly: true,
  },
  {
    what: 'write to the runtimes',
    script: `open('/runtime/x', 'w').write('x'); won('written')`,
    inContainerOnly: true,
  },
  {
    what: 'write to the root file system',
    script: `open('/etc/x', 'w').write('x'); won('written')`,
    inContainerOnly: true,
  },
  {
    what: 'write to a read-only volume',
    script: `open('/ro/x', 'w').write('x'); won('written')`,
    inContainerOnly: true,
  },
  {
    what: 'overwrite a program through /proc/self/exe',
    script: `
for pid in ('self', '1'):
    try: os.open('/proc/%s/exe' % pid, os.O_WRONLY)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ETXTBSY, errno.EACCES, errno.EPERM): raise
        # Busy only: it could be written as soon as nobody runs it.
        path = os.readlink('/proc/%s/exe' % pid)
        if os.statvfs(path).f_flag & os.ST_RDONLY == 0: won(path)
    else: won(pid)`,
  },
];

const PROCESSES: Attack[] = [
  {
    what: 'see a process of the host',
    script: `
names = []
for p in os.listdir('/proc'):
    if p.isdigit():
        try: names.append(read('/proc/%s/cmdline' % p))
        except (FileNotFoundError, ProcessLookupError): pass # It has ended meanwhile.
foreign = [n for n in names if n and 'lambda' not in n and 'greengrass' not in n and 'python' not in n]
if foreign or len(names) > 6: won(str(names))`,
  },
  {
    what: "read another function's environment",
    script: `
for pid in os.listdir('/proc'):
    if pid.isdigit():
        try: gain(read('/proc/%s/environ' % pid))
        except OSError: pass
gain(read('/proc/{{victimPid}}/environ'))`,
  },
  {
    what: "read another function's memory",
    script: `
fd = os.open('/proc/{{victimPid}}/mem', os.O_RDONLY)
for line in open('/proc/{{victimPid}}/maps'):
    low, high = [int(x, 16) for x in line.split()[0].split('-')]
    if 'rw' in line.split()[1]:
        try: gain(os.pread(fd, high - low, low).decode('latin1'))
        except (OSError, OverflowError): pass`,
  },
  {
    what: 'trace another process of its uid',
    script: `call('ptrace', 16, {{hostPid}}, 0, 0); won('attached'); call('ptrace', 17, {{hostPid}}, 0, 0)`,
  },
  refusedCall('trace anything at all', 'ptrace', '0, 0, 0, 0'),
  refusedCall('read the memory of a process', 'process_vm_readv', 'os.getpid(), 0, 0, 0, 0, 0'),
  {
    what: 'signal a process of the host with its own uid',
    script: `os.kill({{hostPid}}, 0); won('reached')`,
  },
  { what: 'signal another function', script: `os.kill({{victimPid}}, 0); won('reached')` },
  {
    what: 'signal everything',
    script: `
import signal
signal.signal(signal.SIGURG, signal.SIG_IGN)
os.kill(-1, signal.SIGURG)
won('somebody else is there')`,
  },
  {
    what: 'hold a process of the host by a descriptor',
    script: `won(str(call('pidfd_open', {{hostPid}}, 0)))`,
  },
  refusedCall('take a descriptor out of another process', 'pidfd_getfd', '0, 0, 0'),
  {
    what: 'use a descriptor that the core left open',
    script: `
for fd in os.listdir('/proc/self/fd'):
    try: target = os.readlink('/proc/self/fd/' + fd)
    except OSError: continue
    if target.startswith(('pipe:', 'socket:', 'anon_inode:', '/lambda', '/runtime', '/usr/', '/dev/null', '/dev/urandom')): continue
    if target.startswith('/proc/') and target.endswith('/fd'): continue
    won(target)`,
    inContainerOnly: true,
  },
];

const KERNEL: Attack[] = [
  refusedCall('mount', 'mount', "b'none', b'/tmp', b'tmpfs', 0, 0"),
  refusedCall('make a read-only volume writable', 'mount', "0, b'/ro', 0, 32 | 4096, 0"),
  refusedCall("uncover the core's folder", 'umount2', "b'{{root}}', 2"),
  refusedCall('change the root', 'pivot_root', "b'/tmp', b'/tmp'"),
  refusedCall('enter another root', 'chroot', "b'/tmp'"),
  refusedCall('open a file system', 'fsopen', "b'ext4', 0"),
  refusedCall('clone a mount', 'open_tree', "-100, b'/', 1"),
  refusedCall('move a mount', 'move_mount', "-100, b'/tmp', -100, b'/run', 0"),
  refusedCall('change a mount', 'mount_setattr', "-100, b'/ro', 0, 0, 0"),
  refusedCall('join a namespace', 'setns', '0, 0'),
  refusedCall('make a user namespace', 'unshare', '0x10000000'),
  refusedCall('make a mount namespace', 'unshare', '0x20000'),
  refusedCall('make a network namespace', 'unshare', '0x40000000'),
  refusedCall('make a process in a user namespace', 'clone', '0x10000000 | 17, 0, 0, 0, 0'),
  refusedCall('do that by clone3', 'clone3', '0, 0'),
  refusedCall('use kernel keys', 'keyctl', '0, -3, 0'),
  refusedCall('add a kernel key', 'add_key', "b'user', b'x', b'y', 1, -3"),
  refusedCall('use io_uring', 'io_uring_setup', '1, 0'),
  refusedCall('load a BPF program', 'bpf', '0, 0, 0'),
  refusedCall('count events of the kernel', 'perf_event_open', '0, 0, -1, -1, 0'),
  refusedCall('handle page faults', 'userfaultfd', '0'),
  refusedCall('load a module', 'init_module', "b'', 0, b''"),
  refusedCall('load a module from a file', 'finit_module', "0, b'', 0"),
  refusedCall('unload a module', 'delete_module', "b'none', 0"),
  refusedCall('restart the machine', 'reboot', '0, 0, 0, 0'),
  refusedCall('set the time of day', 'settimeofday', '0, 0'),
  refusedCall('set a clock', 'clock_settime', '0, 0'),
  refusedCall('add swap space', 'swapon', "b'/tmp/x', 0"),
  refusedCall('keep accounts', 'acct', "b'/tmp/x'"),
  refusedCall("read the kernel's log", 'syslog', '3, 0, 0'),
  refusedCall('rename the machine', 'sethostname', "b'x', 1"),
  refusedCall('watch the file system', 'fanotify_init', '0, 0'),
  refusedCall('compare objects of processes', 'kcmp', '1, 1, 0, 0, 0'),
  refusedCall('load another kernel', 'kexec_load', '0, 0, 0, 0'),
  refusedCall('change quotas', 'quotactl', '0, 0, 0, 0'),
  {
    what: 'make a device node for the memory',
    script: `
os.mknod('/tmp/mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1)); won('made')`,
    inContainerOnly: true,
  },
  {
    what: 'open a device node that lies on a volume',
    script: `won(str(len(os.read(os.open('{{volume}}/kmsg', os.O_RDONLY | os.O_NONBLOCK), 8192))))`,
  },
  {
    what: 'open the memory of the machine',
    script: `
for name in ('mem', 'kmem', 'port', 'kmsg', 'vda', 'sda', 'mmcblk0', 'nvme0n1'):
    try: os.open('/dev/' + name, os.O_RDONLY)
    except OSError: continue
    won(name)`,
  },
  {
    what: "change who may use the host's devices, or the files that hide behind them",
    script: `
import glob
places = glob.glob('/dev/*') + glob.glob('/proc/*') + glob.glob('/proc/self/fd/*')
for path in places:
    try:
        found = os.stat(path)
        if found.st_dev != {{hostDev}}: continue
        os.chmod(path, stat.S_IMODE(found.st_mode))
    except OSError: continue
    won(path)`,
  },
  { what: 'write to a device granted read-only', script: `os.open('/dev/fuse', os.O_RDWR); won('open')` },
  {
    what: 'write to the settings of the kernel',
    script: `
for name in ('kernel/core_pattern', 'kernel/modprobe', 'kernel/hostname', 'vm/overcommit_memory', 'kernel/ns_last_pid'):
    try:
        fd = os.open('/proc/sys/' + name, os.O_WRONLY)
        won(name)
    except OSError: pass
for path in ('/proc/sysrq-trigger', '/proc/1/oom_score_adj' if os.getpid() != 1 else '/proc/acpi/x', '/proc/irq/default_smp_affinity', '/proc/mtrr'):
    if 'oom' in path: continue
    try: os.open(path, os.O_WRONLY)
    except OSError: continue
    won(path)`,
  },
  {
    what: 'take itself out of the reach of the kernel for memory',
    script: `
os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1000'); won('protected')`,
    inContainerOnly: true,
  },
  {
    what: 'write to sysfs',
    script: `
for path in ('kernel/uevent_helper', 'power/state', 'kernel/mm/transparent_hugepage/enabled', 'kernel/profiling', 'module/kernel/parameters/panic'):
    try: os.open('/sys/' + path, os.O_WRONLY)
    except OSError: continue
    won(path)`,
  },
  {
    what: 'reach the control groups',
    script: `
for d, _, files in os.walk('/sys/fs/cgroup'):
    for name in files:
        if name in ('release_agent', 'cgroup.procs', 'tasks', 'memory.limit_in_bytes', 'devices.allow', 'memory.max'):
            won(os.path.join(d, name))`,
  },
  {
    what: 'become root by a setuid program',
    ordinaryOnly: true,
    inContainerOnly: true,
    script: `
import subprocess
out = subprocess.run(['{{volume}}/id', '-u'], capture_output=True, text=True).stdout
if out.strip() == '0': won(out)`,
  },
  {
    what: 'take more capabilities',
    script: `
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
allowed = 0x4fb if os.getuid() == 0 else 0
for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
    if int(status[name], 16) & ~allowed: won(name + status[name])
if status['NoNewPrivs'].strip() != '1' or status['Seccomp'].strip() != '2': won('no filter')`,
  },
  { what: 'become another user', ordinaryOnly: true, script: `os.setuid(0); won(str(os.getuid()))` },
  { what: 'open a raw socket', script: `socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); won('open')` },
  {
    what: 'open a packet socket',
    script: `socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3); won('open')`,
  },
  {
    what: 'talk to the kernel by AF_ALG or vsock',
    script: `
for family in (38, 40):
    try: socket.socket(family, socket.SOCK_SEQPACKET if family == 38 else socket.SOCK_STREAM)
    except OSError: continue
    won(str(family))`,
  },
  {
    what: 'change a network interface',
    script: `
import fcntl
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
now = struct.unpack('16sI', fcntl.ioctl(s, 0x8921, struct.pack('16sI', b'lo', 0)))[1]
fcntl.ioctl(s, 0x8922, struct.pack('16sI', b'lo', now)); won('set')`,
  },
  {
    what: 'listen on a privileged port',
    ordinaryOnly: true,
    script: `s = socket.socket(); s.bind(('127.0.0.1', 787)); won('bound')`,
  },
];

const NEIGHBOURS: Attack[] = [
  {
    what: 'attach shared memory of the host',
    script: `
libc.shmat.restype = ctypes.c_void_p
id = libc.shmget({{shmKey}}, 0, 0)
if id == -1: raise OSError(ctypes.get_errno(), 'shmget')
address = libc.shmat(id, None, 0o10000)
won(ctypes.string_at(address, 8).decode('latin1'))`,
  },
  { what: "read the host's /dev/shm", script: `gain(read('{{shmFile}}'))` },
  {
    what: "connect to the core's socket",
    script: `
s = socket.socket(socket.AF_UNIX); s.connect('{{socket}}'); won('connected')`,
  },
  {
    what: "use the core's door without a token",
    script: `
import http.client
for headers in ({}, {'Authorization': ''}, {'Authorization': 'x' * 36}, {'Authorization': '00000000-0000-4000-8000-000000000000'}):
    for path in ('{{victimArn}}/work', '{{victimArn}}'):
        c = http.client.HTTPConnection('127.0.0.1', {{port}}, timeout=5)
        c.request('GET', '/2016-11-01/functions/' + path, headers=headers)
        status = c.getresponse().status
        if status < 400: won(str(status))
        assert status in (400, 401), won('answered %d' % status)`,
    inContainerOnly: true,
  },
  {
    what: "take another function's work with its own token",
    script: `
import http.client
c = http.client.HTTPConnection('127.0.0.1', {{port}}, timeout=5)
c.request('GET', '/2016-11-01/functions/{{victimArn}}/work', headers={'Authorization': os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']})
status = c.getresponse().status
if status != 403: won(str(status))`,
    inContainerOnly: true,
  },
];

export const ATTACKS: readonly Attack[] = [...FILES, ...PROCESSES, ...KERNEL, ...NEIGHBOURS];
