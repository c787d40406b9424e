/** Cores of V1 whose disk is not as it should be, and adoptions that are cut off: named, and nothing is lost or half done. */
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ListDeploymentsCommand, ListGroupsCommand } from '@aws-sdk/client-greengrass';
import { ListThingsCommand } from '@aws-sdk/client-iot';
import { type Adoption, adopt, unadopt } from '../../greengrass/cli/adopt/adopt.js';
import { type Clients, createClients } from '../../greengrass/cli/index.js';
import { type RunningCloud, startCloud } from '../../greengrass/dev/programs.js';
import { run, start, waitForExit } from '../../greengrass/lib/subprocess.js';
import { createSelfSigned } from '../../greengrass/lib/x509.js';
import { GG_PATH } from '../cli/gg.js';
import { describeAsRoot } from '../support/as-root.js';
import { waitFor } from '../support/wait-for.js';
import { ACCOUNT, makeV1Root, REGION, type V1Root } from './v1-root.js';

const GROUP = 'ggc/deployment/group/group.json';
const CONFIG = 'config/config.json';

/** Every file and link below the folder, with what is in it. */
function contentOf(folder: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(folder, name);
    if (!lstatSync(path).isDirectory())
      files[name] = existsSync(path) && lstatSync(path).isFile() ? readFileSync(path, 'base64') : 'link';
  }
  return files;
}

interface Document {
  Cores: Array<Record<string, unknown>>;
  Devices: Array<Record<string, unknown>>;
  GroupDefinitions: Record<string, { Content: Array<Record<string, unknown>> }>;
}

