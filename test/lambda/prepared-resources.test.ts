/**
 * Prepared workers of functions with volumes and devices: used while the paths mean what they meant, and never when they
 * have come to mean something else.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { DeployedFunction } from '../../greengrass/core/lambda/deployed-function.js';
import { describeAsRoot } from '../support/as-root.js';
import { type FunctionBench, startFunctions } from '../support/functions.js';
import { waitFor } from '../support/wait-for.js';

const READS = `
def handler(event, context):
    try:
        print('handled ' + open('/data/file').read())
    except OSError as error:
        print('handled %s' % error)
`;
const LISTS = `
import os
def handler(event, context):
    stat = os.stat('/dev/DEVICE')
    print('handled %d:%d' % (os.major(stat.st_rdev), os.minor(stat.st_rdev)))
`;

function host(program: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

describeAsRoot('prepared workers with resources', () => {
  let bench: FunctionBench;
  let disk: string;
  let volume: string;
  const device = `greengrass-test-${process.pid}`;

  beforeEach(async () => {
    bench = await startFunctions({ preparedWorkers: 2, idleMs: 1 });
    disk = mkdtempSync('/var/tmp/greengrass-prepared-');
    volume = folder('volume', 'first');
    chmodSync(disk, 0o755);
  });
  afterEach(async () => {
    await bench.close();
    spawnSync('umount', [volume]);
    rmSync(disk, { recursive: true, force: true });
    rmSync(`/dev/${device}`, { force: true });
  });

  function folder(name: string, text: string): string {
    const path = join(disk, name);
    mkdirSync(path);
    writeFileSync(join(path, 'file'), text);
    return path;
  }
  const ready = (count: number) =>
    waitFor(() => bench.functions.prepared === count, { what: `${count} prepared` });
  const bundles = () => readdirSync(join(bench.folder, 'state/workers'));
  /** Our runtime puts file and line before what is printed. */
  const said = () => bench.entries.map(({ message }) => message.replace(/^main\.py:\d+,/, ''));
  const logged = (text: string) => bench.lines.filter(({ msg }) => msg.includes(text));

  /** What the function says to a message, and whether the worker that stood ready is the one that said it. */
  async function answer(f: DeployedFunction): Promise<{ text: string; prepared: boolean }> {
    await waitFor(() => bench.functions.workers().length === 0);
    await ready(1);
    const [bundle] = bundles();
    bench.entries.length = 0;
    const created = logged('Created worker.').length;
    bench.deliver(f, 't', '{}');
    await waitFor(() => said().some((text) => text.startsWith('handled')));
    const ofOld = logged('have changed since a worker was prepared');
    const line = logged('Created worker.')[created];
    // A worker that is started anew keeps its name.
    const prepared = line?.workerId === bundle && !ofOld.some(({ workerId }) => workerId === bundle);
    return { text: said().join(' ').replace('handled ', ''), prepared };
  }

  async function deployed(mounts = [{ source: volume, destination: '/data', readOnly: false }]) {
    const f = bench.define('f', { 'main.py': READS }, { mounts });
    await bench.deploy(f);
    return f;
  }

  it('a function with a volume answers from one, with what the volume holds then', async () => {
    const f = await deployed();
    await ready(1);
    writeFileSync(join(volume, 'file'), 'second');
    expect(await answer(f)).toEqual({ text: 'second', prepared: true });
    expect(await answer(f)).toEqual({ text: 'second', prepared: true });
  });

  it('a function with a device answers from one', async () => {
    host('mknod', `/dev/${device}`, 'c', '1', '3');
    const f = bench.define(
      'f',
      { 'main.py': LISTS.replace('DEVICE', device) },
      { devices: [{ path: `/dev/${device}`, readOnly: false }] },
    );
    await bench.deploy(f);
    expect(await answer(f)).toEqual({ text: '1:3', prepared: true });
    await ready(1);
    rmSync(`/dev/${device}`);
    host('mknod', `/dev/${device}`, 'c', '1', '5');
    expect(await answer(f)).toEqual({ text: '1:5', prepared: false });
    await waitFor(() => bench.functions.workers().length === 0);
    await ready(1);
    rmSync(`/dev/${device}`);
    bench.deliver(f, 't', '{}');
    await waitFor(() => logged('Failed to start worker.').length > 0);
  });

  it('a volume that was deleted gives the error of a mount, to the message that meets it', async () => {
    const f = await deployed();
    await ready(1);
    rmSync(volume, { recursive: true });
    bench.deliver(f, 't', '{}');
    await waitFor(() => logged('Failed to start worker.').length > 0);
    expect(logged('Failed to start worker.')[0]?.errorString).toMatch(
      /^unable to start lambda container: the volume .*volume cannot be mounted: ENOENT/,
    );
    expect(said()).toEqual([]);
    folder('volume', 'again');
    await waitFor(() => said().includes('handled again'));
  });

  it('a volume whose path became another folder is that one', async () => {
    const f = await deployed();
    await ready(1);
    renameSync(volume, join(disk, 'moved'));
    folder('volume', 'other');
    expect(await answer(f)).toEqual({ text: 'other', prepared: false });
    expect(await answer(f)).toEqual({ text: 'other', prepared: true });
  });

  it('a volume whose path became a link to what functions must not see is refused', async () => {
    const f = await deployed();
    await ready(1);
    renameSync(volume, join(disk, 'moved'));
    writeFileSync(join(bench.folder, 'file'), 'secret');
    symlinkSync(bench.folder, volume);
    bench.deliver(f, 't', '{}');
    await waitFor(() => logged('Failed to start worker.').length > 0);
    expect(logged('Failed to start worker.')[0]?.errorString).toMatch(/which functions must not see/);
    expect(said()).toEqual([]);
    rmSync(volume);
  });

  it('a disk that comes after the preparation is there for the next message, and one that went is not held', async () => {
    const f = await deployed();
    await ready(1);
    const mountsOf = (pid: string) => {
      try {
        return readFileSync(`/proc/${pid}/mountinfo`, 'utf8');
      } catch {
        return '';
      }
    };
    const holders = () =>
      readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && mountsOf(pid).includes(` ${device} `));
    host('mount', '-t', 'tmpfs', device, volume);
    writeFileSync(join(volume, 'file'), 'on the disk');
    expect((await answer(f)).text).toBe('on the disk');
    expect((await answer(f)).text).toBe('on the disk');
    await waitFor(() => bench.functions.workers().length === 0);
    await ready(1);
    expect(holders().length).toBeGreaterThan(1);
    host('umount', volume);
    // No message comes: it is given back all the same, and the next one has the folder that is there now.
    await waitFor(() => holders().length === 0, { timeoutMs: 10_000, what: 'nobody holds the disk' });
    expect((await answer(f)).text).toBe('first');
  });

  it('a disk that is mounted below a volume is seen', async () => {
    const f = bench.define(
      'f',
      { 'main.py': READS.replace('/data/file', '/data/volume/file') },
      { mounts: [{ source: disk, destination: '/data', readOnly: true }] },
    );
    await bench.deploy(f);
    expect(await answer(f)).toEqual({ text: 'first', prepared: true });
    await waitFor(() => bench.functions.workers().length === 0);
    await ready(1);
    host('mount', '-t', 'tmpfs', device, volume);
    writeFileSync(join(volume, 'file'), 'on the disk');
    expect((await answer(f)).text).toBe('on the disk');
  });

  it('a deployment that changes a resource discards it', async () => {
    const f = await deployed();
    await ready(1);
    const [before] = bundles();
    const other = folder('elsewhere', 'other volume');
    const changed = { ...f, mounts: [{ source: other, destination: '/data', readOnly: true }] };
    await bench.deploy(changed);
    expect(bundles()).not.toContain(before);
    expect(await answer(changed)).toEqual({ text: 'other volume', prepared: true });
    // A group of the volume that is another one now is a change too.
    await waitFor(() => bench.functions.workers().length === 0);
    await ready(1);
    const [second] = bundles();
    await bench.deploy({ ...changed, additionalGids: [64050] });
    expect(bundles()).not.toContain(second);
  });

  it('they count among the limit like all others', async () => {
    const mounts = [{ source: volume, destination: '/data', readOnly: true }];
    const functions = ['a', 'b', 'c'].map((name) => bench.define(name, { 'main.py': READS }, { mounts }));
    await bench.deploy(...functions);
    await ready(2);
    for (const f of functions) {
      bench.entries.length = 0;
      bench.deliver(f, 't', '{}');
      await waitFor(() => said().includes('handled first'));
    }
    await waitFor(() => bench.functions.workers().length === 0);
    await waitFor(() => bundles().length === 2);
    expect(bench.functions.prepared).toBe(2);
  });
});
