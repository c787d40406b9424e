/** Code of functions on the core: fetched once, proven by its digest, swept when nobody needs it. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ArtifactStore } from '../../greengrass/core/deployment/artifact-store.js';
import { RESERVE_BYTES } from '../../greengrass/core/deployment/disk-space.js';
import { EXECUTABLE_RUNTIME } from '../../greengrass/model/function-config.js';
import type { GroupFunction } from '../../greengrass/model/group.js';
import { zipOf } from './zip.js';

const ARN = 'arn:aws:lambda:us-east-1:123456789012:function:hello:3';
const ZIP = zipOf([{ name: 'main.py', data: 'print(1)' }]);

let root: string;
let store: ArtifactStore;
/** Digests that were asked for. */
let fetched: string[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'greengrass-artifacts-'));
  store = new ArtifactStore(root);
  fetched = [];
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function digestOf(bytes: Buffer, encoding: 'hex' | 'base64' = 'hex'): string {
  return createHash('sha256').update(bytes).digest(encoding);
}

function functionOf(zip: Buffer, overrides: Partial<GroupFunction> = {}): GroupFunction {
  return {
    FunctionArn: ARN,
    ArtifactArn: `arn:aws:greengrass:us-east-1:1:/greengrass/groups/g/deployments/d/artifacts/lambda/${digestOf(zip)}`,
    DeploymentConfiguration: { CodeSha256: digestOf(zip, 'base64') },
    ...overrides,
  };
}

/** A cloud that answers with these bytes, appending as a resumed download does. */
function answering(zip: Buffer) {
  return async (digest: string, file: string) => {
    fetched.push(digest);
    const have = existsSync(file) ? readFileSync(file).length : 0;
    appendFileSync(file, zip.subarray(have));
  };
}

const ensure = async (groupFunction: GroupFunction, zip: Buffer): Promise<string> => {
  const folders = await store.ensure([groupFunction], answering(zip));
  return folders.get(groupFunction.FunctionArn) as string;
};

