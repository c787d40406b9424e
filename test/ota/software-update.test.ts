/** An update of the core software: real packages, real processes, a greengrassd that starts or does not. */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SoftwarePackages } from '../../greengrass/core/ota/software-packages.js';
import { SoftwareUpdate } from '../../greengrass/core/ota/software-update.js';
import { UpdateRecord } from '../../greengrass/core/ota/update-record.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';

const keys = generateKeyPairSync('ed25519');
const publicKeyPem = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString();

let folder: string;
let root: string;
const calls = () => {
  const file = join(root, 'calls');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
};

/** A greengrassd that notes how it was called; `starts` is its exit code for start, `says` what it prints. */
function greengrassd(version: string, starts: number, says = '', first = ''): string {
  const note = `[ "$verb" = status ] && exit 0\necho "${version} $verb" >> ${root}/calls`;
  return `#!/bin/sh\nfor verb; do :; done\n${note}\nprintf '${says}'\n${first}\n[ "$verb" = start ] && exit ${starts}\nexit 0\n`;
}

function writeProgram(file: string, text: string): void {
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, 0o755);
}

async function packageOf(version: string, starts: number, key = keys.privateKey, says = '', first = '') {
  const tree = join(folder, `tree-${version}`);
  writeProgram(
    join(tree, 'greengrass/ggc/packages', version, 'greengrassd'),
    greengrassd(version, starts, says, first),
  );
  const file = join(folder, `${version}.tar.gz`);
  expect((await run('tar', ['-czf', file, '-C', tree, 'greengrass'])).code).toBe(0);
  const digest = createHash('sha256').update(readFileSync(file)).digest();
  return { file, version, signature: sign(null, digest, key).toString('base64') };
}

