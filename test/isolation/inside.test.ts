/**
 * What a function in a container can do to its host: nothing. Small programs try from inside, as an ordinary user and as
 * uid 0; the control run without a container shows that the same programs do succeed where nothing stops them.
 */
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Isolation } from '../../greengrass/core/isolation/isolation.js';
import { cgroupId } from '../../greengrass/core/isolation/place.js';
import type {
  WorkerExit,
  WorkerProcess,
  WorkerSpec,
} from '../../greengrass/core/isolation/worker-process.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { describeAsRoot } from '../support/as-root.js';
import { waitFor } from '../support/wait-for.js';

const SECRET = 'THE PRIVATE KEY OF THE CORE';

interface Outcome extends WorkerExit {
  readonly out: string;
  readonly err: string;
}

describeAsRoot('a function in a container', () => {
  let folder: string;
  let root: string;
  let isolation: Isolation;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-isolation-'));
    chmodSync(folder, 0o755);
    root = join(folder, 'greengrass');
    for (const name of ['certs', 'code', 'runtime', 'other'])
      mkdirSync(join(root, name), { recursive: true });
    // Readable by everybody, so that only the isolation stands between.
    writeFileSync(join(root, 'certs', 'core.key'), SECRET, { mode: 0o644 });
    writeFileSync(join(root, 'code', 'own.txt'), 'own code');
    writeFileSync(join(root, 'other', 'secret.py'), SECRET);
    isolation = new Isolation({
      hiddenPaths: [root],
      stateFolder: join(root, 'state'),
      logger: silentLogger(),
    });
    const report = await isolation.probe();
    expect(report.reasons).toEqual([]);
    expect(report.available).toBe(true);
  });

  afterAll(async () => {
    await isolation.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function specOf(argv: string[], overrides: Partial<WorkerSpec> = {}): WorkerSpec {
    return {
      workerId: randomUUID(),
      functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:probe:1',
      isolation: 'GreengrassContainer',
      argv,
      env: { PATH: '/usr/bin:/bin', TOKEN: 'mine' },
      uid: 64001,
      gid: 64001,
      additionalGids: [],
      memoryKb: 65536,
      codeFolder: join(root, 'code'),
      runtimeFolder: join(root, 'runtime'),
      accessSysfs: false,
      mounts: [],
      devices: [],
      ...overrides,
    };
  }

  async function finish(worker: WorkerProcess): Promise<Outcome> {
    const read = (stream: Readable) =>
      new Promise<string>((resolve) => {
        let text = '';
        // A pipe that nothing was written to may be closed already.
        if (stream.destroyed) resolve(text);
        stream.on('data', (chunk: Buffer) => {
          text += chunk.toString('utf8');
        });
        stream.on('close', () => resolve(text));
        stream.resume();
      });
    for (const level of ['DEBUG', 'WARN', 'FATAL', 'TRACE'] as const) worker.logs[level].resume();
    const [out, err, exit] = await Promise.all([
      read(worker.logs.INFO),
      read(worker.logs.ERROR),
      worker.exited,
    ]);
    return { ...exit, out: out.trim(), err: err.trim() };
  }

  const run = async (argv: string[], overrides: Partial<WorkerSpec> = {}) =>
    finish(await isolation.start(specOf(argv, overrides)));
  const python = (script: string, overrides: Partial<WorkerSpec> = {}) =>
    run(['/usr/bin/python3', '-c', script], overrides);

  it('runs its own code as its user, with its environment, in its folder', async () => {
    const { out, code } = await python(
      "import os; print(os.getuid(), os.getgid(), os.getcwd(), open('own.txt').read(), os.environ['TOKEN'])",
    );
    expect(out).toBe('64001 64001 /lambda own code mine');
    expect(code).toBe(0);
  });

  it('has a log pipe for every level', async () => {
    const worker = await isolation.start(
      specOf(['/bin/sh', '-c', 'for fd in 1 2 3 4 5 6; do echo "on $fd" >&$fd; done']),
    );
    const texts: Record<string, string> = {};
    for (const [level, stream] of Object.entries(worker.logs)) {
      stream.on('data', (chunk: Buffer) => {
        texts[level] = (texts[level] ?? '') + chunk.toString('utf8');
      });
      stream.resume();
    }
    await worker.exited;
    await waitFor(() => Object.keys(texts).length === 6);
    expect(texts).toEqual({
      INFO: 'on 1\n',
      ERROR: 'on 2\n',
      DEBUG: 'on 3\n',
      WARN: 'on 4\n',
      FATAL: 'on 5\n',
      TRACE: 'on 6\n',
    });
  });

  it('may write to its own /tmp, and finds it empty every time', async () => {
    const script = "import os; print(os.listdir('/tmp')); open('/tmp/x', 'w').write('x')";
    expect((await python(script)).out).toBe('[]');
    expect((await python(script)).out).toBe('[]');
  });

  it('reads and writes a volume as it was granted', async () => {
    const volume = join(folder, 'volume');
    mkdirSync(volume);
    chmodSync(volume, 0o777);
    const write = "open('/dest/file', 'w').write('kept')";
    const rw = { source: volume, destination: '/dest', readOnly: false };
    expect((await python(write, { mounts: [rw] })).code).toBe(0);
    expect(readFileSync(join(volume, 'file'), 'utf8')).toBe('kept');
    const refused = await python(write, { mounts: [{ ...rw, readOnly: true }] });
    expect(refused.err).toMatch(/Read-only file system/);
  });

  it('uses a device that was granted and no other', async () => {
    const open =
      "import os; print(len(os.read(os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK), 8192)) > 0)";
    const refused = await python(open, { uid: 0, gid: 0 });
    expect(refused.err).toMatch(/No such file|not permitted/);
    const device = { path: '/dev/fuse', readOnly: true };
    if (!existsSync(device.path)) return;
    const granted = await python("import os; os.stat('/dev/fuse'); print('there')", { devices: [device] });
    expect(granted.out).toBe('there');
  });

  describe.each([
    ['an ordinary user', {}],
    ['uid 0', { uid: 0, gid: 0 }],
  ])('as %s', (_who, identity) => {
    const attempts: Array<[string, () => string]> = [
      ["read the core's private key", () => `print(open('${root}/certs/core.key').read())`],
      ["read another function's code", () => `print(open('${root}/other/secret.py').read())`],
      [
        "read the key through another process' root",
        () =>
          `
import os
found = []
for pid in os.listdir('/proc'):
    if pid.isdigit():
        try: found.append(open('/proc/%s/rootROOT/certs/core.key' % pid).read())
        except OSError: pass
assert found, 'nothing found'
print(found)`.replace('ROOT', root),
      ],
      [
        'find the key anywhere in the file tree',
        () => `
import os
hits = []
for d, folders, files in os.walk('/'):
    folders[:] = [f for f in folders if f != 'node_modules' and os.path.join(d, f) not in ('/proc', '/sys', '/usr')]
    if 'core.key' in files: hits.append(os.path.join(d, 'core.key'))
assert hits, 'nothing found'
print([open(h).read() for h in hits])`,
      ],
      [
        'see a process of the host',
        () => `
import os
pids = [p for p in os.listdir('/proc') if p.isdigit()]
assert len(pids) > 3, 'only its own: %s' % pids
print(pids)`,
      ],
      [
        'signal a process of the host',
        () => `
import os, signal
os.kill(${process.pid}, 0)
print('reached')`,
      ],
      ['write to its code', () => "open('/lambda/own.txt', 'w').write('x'); print('written')"],
      ['write to the runtimes', () => "open('/runtime/x', 'w').write('x'); print('written')"],
      ['write to the root file system', () => "open('/etc/x', 'w').write('x'); print('written')"],
      ['write to /proc/sys', () => "open('/proc/sys/kernel/hostname', 'w').write('x'); print('written')"],
      [
        'reach the control groups',
        () => "import os; assert os.listdir('/sys/fs/cgroup'), 'empty'; print('there')",
      ],
      [
        'mount something',
        () =>
          "import ctypes; assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0, 'refused'; print('mounted')",
      ],
      [
        'make a device node',
        () =>
          "import os, stat; os.mknod('/tmp/mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1)); print(open('/tmp/mem', 'rb').read(1))",
      ],
      [
        'make a user namespace',
        () => "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0, 'refused'; print('made')",
      ],
      [
        'open a raw socket',
        () => "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print('open')",
      ],
      [
        'load a BPF program',
        () =>
          "import ctypes; assert ctypes.CDLL(None).syscall(321, 0, 0, 0) >= 0, 'refused'; print('loaded')",
      ],
    ];

    it.each(attempts)("can't %s", async (_what, script) => {
      const { out, code, err } = await python(script(), identity);
      expect(`${out}${err}`).not.toContain(SECRET);
      expect({ out, failed: code !== 0 }).toEqual({ out: '', failed: true });
    });

    it('is killed for exceeding its memory, and the reason is known', async () => {
      const { outOfMemory, reason } = await python('x = [bytearray(1 << 20) for _ in range(300)]', identity);
      expect(outOfMemory).toBe(true);
      expect(reason).toBe('Worker consumed all allocated memory (65536 KB)');
    });

    it("can't fork without end", async () => {
      const { out } = await python(
        `
import os, signal
count = 0
try:
    while count < 5000:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        count += 1
except OSError:
    pass
print(count < 300)
os.kill(-1, signal.SIGKILL)
`,
        { ...identity, memoryKb: 262144 },
      );
      expect(out === 'True' || out === '').toBe(true);
    });
  });

  it('without a container the same attempts succeed: the tests can fail', async () => {
    const { out } = await python(`print(open('${root}/certs/core.key').read())`, {
      isolation: 'NoContainer',
    });
    expect(out).toBe(SECRET);
    const seen = await python("import os; print(len([p for p in os.listdir('/proc') if p.isdigit()]) > 3)", {
      isolation: 'NoContainer',
    });
    expect(seen.out).toBe('True');
  });

  it('without a container runs as its user and groups, with no way to more', async () => {
    const { out } = await python(
      "import os; print(os.getuid(), os.getgid(), sorted(os.getgroups()), [l.split()[1] for l in open('/proc/self/status') if l.startswith(('NoNewPrivs', 'CapBnd'))])",
      { isolation: 'NoContainer', additionalGids: [64002] },
    );
    expect(out).toBe("64001 64001 [64002] ['0000000000000000', '1']");
  });

  it.each(['GreengrassContainer', 'NoContainer'] as const)(
    'in %s ends with all its children when it is stopped',
    async (kind) => {
      const script = `
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    os.execv('/bin/sleep', ['sleep', '98765'])
print('up', flush=True)
time.sleep(1000)`;
      const worker = await isolation.start(specOf(['/usr/bin/python3', '-c', script], { isolation: kind }));
      await new Promise<void>((resolve) => {
        worker.logs.INFO.once('data', () => resolve());
        worker.logs.INFO.resume();
      });
      const exit = await worker.stop(100);
      expect(exit.signal).toBe('SIGKILL');
      expect(await worker.stop(100)).toBe(exit);
      expect(commands().filter((command) => command.includes('98765'))).toEqual([]);
    },
  );

  it.each<[string, string, { code: number | null; signal: string | null }]>([
    ['is ended at once where it does not', '', { code: null, signal: 'SIGKILL' }],
    [
      'has its time where it does',
      'def end(*_):\n  time.sleep(0.3)\n  os._exit(7)\nsignal.signal(signal.SIGTERM, end)',
      { code: 7, signal: null },
    ],
    [
      'has its time where it waits for it',
      'import threading\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\nthreading.Thread(target=lambda: (signal.sigwait([signal.SIGTERM]), time.sleep(0.3), os._exit(7))).start()',
      { code: 7, signal: null },
    ],
  ])('that is to handle SIGTERM %s', async (_what, handler, expected) => {
    const script = `import os, signal, time\n${handler}\nprint('up', flush=True)\ntime.sleep(1000)`;
    const worker = await isolation.start(specOf(['/usr/bin/python3', '-c', script]));
    await new Promise<void>((resolve) => {
      worker.logs.INFO.once('data', () => resolve());
      worker.logs.INFO.resume();
    });
    // Much longer than the test may take.
    expect(await worker.stop(600_000)).toMatchObject(expected);
  });

  it('says what the engine says where a container cannot be started', async () => {
    const mount = { source: join(folder, 'not-there'), destination: '/dest', readOnly: true };
    await expect(isolation.start(specOf(['/bin/true'], { mounts: [mount] }))).rejects.toThrow(
      /unable to start lambda container: .*not-there/,
    );
  });

  it.each([
    ['a relative program', { argv: ['sh'] }],
    ['a path that climbs', { codeFolder: '/tmp/../etc' }],
    ['a volume over /proc', { mounts: [{ source: '/tmp', destination: '/proc', readOnly: true }] }],
    ['a worker id that is a path', { workerId: '../../etc' }],
  ])('refuses %s before anything is made', async (_what, overrides) => {
    await expect(isolation.start(specOf(['/bin/true'], overrides))).rejects.toThrow(/can't be isolated/);
  });

  it('leaves nothing after many starts', async () => {
    await Promise.all(Array.from({ length: 10 }, () => run(['/bin/true'])));
    expect(readdirSync(join(root, 'state', 'workers'))).toEqual([]);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(root);
    const group = join('/sys/fs/cgroup/pids', `greengrass-${cgroupId(join(root, 'state'))}`);
    if (existsSync(group)) {
      const inside = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory());
      expect(inside).toEqual([]);
    }
  });
});

function commands(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    });
}