describe('the artifact store', () => {
  it('fetches and unpacks code at the place that is named after the digest, once', async () => {
    const folder = await ensure(functionOf(ZIP), ZIP);
    expect(folder).toBe(join(root, 'deployment', 'code', digestOf(ZIP)));
    expect(store.folderOf(functionOf(ZIP))).toBe(folder);
    expect(readFileSync(join(folder, 'main.py'), 'utf8')).toBe('print(1)');
    store = new ArtifactStore(root);
    expect([await ensure(functionOf(ZIP), ZIP), fetched]).toEqual([folder, [digestOf(ZIP)]]);
    expect(readdirSync(join(root, 'deployment', 'artifacts'))).toEqual([]);
  });

  it('can be read by every user on the way to the code, and not where the zips lie', async () => {
    mkdirSync(join(root, 'deployment'), { mode: 0o700 });
    const folder = await ensure(functionOf(ZIP), ZIP);
    const mode = (path: string) => statSync(path).mode & 0o777;
    for (const path of [folder, dirname(folder), join(root, 'deployment')]) expect(mode(path)).toBe(0o755);
    expect(mode(join(root, 'deployment', 'artifacts'))).toBe(0o700);
  });

  it('fetches code once that several functions share', async () => {
    const other = ARN.replace('hello', 'other');
    const functions = [functionOf(ZIP), functionOf(ZIP, { FunctionArn: other })];
    const folders = await store.ensure(functions, answering(ZIP));
    expect(folders.get(ARN)).toBe(folders.get(other));
    expect(fetched).toHaveLength(1);
  });

  it('fetches anew where the folder is gone', async () => {
    const folder = await ensure(functionOf(ZIP), ZIP);
    rmSync(folder, { recursive: true });
    await ensure(functionOf(ZIP), ZIP);
    expect(existsSync(join(folder, 'main.py'))).toBe(true);
    expect(fetched).toHaveLength(2);
  });

  it('leaves the old code where it is when the digest behind an ARN changes', async () => {
    const old = await ensure(functionOf(ZIP), ZIP);
    const other = zipOf([{ name: 'other.py', data: '2' }]);
    const folder = await ensure(functionOf(other), other);
    expect([readdirSync(old), readdirSync(folder)]).toEqual([['main.py'], ['other.py']]);
  });

  it('goes on behind what a broken-off download left', async () => {
    const file = join(root, 'deployment', 'artifacts', `${digestOf(ZIP)}.zip`);
    const broken = async (_digest: string, path: string) => {
      writeFileSync(path, ZIP.subarray(0, 40));
      throw new Error('connection lost');
    };
    await expect(store.ensure([functionOf(ZIP)], broken)).rejects.toMatchObject({
      code: 'ArtifactDownloadFailed',
      stage: 'artifacts',
      message: `unable to execute download step in deployment. error while downloading: the code of ${ARN}: connection lost`,
    });
    expect(readFileSync(file)).toHaveLength(40);
    store.sweep([functionOf(ZIP)]);
    await ensure(functionOf(ZIP), ZIP);
    expect(fetched).toHaveLength(1);
  });

  it('fetches once more from the start where the kept part was damaged', async () => {
    const cut = async (_digest: string, path: string) => {
      writeFileSync(path, Buffer.alloc(40, 0xff));
      throw new Error('power cut');
    };
    await expect(store.ensure([functionOf(ZIP)], cut)).rejects.toThrow(/power cut/);
    const folder = await ensure(functionOf(ZIP), ZIP);
    expect(fetched).toHaveLength(2);
    expect(readFileSync(join(folder, 'main.py'), 'utf8')).toBe('print(1)');
  });

  it('refuses code that does not have the digest, and keeps the old folder and nothing of the new', async () => {
    const folder = await ensure(functionOf(ZIP), ZIP);
    const wanted = zipOf([{ name: 'wanted.py', data: '2' }]);
    const evil = zipOf([{ name: 'evil.py', data: '3' }]);
    await expect(ensure(functionOf(wanted), evil)).rejects.toMatchObject({
      code: 'ArtifactDigestMismatch',
      message: `the code of ${ARN} does not have the digest that the deployment names: SHA-256 is ${digestOf(evil)}, but must be ${digestOf(wanted)}`,
    });
    expect(readdirSync(folder)).toEqual(['main.py']);
    expect(readdirSync(join(root, 'deployment', 'artifacts'))).toEqual([]);
    await store.ensure([functionOf(ZIP)], () => Promise.reject(new Error('is there already')));
  });

  it.each<[string, Partial<GroupFunction>]>([
    ['no artifact', { ArtifactArn: '' }],
    ['an artifact without a digest', { ArtifactArn: 'arn:aws:greengrass:::x/../../etc' }],
    ['a digest in capitals', { ArtifactArn: `x/${digestOf(ZIP).toUpperCase()}` }],
    [
      'two digests that differ',
      { DeploymentConfiguration: { CodeSha256: digestOf(Buffer.from('x'), 'base64') } },
    ],
    ['no ARN', { FunctionArn: 'hello' }],
    ['an ARN that climbs out of the folder', { FunctionArn: '../../../../escaped' }],
    ['an ARN that hides a path', { FunctionArn: `${ARN}/../../../x` }],
  ])('refuses a function with %s before anything is fetched', async (_what, overrides) => {
    await expect(ensure(functionOf(ZIP, overrides), ZIP)).rejects.toMatchObject({
      code: 'DocumentInvalid',
      message: expect.stringMatching(/^group config is invalid: /),
    });
    expect([fetched, readdirSync(root)]).toEqual([[], []]);
  });

  it('makes a bootstrap executable, whatever the zip says, and misses one that is not there', async () => {
    const provided = (zip: Buffer) =>
      functionOf(zip, {
        DeploymentConfiguration: {
          CodeSha256: digestOf(zip, 'base64'),
          Runtime: 'provided.al2',
          Handler: 'any',
        },
      });
    const zip = zipOf([{ name: 'bootstrap', data: '#!/bin/sh' }]);
    expect(statSync(join(await ensure(provided(zip), zip), 'bootstrap')).mode & 0o777).toBe(0o755);
    const empty = zipOf([{ name: 'other', data: '' }]);
    await expect(ensure(provided(empty), empty)).rejects.toMatchObject({ code: 'GroupConfigInvalid' });
  });

  it('makes the handler of an executable function executable, whatever the zip says', async () => {
    const zip = zipOf([{ name: 'bin/run', data: '#!/bin/sh', mode: 0o100644 }]);
    const executable = (Handler: string) =>
      functionOf(zip, {
        DeploymentConfiguration: {
          CodeSha256: digestOf(zip, 'base64'),
          Runtime: EXECUTABLE_RUNTIME,
          Handler,
        },
      });
    const folder = await ensure(executable('bin/run'), zip);
    expect(statSync(join(folder, 'bin/run')).mode & 0o777).toBe(0o755);
    for (const handler of ['missing', '../run', '']) {
      await expect(ensure(executable(handler), zip)).rejects.toMatchObject({
        code: 'GroupConfigInvalid',
        message: expect.stringMatching(/Unable to create server due to: failed to load group: chmod /),
      });
    }
  });

  it('sweeps code that no function refers to, half-unpacked folders and half downloads', async () => {
    const old = zipOf([{ name: 'old.py', data: '2' }]);
    await ensure(functionOf(ZIP), ZIP);
    await ensure(functionOf(old), old);
    writeFileSync(join(root, 'deployment', 'artifacts', 'half.zip'), '');
    writeFileSync(join(root, 'deployment', 'code', '.unzip-x'), '');
    store.sweep([functionOf(ZIP)]);
    expect(readdirSync(join(root, 'deployment', 'code'))).toEqual([digestOf(ZIP)]);
    expect(readdirSync(join(root, 'deployment', 'artifacts'))).toEqual([]);
    store.sweep([]);
    expect(readdirSync(join(root, 'deployment', 'code'))).toEqual([]);
    new ArtifactStore(join(root, 'nothing-here')).sweep([]);
  });

  it("shows the code at V1's place, and nothing else there", async () => {
    await ensure(functionOf(ZIP), ZIP);
    const other = functionOf(ZIP, { FunctionArn: ARN.replace(':3', ':2') });
    store.link([functionOf(ZIP), other]);
    const place = join(root, 'deployment', 'lambda');
    expect(readFileSync(join(place, ARN, 'main.py'), 'utf8')).toBe('print(1)');
    expect(readdirSync(place)).toHaveLength(2);
    store.link([functionOf(ZIP)]);
    store.link([functionOf(ZIP)]);
    expect(readdirSync(place)).toEqual([ARN]);
    store.link([]);
    expect(readdirSync(place)).toEqual([]);
  });
});