const options = (managedRespawn = false) => ({
  ...{ root, publicKeyPem, managedRespawn, healthWindowMs: 0, logger: silentLogger() },
  controlSocket: join(folder, 'control.sock'),
});
const updater = (managedRespawn = false) => new SoftwareUpdate(options(managedRespawn));
const script = (name: string, text: string, mode = 0o700) => {
  writeProgram(join(root, 'usr/scripts', name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(root, 'usr/scripts', name), mode);
};

describeAsRoot('core software', () => {
  /** In the daemon's place. */
  let control: Server;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-ota-'));
    root = join(folder, 'greengrass');
    writeProgram(join(root, 'ggc/packages/1.0.0/greengrassd'), greengrassd('1.0.0', 0));
    symlinkSync('packages/1.0.0', join(root, 'ggc/core'));
    control = createServer((_request, response) => response.writeHead(404).end());
    await new Promise<void>((resolve) => control.listen(options().controlSocket, resolve));
  });
  afterEach(() => {
    control.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is stopped, switched by its link and started; the version before stays as the way back', async () => {
    expect(await updater().update(await packageOf('1.0.1', 0))).toEqual({
      status: 'SUCCEEDED',
      from: '1.0.0',
      to: '1.0.1',
    });
    expect(calls()).toEqual(['1.0.0 stop', '1.0.1 start']);
    expect(readlinkSync(join(root, 'ggc/core'))).toBe('packages/1.0.1');
    expect(await updater().update(await packageOf('1.0.2', 0))).toMatchObject({ status: 'SUCCEEDED' });
    expect(readdirSync(join(root, 'ggc/packages')).sort()).toEqual(['1.0.1', '1.0.2']);
    expect(await updater().recover()).toBeUndefined();
  });

  it('goes back by itself where the new version does not start', async () => {
    expect(await updater().update(await packageOf('1.0.1', 7))).toMatchObject({
      status: 'FAILED',
      runs: '1.0.0',
      reason: expect.stringMatching(/^version 1\.0\.1 did not start/),
    });
    expect(calls()).toEqual(['1.0.0 stop', '1.0.1 start', '1.0.0 stop', '1.0.0 start']);
    expect(new SoftwarePackages(root).current).toBe('1.0.0');
    expect(new UpdateRecord(root).trial).toBeUndefined();
    expect(readdirSync(join(root, 'ggc/packages'))).toEqual(['1.0.0']);
  });

  it('goes back where the new version runs, but does not answer', async () => {
    control.close();
    expect(await updater().update(await packageOf('1.0.1', 0))).toMatchObject({
      ...{ status: 'FAILED', runs: '1.0.0' },
      reason: 'version 1.0.1 did not stay: the daemon runs, but does not answer',
    });
    expect(calls()).toEqual(['1.0.0 stop', '1.0.1 start', '1.0.0 stop', '1.0.0 start']);
  });

  it('goes back where the command of the new version hangs', async () => {
    const software = await packageOf('1.0.1', 0, keys.privateKey, '', 'exec sleep 100');
    const end = await new SoftwareUpdate({ ...options(), commandTimeoutMs: 500 }).update(software);
    expect(end).toMatchObject({
      ...{ status: 'FAILED', runs: '1.0.0' },
      reason: expect.stringMatching(/^version 1\.0\.1 did not start: /),
    });
    expect(calls()).toEqual(['1.0.0 stop', '1.0.1 start', '1.0.0 stop', '1.0.0 start']);
    expect(new SoftwarePackages(root).current).toBe('1.0.0');
  });

  it('is not touched where the disk is full before the package is unpacked', async () => {
    const file = join(folder, 'tree-1.0.1/greengrass/ggc/packages/1.0.1/large');
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, randomBytes(2_000_000));
    const software = await packageOf('1.0.1', 0);
    const packages = join(root, 'ggc/packages');
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=755', 'tmpfs', packages]);
    expect(mounted).toMatchObject({ code: 0 });
    try {
      writeProgram(join(packages, '1.0.0/greengrassd'), greengrassd('1.0.0', 0));
      await expect(updater().update(software)).rejects.toThrow(
        /version 1\.0\.1 can't be unpacked: .*\(\d{1,5} bytes are free on the disk of .*packages\)/s,
      );
      expect([calls(), readdirSync(packages)]).toEqual([[], ['1.0.0']]);
      expect(new UpdateRecord(root).trial).toBeUndefined();
    } finally {
      await run('umount', [packages]);
    }
  });

  it('goes back where the new version starts, but not its group', async () => {
    const says = 'Some system components failed to start. Check it.\\n  the group could not be started\\n';
    expect(await updater().update(await packageOf('1.0.1', 0, keys.privateKey, says))).toMatchObject({
      ...{ status: 'FAILED', runs: '1.0.0' },
      reason: 'version 1.0.1 did not start: the group could not be started',
    });
  });

  it('tells a job how it ended, whatever comes between', async () => {
    await updater().update(await packageOf('1.0.1', 7), 'job');
    expect(new UpdateRecord(root).outcome).toMatchObject({ jobId: 'job', end: { status: 'FAILED' } });
  });

  it('that a power cut left on trial is started anew at the next boot, and given up after three times', async () => {
    const packages = new SoftwarePackages(root);
    const record = new UpdateRecord(root);
    await packages.install(await packageOf('1.0.1', 0), publicKeyPem);
    record.keep({ from: '1.0.0', to: '1.0.1', starts: 1 });
    packages.switchCore('1.0.1');
    expect(await updater().recover()).toMatchObject({ status: 'SUCCEEDED', to: '1.0.1' });
    await packages.install(await packageOf('1.0.2', 0), publicKeyPem);
    record.keep({ from: '1.0.1', to: '1.0.2', starts: 3 });
    packages.switchCore('1.0.2');
    expect(await updater().recover()).toMatchObject({ status: 'FAILED', runs: '1.0.1' });
    expect(packages.current).toBe('1.0.1');
    // The package itself was lost.
    record.keep({ from: '1.0.1', to: '1.0.9', starts: 0 });
    expect(await updater().recover()).toMatchObject({
      status: 'FAILED',
      reason: expect.stringContaining('1.0.9 is not on the disk'),
    });
    expect(calls().at(-1)).toBe('1.0.1 start');
  });

  it('that was on its way back goes on with that', async () => {
    const packages = new SoftwarePackages(root);
    await packages.install(await packageOf('1.0.1', 0), publicKeyPem);
    new UpdateRecord(root).keep({ jobId: 'job', from: '1.0.0', to: '1.0.1', starts: 1, back: 'it was red' });
    packages.switchCore('1.0.1');
    expect(await updater().recover()).toEqual({ status: 'FAILED', reason: 'it was red', runs: '1.0.0' });
    expect(calls()).toEqual(['1.0.0 stop', '1.0.0 start']);
  });

  it('is trusted by any of the keys in the file', async () => {
    const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const packages = new SoftwarePackages(root);
    await packages.install(await packageOf('1.0.1', 0), `${other}\n${publicKeyPem}`);
    await expect(packages.install(await packageOf('1.0.2', 0), other)).rejects.toThrow(/not signed/);
    await expect(packages.install(await packageOf('1.0.2', 0), '')).rejects.toThrow(/not signed/);
  });

  it.each([
    [
      'signed with another key',
      async () => packageOf('1.0.1', 0, generateKeyPairSync('ed25519').privateKey),
      /not signed/,
    ],
    [
      'changed on its way',
      async () => {
        const software = await packageOf('1.0.1', 0);
        writeFileSync(software.file, 'x', { flag: 'a' });
        return software;
      },
      /not signed/,
    ],
    ['of the version that runs', async () => packageOf('1.0.0', 0), /runs already/],
    [
      'with a version that is a path',
      async () => ({ ...(await packageOf('1.0.1', 0)), version: '../../x' }),
      /not a version/,
    ],
    [
      'that holds another version',
      async () => ({ ...(await packageOf('1.0.1', 0)), version: '1.0.9' }),
      /does not hold version 1\.0\.9/,
    ],
  ])('that is %s is refused, and nothing changes', async (_what, make, reason) => {
    await expect(updater().update(await make())).rejects.toThrow(reason);
    expect([calls(), readdirSync(join(root, 'ggc/packages'))]).toEqual([[], ['1.0.0']]);
    expect(new SoftwarePackages(root).current).toBe('1.0.0');
  });

  it("runs the operator's scripts around it with managedRespawn, which may refuse it", async () => {
    script('ggc_pre_update.sh', `echo pre >> ${root}/calls`);
    script('ggc_post_update.sh', `echo post >> ${root}/calls`);
    await updater(true).update(await packageOf('1.0.1', 0));
    expect(calls()).toEqual(['pre', '1.0.0 stop', '1.0.1 start', 'post']);
    script('ggc_pre_update.sh', 'echo "the line runs" >&2; exit 3');
    await expect(updater(true).update(await packageOf('1.0.2', 0))).rejects.toThrow(
      /ended with 3: the line runs/,
    );
    script('ggc_pre_update.sh', 'exit 0', 0o755);
    await expect(updater(true).update(await packageOf('1.0.3', 0))).rejects.toThrow(/alone: chown root/);
    script('ggc_pre_update.sh', 'exit 0');
    script('ggc_post_update.sh', 'echo no >&2; exit 1');
    expect(await updater(true).update(await packageOf('1.0.4', 0))).toMatchObject({
      status: 'FAILED',
      runs: '1.0.1',
      reason: 'ggc_post_update.sh ended with 1: no',
    });
    rmSync(join(root, 'usr/scripts/ggc_post_update.sh'));
    await expect(updater(true).update(await packageOf('1.0.5', 0))).rejects.toThrow(
      /is not there, but managedRespawn/,
    );
    expect(new SoftwarePackages(root).current).toBe('1.0.1');
  });

  it('that was not installed from a package says so', async () => {
    rmSync(join(root, 'ggc/core'));
    await expect(updater().update(await packageOf('1.0.1', 0))).rejects.toThrow(/was not installed from one/);
  });
});
