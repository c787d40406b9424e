/** Code of functions on the core: fetched once, proven by its digest, swept when nobody needs it. */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ArtifactStore } from '../../greengrass/core/deployment/artifact-store.js';
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

describe('the artifact store', () => {
  it('fetches and unpacks code at the place that is named after the ARN, once', async () => {
    const folder = await store.ensure(functionOf(ZIP), answering(ZIP));
    expect(folder).toBe(join(root, 'deployment', 'lambda', ARN));
    expect(readFileSync(join(folder, 'main.py'), 'utf8')).toBe('print(1)');
    const again = await new ArtifactStore(root).ensure(functionOf(ZIP), answering(ZIP));
    expect([again, fetched]).toEqual([folder, [digestOf(ZIP)]]);
    expect(readdirSync(join(root, 'deployment', 'artifacts'))).toEqual([]);
  });

  it('fetches anew where the folder, or the mark of its completeness, is gone', async () => {
    const folder = await store.ensure(functionOf(ZIP), answering(ZIP));
    rmSync(folder, { recursive: true });
    await store.ensure(functionOf(ZIP), answering(ZIP));
    expect(existsSync(join(folder, 'main.py'))).toBe(true);
    rmSync(`${folder}.sha256`);
    await store.ensure(functionOf(ZIP), answering(ZIP));
    expect(fetched).toHaveLength(3);
  });

  it('replaces code whose digest changed', async () => {
    await store.ensure(functionOf(ZIP), answering(ZIP));
    const other = zipOf([{ name: 'other.py', data: '2' }]);
    const folder = await store.ensure(functionOf(other), answering(other));
    expect(readdirSync(folder)).toEqual(['other.py']);
  });

  it('goes on behind what a broken-off download left', async () => {
    const file = join(root, 'deployment', 'artifacts', `${digestOf(ZIP)}.zip`);
    const broken = async (_digest: string, path: string) => {
      writeFileSync(path, ZIP.subarray(0, 40));
      throw new Error('connection lost');
    };
    await expect(store.ensure(functionOf(ZIP), broken)).rejects.toMatchObject({
      code: 'ArtifactDownloadFailed',
      stage: 'artifacts',
      message: `unable to execute download step in deployment. error while downloading: the code of ${ARN}: connection lost`,
    });
    expect(readFileSync(file)).toHaveLength(40);
    await store.ensure(functionOf(ZIP), answering(ZIP));
    expect(fetched).toHaveLength(1);
  });

  it('fetches once more from the start where the kept part was damaged', async () => {
    await expect(
      store.ensure(functionOf(ZIP), async (_digest, path) => {
        writeFileSync(path, Buffer.alloc(40, 0xff));
        throw new Error('power cut');
      }),
    ).rejects.toThrow(/power cut/);
    const folder = await store.ensure(functionOf(ZIP), answering(ZIP));
    expect(fetched).toHaveLength(2);
    expect(readFileSync(join(folder, 'main.py'), 'utf8')).toBe('print(1)');
  });

  it('refuses code that does not have the digest, and keeps the old folder and nothing of the new', async () => {
    const folder = await store.ensure(functionOf(ZIP), answering(ZIP));
    const wanted = zipOf([{ name: 'wanted.py', data: '2' }]);
    const evil = zipOf([{ name: 'evil.py', data: '3' }]);
    await expect(store.ensure(functionOf(wanted), answering(evil))).rejects.toMatchObject({
      code: 'ArtifactDigestMismatch',
      message: `the code of ${ARN} does not have the digest that the deployment names: SHA-256 is ${digestOf(evil)}, but must be ${digestOf(wanted)}`,
    });
    expect(readdirSync(folder)).toEqual(['main.py']);
    expect(readdirSync(join(root, 'deployment', 'artifacts'))).toEqual([]);
    await store.ensure(functionOf(ZIP), () => Promise.reject(new Error('is there already')));
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
    await expect(store.ensure(functionOf(ZIP, overrides), answering(ZIP))).rejects.toMatchObject({
      code: 'DocumentInvalid',
      message: expect.stringMatching(/^group config is invalid: /),
    });
    expect([fetched, readdirSync(root)]).toEqual([[], []]);
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
    const folder = await store.ensure(executable('bin/run'), answering(zip));
    expect(lstatSync(join(folder, 'bin/run')).mode & 0o777).toBe(0o755);
    rmSync(`${folder}.sha256`);
    for (const handler of ['missing', '../run', '']) {
      await expect(store.ensure(executable(handler), answering(zip))).rejects.toMatchObject({
        code: 'GroupConfigInvalid',
        message: expect.stringMatching(/Unable to create server due to: failed to load group: chmod /),
      });
    }
  });

  it('sweeps code that no function refers to, half-unpacked folders and half downloads', async () => {
    const folder = await store.ensure(functionOf(ZIP), answering(ZIP));
    const old = ARN.replace(':3', ':2');
    await store.ensure(functionOf(ZIP, { FunctionArn: old }), answering(ZIP));
    writeFileSync(join(root, 'deployment', 'artifacts', 'half.zip'), '');
    writeFileSync(join(root, 'deployment', 'lambda', '.unzip-x'), '');
    store.sweep([ARN]);
    expect(readdirSync(join(root, 'deployment'), { recursive: true }).sort()).toEqual(
      ['lambda', `lambda/${ARN}`, `lambda/${ARN}.sha256`, `lambda/${ARN}/main.py`].sort(),
    );
    expect(existsSync(folder)).toBe(true);
    store.sweep([]);
    expect(readdirSync(join(root, 'deployment', 'lambda'))).toEqual([]);
    new ArtifactStore(join(root, 'nothing-here')).sweep([]);
  });
});
