/** A core on a disk that is full, or becomes full on the way. */
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../greengrass/lib/subprocess.js';
import { describeAsRoot } from '../support/as-root.js';
import { FaultyCore } from './faulty-core.js';

describeAsRoot('a core on a small disk', () => {
  let core: FaultyCore;
  let disk: string;
  let runs: number;

  const filler = () => join(disk, 'filler');
  /** Leaves about so many bytes free. The core writes too: what it takes meanwhile is missing at the end. */
  const fill = (left: number) => {
    rmSync(filler(), { force: true });
    const file = openSync(filler(), 'w');
    const block = Buffer.alloc(64 * 1024);
    let size = 0;
    try {
      for (;;) size += writeSync(file, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      if (left > 0) ftruncateSync(file, Math.max(0, size - left));
    } finally {
      closeSync(file);
    }
  };
  const free = () => rmSync(filler(), { force: true });

  beforeAll(async () => {
    core = await FaultyCore.make();
    disk = join(core.system.root, 'ggc');
    mkdirSync(disk, { recursive: true });
    const { code, stderr } = await run('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=755', 'tmpfs', disk]);
    if (code !== 0) throw new Error(`mount: ${stderr}`);
    await core.greengrassd('start');
    const { version, groupVersionId } = await core.define();
    expect(await core.end(await core.create(groupVersionId))).toMatchObject({ DeploymentStatus: 'Success' });
    runs = version;
  }, 120_000);
  afterAll(async () => {
    free();
    await core?.greengrassd('stop').catch(() => undefined);
    await run('umount', [disk]);
    await core?.close();
  });

  const goesOn = async () => {
    expect(await core.versions()).toEqual([runs, runs]);
    const mark = readFileSync(join(disk, 'deployment/group/deployment.json'), 'utf8');
    expect(JSON.parse(mark)).toHaveProperty('deploymentId');
  };

  it('refuses a deployment that has no room, with the bytes that are missing, and goes on', async () => {
    const { groupVersionId } = await core.define();
    fill(600_000);
    const outcome = await core.end(await core.create(groupVersionId));
    expect(outcome).toMatchObject({
      DeploymentStatus: 'Failure',
      ErrorDetails: [{ DetailedErrorCode: 'NotEnoughDiskSpace' }],
      ErrorMessage: expect.stringMatching(/for the code of 2 function\(s\): .* \d+ bytes are missing/),
    });
    await goesOn();
    expect(core.files('artifacts')).toEqual([]);
    free();
  });

  it.each([
    ['artifact-fetched', 'NotEnoughDiskSpace'],
    ['commit', 'CommitFailed'],
  ] as const)(
    'that becomes full at step %s fails with %s, and goes on with the old group',
    async (step, code) => {
      const { groupVersionId } = await core.define();
      core.at(step, 'hold');
      const deploymentId = await core.create(groupVersionId);
      await core.reached(step);
      fill(0);
      core.at(step, undefined);
      expect(await core.end(deploymentId)).toMatchObject({
        DeploymentStatus: 'Failure',
        ErrorDetails: [{ DetailedErrorCode: code }],
      });
      free();
      await goesOn();
    },
    90_000,
  );

  it('takes the next deployment when there is room again, and nothing of the failed ones is left', async () => {
    const { version, groupVersionId } = await core.define();
    expect(await core.end(await core.create(groupVersionId))).toMatchObject({ DeploymentStatus: 'Success' });
    expect(await core.versions()).toEqual([version, version]);
    expect([core.files('artifacts'), core.files('code').length]).toEqual([[], 2]);
  });
});
