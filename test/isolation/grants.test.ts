/**
 * What a function is given on purpose: volumes, devices, groups, sysfs, in both kinds of root file system. And that what
 * it is given can't be turned into more.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Isolation } from '../../greengrass/core/isolation/isolation.js';
import type { RootfsKind } from '../../greengrass/core/isolation/rootfs.js';
import type { Mount, WorkerSpec } from '../../greengrass/core/isolation/worker-process.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { describeAsRoot } from '../support/as-root.js';

const SECRET = 'THE PRIVATE KEY OF THE CORE';
const UID = 64001;

describeAsRoot.each<RootfsKind>(['overlay', 'bind'])('in a container whose root is %s', (kind) => {
  let folder: string;
  let root: string;
  let key: string;
  let isolation: Isolation;

  beforeAll(async () => {
    // Not in /tmp, which every container has of its own.
    folder = mkdtempSync('/var/tmp/greengrass-grants-');
    chmodSync(folder, 0o755);
    root = join(folder, 'greengrass');
    key = join(folder, 'keys', 'granted.key');
    for (const name of ['greengrass/code', 'greengrass/runtime', 'greengrass/certs', 'keys'])
      mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(root, 'certs', 'secret'), SECRET);
    writeFileSync(key, SECRET);
    isolation = new Isolation({
      hiddenPaths: [root, key],
      stateFolder: join(root, 'state'),
      rootfs: [kind],
      logger: silentLogger(),
    });
    expect(await isolation.probe()).toMatchObject({ available: true, rootfs: kind, reasons: [] });
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
      env: { PATH: '/usr/bin:/bin' },
      uid: UID,
      gid: UID,
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

  async function run(argv: string[], overrides: Partial<WorkerSpec> = {}, meanwhile = () => {}) {
    const starting = isolation.start(specOf(argv, overrides));
    meanwhile();
    const worker = await starting;
    const read = async (stream: Readable) => {
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString('utf8').trim();
    };
    for (const level of ['DEBUG', 'WARN', 'FATAL', 'TRACE'] as const) worker.logs[level].resume();
    const [out, err, exit] = await Promise.all([
      read(worker.logs.INFO),
      read(worker.logs.ERROR),
      worker.exited,
    ]);
    return { out, err, ...exit };
  }
  const sh = (script: string, overrides: Partial<WorkerSpec> = {}, meanwhile?: () => void) =>
    run(['/bin/sh', '-c', script], overrides, meanwhile);

  function volume(name: string, mode = 0o777): string {
    const path = join(folder, 'volumes', name);
    mkdirSync(path, { recursive: true });
    chmodSync(path, mode);
    return path;
  }
  const at = (source: string, destination: string, readOnly = false): Mount => ({
    source,
    destination,
    readOnly,
  });

  it('hides the core and a key that lies elsewhere, from uid 0 too', async () => {
    for (const uid of [UID, 0]) {
      const { out } = await sh(`cat ${root}/certs/secret; cat ${key}; ls -A ${root}; id -u`, {
        uid,
        gid: uid,
      });
      expect(out).toBe(String(uid));
    }
  });

  it('hides them also where a volume has them inside, and refuses a volume that lies in them', async () => {
    const mounts = [at(folder, '/mnt')];
    const { out } = await sh(
      'cat /mnt/greengrass/certs/secret /mnt/keys/granted.key; ls -A /mnt/greengrass; echo end',
      { mounts, uid: 0, gid: 0 },
    );
    expect(out).toBe('end');
    for (const source of [root, join(root, 'certs'), key])
      await expect(sh('true', { mounts: [at(source, '/mnt')] })).rejects.toThrow(
        /which functions must not see: choose another folder/,
      );
  });

  it('has nothing of other disks that are mounted below what it sees, and no second way to its root', async () => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    expect(spawnSync('/bin/mount', ['-t', 'tmpfs', 'tmpfs', disk]).status).toBe(0);
    try {
      writeFileSync(join(disk, 'file'), 'of another disk');
      const { out } = await sh(
        `cat ${disk}/file; echo x > ${disk}/written; cut -d' ' -f5 /proc/self/mountinfo | grep '^${folder}'`,
        {
          uid: 0,
          gid: 0,
        },
      );
      // What hides the core: its folder and the key.
      expect(out.split('\n').sort()).toEqual([root, key].sort());
      expect(existsSync(join(disk, 'written'))).toBe(false);
    } finally {
      spawnSync('/bin/umount', [disk]);
    }
  });

  it('mounts a volume at a place that the host has, and says so where it can not', async () => {
    const source = volume('some');
    writeFileSync(join(source, 'file'), 'there');
    expect(await sh('cat /mnt/file', { mounts: [at(source, '/mnt', true)] })).toMatchObject({
      out: 'there',
      code: 0,
    });
    expect((await sh('cat /nowhere/file', { mounts: [at(source, '/nowhere')] })).out).toBe('there');
    const missing = sh('cat /usr/nowhere/file', { mounts: [at(source, '/usr/nowhere')] });
    // The overlay can make the place; the host's own folders can't be written to.
    if (kind === 'overlay') expect((await missing).out).toBe('there');
    else
      await expect(missing).rejects.toThrow(/unable to start lambda container: \/usr\/nowhere is not there/);
    expect(existsSync('/usr/nowhere')).toBe(false);
    expect(existsSync('/nowhere')).toBe(false);
  });

  it('mounts a single file', async () => {
    const source = join(volume('file'), 'settings');
    writeFileSync(source, 'one setting');
    expect((await sh('cat /mnt', { mounts: [at(source, '/etc/hostname', true)] })).out).toBe('');
    expect((await sh('cat /etc/hostname', { mounts: [at(source, '/etc/hostname', true)] })).out).toBe(
      'one setting',
    );
  });

  it('lets two functions share a volume, each with its own permission, live', async () => {
    const source = volume('shared');
    const writer = await sh('echo from one > /mnt/file', { mounts: [at(source, '/mnt')], uid: 64001 });
    expect(writer.code).toBe(0);
    const reader = await sh('cat /mnt/file; echo x > /mnt/other', {
      mounts: [at(source, '/mnt', true)],
      uid: 64002,
    });
    expect(reader).toMatchObject({ out: 'from one', err: expect.stringMatching(/Read-only/) });
    expect(readFileSync(join(source, 'file'), 'utf8')).toBe('from one\n');
  });

  it('gives the group of a volume, and file permissions decide', async () => {
    const source = volume('group', 0o770);
    chownSync(source, 0, 64050);
    const mounts = [at(source, '/mnt')];
    expect((await sh('echo x > /mnt/f', { mounts })).err).toMatch(/Permission denied/);
    expect((await sh('echo x > /mnt/f; id -G', { mounts, additionalGids: [64050] })).out).toBe(
      `${UID} 64050`,
    );
    expect(existsSync(join(source, 'f'))).toBe(true);
  });

  it('refuses a volume whose name became a link to the core in the moment of the mount', async () => {
    const outer = volume('outer');
    const inner = join(outer, 'inner');
    mkdirSync(inner);
    const mounts = [at(inner, '/mnt', true)];
    expect((await sh('ls -A /mnt; echo end', { mounts })).out).toBe('end');
    const raced = sh('cat /mnt/secret', { mounts }, () => {
      renameSync(inner, join(outer, 'moved'));
      symlinkSync(join(root, 'certs'), inner);
    });
    await expect(raced).rejects.toThrow(/the volume .*inner was changed while it was mounted/);
    await expect(sh('true', { mounts })).rejects.toThrow(/must not see/);
  });

  it('leaves no descriptor of a volume in the worker or in the core', async () => {
    const source = volume('descriptors');
    const own = () => spawnSync('ls', ['-l', `/proc/${process.pid}/fd`], { encoding: 'utf8' }).stdout;
    const { out } = await sh('ls -l /proc/self/fd', { mounts: [at(source, '/mnt')] });
    expect(out).not.toContain('volumes');
    expect(own()).not.toContain(source);
    await expect(sh('true', { mounts: [at(source, '/mnt'), at('/not/there', '/opt')] })).rejects.toThrow(
      /not\/there/,
    );
    expect(own()).not.toContain(source);
  });

  it('lets the host unmount the disk of a volume, and keeps none that is no volume', async () => {
    const host = (program: string, ...args: string[]) =>
      expect(spawnSync(program, args, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    const disks = volume('disks');
    const [given, other] = [join(disks, 'given'), join(disks, 'other')];
    // As on hosts with systemd: mounts and their ends are told to the namespaces below.
    host('mount', '-t', 'tmpfs', 'disks', disks);
    host('mount', '--make-shared', disks);
    try {
      for (const disk of [given, other]) {
        mkdirSync(disk);
        host('mount', '-t', 'tmpfs', 'disk', disk);
      }
      const worker = await isolation.start(
        specOf(['/bin/sleep', '1000'], { mounts: [at(given, '/mnt', true)] }),
      );
      const engine = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${worker.pid}/status`, 'utf8'))?.[1];
      const mounts = () => readFileSync(`/proc/${engine}/mountinfo`, 'utf8');
      expect(mounts()).toContain(other);
      for (const disk of [given, other]) host('umount', disk);
      for (const disk of [given, other]) expect(mounts()).not.toContain(` ${disk} `);
      await worker.stop(0);
    } finally {
      for (const disk of [given, other, disks]) spawnSync('umount', [disk]);
    }
  });

  it('has no /sys without AccessSysfs, and with it a read-only one without the dangerous parts', async () => {
    const without = await sh('ls -A /sys');
    expect(without.out).toBe('');
    const script =
      'test -d /sys/class/net/lo && echo net; ls -A /sys/kernel/debug /sys/kernel/tracing /sys/kernel/security /sys/fs/bpf /sys/fs/cgroup /sys/firmware 2>/dev/null | grep -v : | tr -d "\\n"; for f in /sys/power/state /sys/kernel/mm/transparent_hugepage/enabled; do { echo x > $f; } 2>/dev/null && echo wrote $f; done; mkdir /sys/fs/cgroup/x 2>/dev/null && echo made';
    for (const uid of [UID, 0])
      expect((await sh(script, { accessSysfs: true, uid, gid: uid })).out).toBe('net');
  });

  it('has a /proc of its own processes, read-only where it is about the machine', async () => {
    const script =
      'for f in sys/kernel/hostname sysrq-trigger irq/default_smp_affinity; do { echo x > /proc/$f; } 2>/dev/null && echo wrote $f; done; cat /proc/kcore /proc/keys /proc/timer_list /proc/kallsyms 2>/dev/null | head -c1 | wc -c; ls -d /proc/[0-9]* | wc -l';
    for (const uid of [UID, 0]) {
      const [masked, processes] = (await sh(script, { uid, gid: uid })).out.split('\n');
      expect([masked, Number(processes) < 6]).toEqual(['0', true]);
    }
  });

  it("mounts the host's /proc as a volume read-only, whatever was asked for", async () => {
    const mounts = [at('/proc', '/host/proc', true)];
    if (kind === 'bind') return;
    const { out } = await sh(
      '{ echo x > /host/proc/sys/kernel/hostname; } 2>/dev/null && echo wrote; test -d /host/proc/1 && echo there',
      { mounts, uid: 0, gid: 0 },
    );
    expect(out).toBe('there');
  });

  it.each([
    ['/tmp', 'dd if=/dev/zero of=/tmp/x bs=1M count=100 2>&1 | grep -c "No space"', 262144],
    ['/dev/shm', 'dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>&1 | grep -c "No space"', 262144],
  ])('can fill its %s, and no more', async (_where, script, memoryKb) => {
    expect((await sh(script, { memoryKb })).out).toBe('1');
  });

  it('pays for its /tmp with its own memory', async () => {
    const { outOfMemory } = await sh('dd if=/dev/zero of=/tmp/x bs=1M count=60; sleep 60', {
      memoryKb: 32768,
    });
    expect(outOfMemory).toBe(true);
  });
});
