/** greengrassd as an operator meets it: what it prints, its exit codes, and what it says of a wrong configuration. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leftCgroups, leftoversOf } from '../../greengrass/dev/leftovers.js';
import { freePort } from '../../greengrass/dev/programs.js';
import { VERSION } from '../../greengrass/lib/package-root.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { createSelfSigned } from '../../greengrass/lib/x509.js';
import { describeAsRoot } from '../support/as-root.js';

const PROGRAM = fileURLToPath(new URL('../../greengrass/core/bin/greengrassd.js', import.meta.url));

describeAsRoot('greengrassd', () => {
  let root: string;
  let config: { coreThing: Record<string, unknown>; pidFileDirectory: string };

  const greengrassd = (...args: string[]) => run(process.execPath, [PROGRAM, '--root', root, '-i', ...args]);
  const write = (value: unknown) =>
    writeFileSync(
      join(root, 'config/config.json'),
      typeof value === 'string' ? value : JSON.stringify(value),
    );

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'greengrassd-'));
    mkdirSync(join(root, 'config'));
    mkdirSync(join(root, 'certs'));
    const subject = [['CN', 'test']] as const;
    const notAfter = new Date(Date.now() + 86_400_000);
    const identity = await createSelfSigned({ subject, notAfter });
    writeFileSync(join(root, 'certs/cert.pem'), identity.certificatePem);
    writeFileSync(join(root, 'certs/ca.pem'), identity.certificatePem);
    writeFileSync(join(root, 'certs/key.pem'), identity.privateKeyPem);
    config = {
      coreThing: {
        caPath: 'ca.pem',
        certPath: 'cert.pem',
        keyPath: 'key.pem',
        thingArn: 'arn:aws:iot:us-east-1:123456789012:thing/core',
        // Nobody listens there: a core must come up without its cloud.
        iotHost: '127.0.0.1',
        ggHost: '127.0.0.1',
        iotMqttPort: await freePort(),
        ggHttpPort: await freePort(),
        ggMqttPort: await freePort(),
        ggDaemonPort: await freePort(),
      },
      pidFileDirectory: join(root, 'run'),
    };
    write(config);
  });

  afterEach(async () => {
    await greengrassd('stop').catch(() => undefined);
    expect([...leftoversOf(root), ...leftCgroups(root)]).toEqual([]);
    rmSync(root, { recursive: true, force: true });
  });

  it('prints its version', async () => {
    expect((await greengrassd('--version')).stdout.trim()).toBe(VERSION);
  });

  it("starts without the cloud, with V1's lines, PID file and logs; stops and leaves nothing", async () => {
    const started = await greengrassd('start');
    expect(started.code).toBe(0);
    const pid = Number(readFileSync(join(root, 'run/greengrassd.pid'), 'utf8'));
    expect(started.stdout).toBe(
      `Setting up greengrass daemon\nValidating hardlink/softlink protection\nWaiting for up to 1m10s for Daemon to start\n\nGreengrass successfully started with PID: ${pid}\n`,
    );
    expect(readFileSync(join(root, 'ggc/var/log/system/runtime.log'), 'utf8')).toMatch(
      /^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]\[INFO\]-Greengrass Version: /,
    );
    const status = await greengrassd('status');
    expect(status).toMatchObject({ code: 0, stdout: `Greengrass daemon is running with PID: ${pid}\n` });
    const again = await greengrassd('start');
    expect(again).toMatchObject({
      code: 1,
      stderr: `Greengrass daemon is already running with PID: ${pid}\n`,
    });
    const stopped = await greengrassd('stop');
    expect(stopped).toMatchObject({
      code: 0,
      stdout: `Stopping greengrass daemon of PID: ${pid}\nWaiting\nStopped greengrass daemon, exiting with success\n`,
    });
    expect((await greengrassd('status')).code).toBe(3);
  });

  it('restarts under a new process id', async () => {
    await greengrassd('start');
    const before = readFileSync(join(root, 'run/greengrassd.pid'), 'utf8');
    expect((await greengrassd('restart')).code).toBe(0);
    expect(readFileSync(join(root, 'run/greengrassd.pid'), 'utf8')).not.toBe(before);
  });

  it.each<[string, (c: typeof config) => unknown, RegExp]>([
    ['no JSON', () => '{"coreThing":', /Failed to parse .*\/config\/config\.json\. .*is not valid JSON/],
    [
      'a thing ARN that is none',
      (c) => ({ ...c, coreThing: { ...c.coreThing, thingArn: 'core' } }),
      /Failed to parse .*coreThing\.thingArn: must be arn:aws:iot/,
    ],
    [
      'a port out of range',
      (c) => ({ ...c, coreThing: { ...c.coreThing, ggDaemonPort: -1 } }),
      /coreThing\.ggDaemonPort: /,
    ],
  ])('refuses a config.json with %s and names file, member and rule', async (_what, change, expected) => {
    write(change(config));
    const { code, stderr } = await greengrassd('start');
    expect(code).toBe(1);
    expect(stderr).toMatch(expected);
  });

  it('refuses a certificate that is not there', async () => {
    rmSync(join(root, 'certs/cert.pem'));
    const { code, stderr } = await greengrassd('start');
    expect(code).toBe(1);
    expect(stderr).toMatch(/certificate .*certs\/cert\.pem can't be read \(ENOENT\): check config\.json/);
  });

  it('refuses a certificate and a key that do not belong together', async () => {
    const other = await createSelfSigned({
      subject: [['CN', 'x']],
      notAfter: new Date(Date.now() + 86_400_000),
    });
    writeFileSync(join(root, 'certs/key.pem'), other.privateKeyPem);
    const { code, stderr } = await greengrassd('start');
    expect(code).toBe(1);
    expect(stderr).toMatch(/cert\.pem and private key .*key\.pem do not belong together/);
  });

  it('refuses a group file that is broken, in the words of V1', async () => {
    mkdirSync(join(root, 'ggc/deployment/group'), { recursive: true });
    writeFileSync(join(root, 'ggc/deployment/group/group.json'), '{"Cores": 7}');
    const { code, stderr } = await greengrassd('start');
    expect(code).toBe(1);
    expect(stderr).toMatch(/unable to create server due to: failed to load group: .*Cores/);
  });

  it('takes {} as the empty group', async () => {
    mkdirSync(join(root, 'ggc/deployment/group'), { recursive: true });
    writeFileSync(join(root, 'ggc/deployment/group/group.json'), '{}');
    expect((await greengrassd('start')).code).toBe(0);
  });

  it('answers a wrong command line with 2', async () => {
    expect((await greengrassd('begin')).code).toBe(2);
  });

  it('does not start where a folder of its root is missing', async () => {
    rmSync(join(root, 'config'), { recursive: true });
    const { code, stderr } = await greengrassd('start');
    expect(code).toBe(1);
    expect(stderr).toMatch(/config\.json\. The file can't be read \(ENOENT\)/);
  });
});
