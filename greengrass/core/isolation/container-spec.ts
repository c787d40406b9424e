/**
 * A worker → OCI runtime configuration (config.json). Pure: facts of the host come in, a document goes out.
 *
 * The worker sees the host's root file system read-only (an overlay that is made for it alone), its code at /lambda, the
 * runtimes at /runtime, a /tmp of its own, a small /dev; not the core's folders, not the host's processes. It shares the
 * host's network, as V1's functions do.
 */
import type { SeccompProfile } from './seccomp.js';
import type { Mount, WorkerSpec } from './worker-process.js';

/** Own processes and threads of a worker. */
export const MAX_PROCESSES = 256;
const TMP_SIZE = '64m';
const SHM_SIZE = '64m';

/** What a root function may: as little over files and processes as programs expect, nothing over the kernel. */
const ROOT_CAPABILITIES = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_NET_BIND_SERVICE',
];

const MASKED = [
  ...[
    'acpi',
    'kcore',
    'keys',
    'latency_stats',
    'timer_list',
    'timer_stats',
    'sched_debug',
    'scsi',
    'kallsyms',
  ].map((name) => `/proc/${name}`),
  ...['/proc/config.gz', '/proc/interrupts', '/sys/firmware', '/sys/kernel/debug', '/sys/kernel/tracing'],
  ...['/sys/kernel/security', '/sys/fs/bpf', '/sys/fs/cgroup'],
];
const READ_ONLY = ['asound', 'bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `/proc/${name}`);

/** A line on standard input opens it; its end without one means that the core is gone. */
const GATE = 'read -r _ || exit 125; exec "$@"';

/** A device node as the host has it. */
export interface DeviceNode {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly readOnly: boolean;
}

export interface ContainerFacts {
  /** Where the worker's root file system will be mounted. */
  readonly rootPath: string;
  /** Binds that make up the root file system where it is no overlay. */
  readonly rootBinds: readonly Mount[];
  /** Volumes of the function, with their real sources. */
  readonly volumes: readonly Mount[];
  /** Files for name resolution. */
  readonly hostFiles: readonly Mount[];
  /** What the worker must not see, as paths inside the container; covered where it is there. */
  readonly hiddenPaths: readonly string[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly seccomp: SeccompProfile;
  /** For runc, which insists on one: a group below the worker's own, in the devices hierarchy. */
  readonly cgroupsPath?: string;
}

function tmpfs(destination: string, options: string[]): object {
  return { destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', ...options] };
}

/** With "rprivate" crun binds everything below too, other disks of the host among it, and those writable. */
function bind({ source, destination, readOnly }: Mount, kind: 'bind' | 'rbind' = 'rbind'): object {
  const propagation = kind === 'bind' ? 'private' : 'rprivate';
  return {
    destination,
    type: 'bind',
    source,
    options: [kind, readOnly ? 'ro' : 'rw', 'nosuid', 'nodev', propagation],
  };
}

/** In this order they are mounted: what lies deeper comes later. */
function mounts(spec: WorkerSpec, facts: ContainerFacts): object[] {
  const { uid, gid, accessSysfs } = spec;
  const depth = ({ destination }: Mount) => destination.split('/').filter((part) => part !== '').length;
  return [
    ...facts.rootBinds.map((mount) => bind(mount, 'bind')),
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'noexec', 'strictatime', 'mode=755', 'size=64k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'],
    },
    tmpfs('/dev/shm', ['noexec', 'mode=1777', `size=${SHM_SIZE}`]),
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    tmpfs('/run', ['noexec', 'mode=755', 'size=64k']),
    tmpfs('/tmp', [`uid=${uid}`, `gid=${gid}`, 'mode=1777', `size=${TMP_SIZE}`]),
    ...(accessSysfs
      ? [
          {
            destination: '/sys',
            type: 'sysfs',
            source: 'sysfs',
            options: ['nosuid', 'noexec', 'nodev', 'ro'],
          },
        ]
      : []),
    ...facts.hostFiles.map((mount) => bind(mount)),
    bind({ source: spec.codeFolder, destination: '/lambda', readOnly: true }),
    bind({ source: spec.runtimeFolder, destination: '/runtime', readOnly: true }),
    ...facts.volumes.toSorted((a, b) => depth(a) - depth(b)).map((mount) => bind(mount)),
  ];
}

/** The OCI config for the worker. Limits are not in it: the worker is started inside its control group. */
export function containerSpec(spec: WorkerSpec, facts: ContainerFacts): object {
  const capabilities = spec.uid === 0 ? ROOT_CAPABILITIES : [];
  return {
    ociVersion: '1.0.2',
    hostname: 'greengrass',
    root: { path: facts.rootPath, readonly: true },
    process: {
      terminal: false,
      user: { uid: spec.uid, gid: spec.gid, additionalGids: [...spec.additionalGids], umask: 0o22 },
      args: spec.gate === 'shell' ? ['/bin/sh', '-c', GATE, 'greengrass-gate', ...spec.argv] : [...spec.argv],
      env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
      cwd: '/lambda',
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        inheritable: [],
        permitted: capabilities,
        ambient: [],
      },
      rlimits: [
        { type: 'RLIMIT_NOFILE', soft: 1024, hard: 4096 },
        { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
      ],
      noNewPrivileges: true,
      oomScoreAdj: 500,
    },
    mounts: mounts(spec, facts),
    annotations: facts.seccomp.annotations,
    linux: {
      ...(facts.cgroupsPath === undefined
        ? {}
        : { cgroupsPath: facts.cgroupsPath, resources: { devices: runcDevices(facts.deviceNodes) } }),
      namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }],
      rootfsPropagation: 'rprivate',
      devices: facts.deviceNodes.map(({ path, type, major, minor, mode, uid, gid }) => ({
        path,
        type,
        major,
        minor,
        fileMode: mode,
        uid,
        gid,
      })),
      seccomp: facts.seccomp.profile,
      maskedPaths: [...MASKED, ...facts.hiddenPaths],
      readonlyPaths: READ_ONLY,
    },
  };
}

/** Nodes that every container has, as rules of cgroup v1's devices controller; the engine makes the nodes. */
const STANDARD_DEVICES = [
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:1 rwm',
  'c 5:2 rwm',
  'c 136:* rwm',
];

export function deviceRules(nodes: readonly DeviceNode[]): string[] {
  return [
    ...STANDARD_DEVICES,
    ...nodes.map(
      ({ type, major, minor, readOnly }) => `${type} ${major}:${minor} ${readOnly ? 'rm' : 'rwm'}`,
    ),
  ];
}

/** runc adds the standard ones itself. */
function runcDevices(nodes: readonly DeviceNode[]): object[] {
  return [
    { allow: false, access: 'rwm' },
    ...nodes.map(({ type, major, minor, readOnly }) => ({
      allow: true,
      type,
      major,
      minor,
      access: readOnly ? 'rm' : 'rwm',
    })),
  ];
}