describeAsRoot('a V1 core whose disk is not as it should be', () => {
  let folder: string;
  let cloud: RunningCloud;
  let clients: Clients;
  let v1: V1Root;
  /** As it was made; each test gets it like this. */
  let whole: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'greengrass-awkward-'));
    v1 = await makeV1Root(folder, () => undefined);
    // Code as zips of V1 times brought it: a library under two names.
    const library = join(v1.root, `ggc/deployment/lambda/${v1.echoArn}`, 'lib.so');
    writeFileSync(`${library}.1`, 'library');
    symlinkSync('lib.so.1', library);
    whole = join(folder, 'whole');
    renameSync(v1.root, whole);
    cloud = await startCloud(join(folder, 'cloud'), {}, ['--account-id', ACCOUNT, '--region', REGION]);
    clients = createClients({ endpoint: cloud.info.api, ...cloud.info });
  });
  beforeEach(() => {
    rmSync(v1.root, { recursive: true, force: true });
    cpSync(whole, v1.root, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  });
  afterAll(async () => {
    clients?.destroy();
    await cloud?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const at = (name: string) => join(v1.root, name);
  const code = () => at(`ggc/deployment/lambda/${v1.echoArn}`);
  const tryAdopt = (apply: boolean, groupName = 'line'): Promise<Adoption> => {
    const { mqtt, https, caFile } = cloud.info;
    return adopt(async () => clients, {
      ...{ root: v1.root, groupName, apply, iotHost: mqtt.host, mqttPort: mqtt.port },
      ...{ ggHost: https.host, httpsPort: https.port, caFile },
    });
  };
  const edit = (change: (document: Document) => void) => {
    const document = JSON.parse(readFileSync(at(GROUP), 'utf8')) as Document;
    change(document);
    writeFileSync(at(GROUP), JSON.stringify(document));
  };
  const editConfig = (change: (config: Record<string, Record<string, unknown>>) => void) => {
    const config = JSON.parse(readFileSync(at(CONFIG), 'utf8')) as Record<string, Record<string, unknown>>;
    change(config);
    writeFileSync(at(CONFIG), JSON.stringify(config));
  };
  const groups = async () => (await clients.greengrass.send(new ListGroupsCommand({}))).Groups ?? [];

  const REFUSED: Array<[what: string, break_: () => unknown, error: RegExp]> = [
    [
      'has no config.json',
      () => rmSync(at(CONFIG)),
      /config\.json can't be read \(ENOENT\).*is --root right/,
    ],
    ['has a config.json that is no JSON', () => writeFileSync(at(CONFIG), '{'), /config\.json/],
    [
      'has no thing in config.json',
      () => editConfig(({ coreThing = {} }) => delete coreThing.thingArn),
      /config\.json.*coreThing\.thingArn/s,
    ],
    [
      'has no certificate',
      () => rmSync(at('certs/ab12cd34ef.cert.pem')),
      /cert\.pem can't be read \(ENOENT\)/,
    ],
    [
      'has no private key',
      () => rmSync(at('certs/ab12cd34ef.private.key')),
      /private\.key can't be read \(ENOENT\)/,
    ],
    [
      'has an empty certificate',
      () => writeFileSync(at('certs/ab12cd34ef.cert.pem'), ''),
      /ab12cd34ef\.cert\.pem is no certificate in PEM/,
    ],
    [
      'has the key of another certificate',
      () => writeFileSync(at('certs/ab12cd34ef.private.key'), v1.device.privateKeyPem),
      /private\.key must hold the private key of .*cert\.pem/,
    ],
    ['has a group that is cut off', () => writeFileSync(at(GROUP), '{"Cores": ['), /group\.json/],
    [
      'has the group of another core',
      () =>
        edit(({ Cores: [core] }) =>
          Object.assign(core ?? {}, { thingArn: `arn:aws:iot:${REGION}:${ACCOUNT}:thing/other` }),
        ),
      /group\.json: Cores must hold arn:aws:iot:us-west-2:123456789012:thing\/line-core.*but holds .*thing\/other/,
    ],
    [
      'has a device of another account',
      () =>
        edit(({ Devices: [one] }) =>
          Object.assign(one ?? {}, { thingArn: `arn:aws:iot:${REGION}:999999999999:thing/line-sensor` }),
        ),
      /group\.json: Devices\[0\]\.thingArn must be .*account 123456789012/,
    ],
    [
      'has a device without a fingerprint',
      () =>
        edit(({ Devices: [one] }) =>
          Object.assign(one ?? {}, { certArn: `arn:aws:iot:${REGION}:${ACCOUNT}:cert/abc` }),
        ),
      /group\.json: Devices\[0\]\.certArn must end with the certificate's fingerprint/,
    ],
    [
      'has code with a link out of its folder',
      () => symlinkSync('/etc/hostname', join(code(), 'away')),
      /away is a link to \/etc\/hostname/,
    ],
    [
      'has code with a link to nothing',
      () => symlinkSync('gone', join(code(), 'dangling')),
      /dangling is a link to gone/,
    ],
    ['has code with a link in a ring', () => symlinkSync('.', join(code(), 'ring')), /ring is a link to \./],
  ];
  it.each(REFUSED)(
    'that %s is refused in a dry run and for good, and nothing changes',
    async (_what, damage, error) => {
      damage();
      const before = contentOf(v1.root);
      for (const apply of [false, true]) await expect(tryAdopt(apply)).rejects.toThrow(error);
      expect(contentOf(v1.root)).toEqual(before);
      expect(await groups()).toEqual([]);
      expect((await clients.iot.send(new ListThingsCommand({}))).things).toEqual([]);
    },
  );

  it('on a disk that is read-only is refused before anything is made', async () => {
    await run('mount', ['--bind', v1.root, v1.root]);
    try {
      await run('mount', ['-o', 'remount,bind,ro', v1.root]);
      await expect(tryAdopt(true)).rejects.toThrow(/can't be written to \(EROFS\).*nothing was changed/);
      expect((await clients.iot.send(new ListThingsCommand({}))).things).toEqual([]);
    } finally {
      await run('umount', [v1.root]);
    }
  });

  it('with what gg adopt does not know is told so, with the subscriptions that need it', async () => {
    const connector = 'arn:aws:greengrass:us-west-2::/connectors/SNS/versions/1';
    const foreign = `arn:aws:lambda:eu-west-1:${ACCOUNT}:function:far:1`;
    const lost = `arn:aws:lambda:${REGION}:${ACCOUNT}:function:lost:2`;
    edit(({ GroupDefinitions: all }) => {
      all.Connectors = { Content: [{ Id: 'sns', ConnectorArn: connector }] };
      for (const FunctionArn of [foreign, lost])
        all.Lambdas?.Content.push({ FunctionArn, DeploymentConfiguration: { Pinned: false, Timeout: 3 } });
      all.Subscriptions?.Content.push(
        { Source: v1.echoArn, Subject: 'sms', Target: connector },
        { Source: v1.echoArn, Subject: 'far', Target: foreign },
      );
    });
    const expired = await createSelfSigned({
      subject: [['CN', 'AWS IoT Certificate']],
      notAfter: new Date(Date.now() - 86_400_000),
    });
    writeFileSync(at('certs/ab12cd34ef.cert.pem'), expired.certificatePem);
    writeFileSync(at('certs/ab12cd34ef.private.key'), expired.privateKeyPem);
    const { leftOut, warnings, subscriptions, functions } = await tryAdopt(false);
    expect(leftOut).toEqual([
      expect.stringContaining(`function ${foreign}: it is not of region us-west-2`),
      expect.stringMatching(/function .*:lost:2: its code is not at /),
      expect.stringContaining('resource model of type S3_OBJECT'),
      expect.stringContaining('GroupDefinitions.Connectors (1)'),
      expect.stringContaining(`${connector} is not in the group`),
      expect.stringContaining(`${foreign} is not in the group`),
    ]);
    expect(warnings).toEqual([expect.stringMatching(/cert\.pem expired on /)]);
    expect([subscriptions, functions.includes(v1.echoArn)]).toEqual([2, true]);
  });

  it('is adopted once, also where its folders are links to another disk, and put back once', async () => {
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    renameSync(at('ggc/deployment'), join(disk, 'deployment'));
    symlinkSync(join(disk, 'deployment'), at('ggc/deployment'));
    renameSync(join(disk, 'deployment/group'), join(disk, 'group'));
    symlinkSync('../group', join(disk, 'deployment/group'));
    const [before, beforeDisk] = [contentOf(v1.root), contentOf(disk)];
    const { made } = await tryAdopt(true);
    expect(readFileSync(at(GROUP), 'utf8')).toBe('{}');
    await expect(tryAdopt(true)).rejects.toThrow(/was adopted already.*nothing was changed/);
    await expect(tryAdopt(false)).rejects.toThrow(/was adopted already/);
    const { Deployments } = await clients.greengrass.send(
      new ListDeploymentsCommand({ GroupId: made?.groupId }),
    );
    expect(Deployments?.map(({ DeploymentId }) => DeploymentId)).toEqual([made?.deploymentId]);
    unadopt(v1.root);
    expect([contentOf(v1.root), contentOf(disk)]).toEqual([before, beforeDisk]);
    expect(() => unadopt(v1.root)).toThrow(/there is no backup/);
    // Again: the group is the same one, with another version.
    expect((await tryAdopt(true)).made?.groupId).toBe(made?.groupId);
    expect(await groups()).toHaveLength(1);
    unadopt(v1.root);
  });

  it('whose adoption is killed at any time can be adopted again or put back', async () => {
    const before = contentOf(v1.root);
    const args = [
      GG_PATH,
      'adopt',
      '--root',
      v1.root,
      '--ready-file',
      cloud.readyFile,
      '--group-name',
      'line',
      '--apply',
    ];
    const backup = at('adopted-from-v1');
    // Where it is: in the cloud, in the backup, between backup and config.json.
    const moments: Array<() => boolean> = [
      () => existsSync(backup),
      () => existsSync(join(backup, 'group.json')),
      () => existsSync(join(backup, 'complete')),
      () => readFileSync(at(GROUP), 'utf8') === '{}',
    ];
    for (const moment of moments) {
      const child = await start(process.execPath, args, { stdio: 'ignore' });
      await waitFor(moment, { intervalMs: 0, timeoutMs: 30_000, what: 'the moment' });
      child.kill('SIGKILL');
      await waitForExit(child);
      await tryAdopt(true).catch((error: Error) => {
        // It had come to its end before it was killed.
        expect(error.message).toMatch(/was adopted already/);
      });
      // As a kill in the middle of a write leaves it, which no test can be sure to meet.
      writeFileSync(at('certs/.greengrass-cloud.ca.pem.0123456789ab.tmp'), 'half');
      unadopt(v1.root);
      expect(contentOf(v1.root)).toEqual(before);
    }
    expect(await groups()).toHaveLength(1);
  });

  it('that was cut off between group and config.json is said so by a dry run, and put back whole', async () => {
    const before = contentOf(v1.root);
    await tryAdopt(true);
    writeFileSync(at(CONFIG), readFileSync(join(whole, CONFIG)));
    await expect(tryAdopt(false)).rejects.toThrow(/was broken off.*--apply again, or gg unadopt/);
    await tryAdopt(true);
    unadopt(v1.root);
    expect(contentOf(v1.root)).toEqual(before);
  });

  it('whose code is other than what the cloud has under the same version is refused', async () => {
    await tryAdopt(true);
    unadopt(v1.root);
    writeFileSync(join(code(), 'main.py'), 'def handler(event, context): pass');
    const before = contentOf(v1.root);
    await expect(tryAdopt(true)).rejects.toThrow(
      /the cloud has version 4 of function line-echo already, with other code/,
    );
    expect(contentOf(v1.root)).toEqual(before);
  });

  it('is refused under the name of a group that has another core', async () => {
    const { made } = await tryAdopt(true);
    unadopt(v1.root);
    const before = contentOf(v1.root);
    const other = `arn:aws:iot:${REGION}:${ACCOUNT}:thing/second-core`;
    editConfig(({ coreThing = {} }) => Object.assign(coreThing, { thingArn: other }));
    edit(({ Cores: [core] }) => Object.assign(core ?? {}, { thingArn: other }));
    await expect(tryAdopt(true)).rejects.toThrow(
      new RegExp(`has a group line \\(${made?.groupId}\\) with core .*line-core`),
    );
    expect(existsSync(at('adopted-from-v1'))).toBe(false);
    expect(Object.keys(contentOf(v1.root))).toEqual(Object.keys(before));
  });
});
