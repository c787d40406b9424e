/** A package on its way to the core: who gets it, what happens where it breaks off or is not what it should be. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PackageFetcher } from '../../greengrass/core/ota/package-fetcher.js';
import { ServiceClient } from '../../greengrass/core/service-client.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { ALLOW_ALL, type CloudParts, type Identity, startCloudParts } from '../support/cloud-parts.js';

const content = randomBytes(300_000);
const sha256 = createHash('sha256').update(content).digest('hex');

let cloud: CloudParts;
let core: Identity;
let folder: string;
const clients: ServiceClient[] = [];
beforeAll(async () => {
  cloud = await startCloudParts();
  core = await cloud.identity('core', ALLOW_ALL);
  await cloud.artifacts.put(content);
});
afterAll(() => cloud?.close());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'greengrass-download-'));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  rmSync(folder, { recursive: true, force: true });
});

function client(identity: Identity): ServiceClient {
  const made = new ServiceClient({
    ...{ host: '127.0.0.1', port: cloud.https.port, caPem: cloud.caPem, retryBaseMs: 1 },
    ...{ certPem: identity.certificatePem, keyPem: identity.privateKeyPem, logger: silentLogger() },
  });
  clients.push(made);
  return made;
}

let count = 0;
/** A job that brings the package to the core; `named` is the digest that it names. */
async function job(named = sha256) {
  const jobId = `GreengrassUpdateJob_${++count}`;
  const software = {
    ...{ path: `/greengrass/jobs/${jobId}/software/${named}`, version: '2.0.0', sha256: named },
    ...{ size: content.length, signature: 's' },
  };
  const document = {
    ...{
      operation: 'greengrass-software-update',
      software: 'core',
      version: '2.0.0',
      operatingSystem: 'ubuntu',
    },
    ...{ architecture: 'x86_64', logLevel: 'ERROR', package: software },
  };
  const createdAt = new Date().toISOString();
  await cloud.jobs.create(
    {
      ...{ jobId, createdAt, status: 'IN_PROGRESS', description: '', targets: [core.thingArn] },
      document: JSON.stringify(document),
    },
    ['core'],
  );
  return { jobId, software };
}

const fetcher = (identity = core) =>
  new PackageFetcher(folder, (path, file, max) => client(identity).downloadSoftware(path, file, max));

describe('a package of the core software', () => {
  it('comes to the core that has the job, and what was there already is not fetched again', async () => {
    const { software } = await job();
    const file = join(folder, 'ota/incoming', `${sha256}.tar.gz`);
    mkdirSync(join(folder, 'ota/incoming'), { recursive: true });
    writeFileSync(file, content.subarray(0, 200_000));
    writeFileSync(join(folder, 'ota/incoming/old.tar.gz'), 'of an update before');
    const asked: number[] = [];
    const resumed = new PackageFetcher(folder, async (path, target, max) => {
      asked.push(readFileSync(target).length);
      await client(core).downloadSoftware(path, target, max);
    });
    expect(await resumed.fetch(software)).toBe(file);
    expect(readFileSync(file).equals(content)).toBe(true);
    expect(await resumed.fetch(software)).toBe(file);
    expect(asked).toEqual([200_000]);
    expect(existsSync(join(folder, 'ota/incoming/old.tar.gz'))).toBe(false);
    resumed.clear();
    expect(existsSync(file)).toBe(false);
  });

  it('is not taken where its digest is another one', async () => {
    const { software } = await job();
    const file = join(folder, 'ota/incoming', `${sha256}.tar.gz`);
    mkdirSync(join(folder, 'ota/incoming'), { recursive: true });
    writeFileSync(file, randomBytes(200_000));
    await expect(fetcher().fetch(software)).rejects.toThrow(/has the digest [0-9a-f]{64}, not/);
    // The next attempt begins anew.
    expect(existsSync(file)).toBe(false);
    expect(await fetcher().fetch(software)).toBe(file);
  });

  it('is refused before it is fetched where the disk is too small', async () => {
    const { software } = await job();
    const huge = { ...software, size: 2 ** 50 };
    await expect(fetcher().fetch(huge)).rejects.toThrow(/the update needs \d+ bytes .* are missing/);
  });

  it('that is larger than its job says is cut off', async () => {
    const { software } = await job();
    await expect(fetcher().fetch({ ...software, size: 1000 })).rejects.toThrow(/larger than 1000 bytes/);
  });

  it('goes to nobody but the things of the job, and to them as long as they are at it', async () => {
    const { jobId, software } = await job();
    const stranger = await cloud.identity('stranger', ALLOW_ALL);
    await expect(fetcher(stranger).fetch(software)).rejects.toThrow(
      /403: Forbidden: .* no thing that is at job/,
    );
    const { software: other } = await job('b'.repeat(64));
    await expect(fetcher().fetch(other)).rejects.toThrow(/404: software b{64} is not part of job/);
    const path = software.path.replace(jobId, 'none');
    await expect(fetcher().fetch({ ...software, path })).rejects.toThrow(/403/);
    await cloud.jobs.cancel(jobId, { force: false });
    await expect(fetcher().fetch(software)).rejects.toThrow(/403/);
  });
});