describe('a disk that is nearly full', () => {
  const sized = (zip: Buffer) =>
    functionOf(zip, {
      DeploymentConfiguration: { CodeSha256: digestOf(zip, 'base64'), CodeSize: zip.length },
    });

  it('is found before anything is fetched, with the bytes that are missing', async () => {
    const free = RESERVE_BYTES + 100;
    store = new ArtifactStore(root, { freeBytes: () => free });
    const needed = 2 * ZIP.length;
    await expect(ensure(sized(ZIP), ZIP)).rejects.toMatchObject({
      code: 'NotEnoughDiskSpace',
      stage: 'artifacts',
      message: `not enough space on the disk for the code of 1 function(s): ${needed} bytes and ${RESERVE_BYTES} in reserve are needed, ${free} are free at ${join(root, 'deployment')}: ${needed - 100} bytes are missing. Free some and deploy again.`,
    });
    expect(fetched).toEqual([]);
  });

  it('is found before a zip is unpacked that holds more than its size promised', async () => {
    const bomb = zipOf([{ name: 'zeros', data: Buffer.alloc(5_000_000), deflate: true }]);
    store = new ArtifactStore(root, { freeBytes: () => RESERVE_BYTES + 1_000_000 });
    await expect(ensure(sized(bomb), bomb)).rejects.toMatchObject({
      code: 'NotEnoughDiskSpace',
      message: expect.stringContaining(`the unpacked code of ${ARN}: 5000000 bytes`),
    });
    expect(readdirSync(join(root, 'deployment'))).toEqual(['artifacts']);
  });

  it('is enough for code that is there already', async () => {
    await ensure(sized(ZIP), ZIP);
    store = new ArtifactStore(root, { freeBytes: () => 0 });
    await ensure(sized(ZIP), ZIP);
    expect(store.missing([sized(ZIP)])).toEqual({ functions: [], bytes: 0 });
  });
});
