/** A core whose clock jumps in the middle of a deployment, as it does when a device without a battery finds the time. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeAsRoot } from '../support/as-root.js';
import { FaultyCore } from './faulty-core.js';

const YEAR_MS = 365 * 86_400_000;

describeAsRoot('a core whose clock jumps', () => {
  let core: FaultyCore;
  const jump = (offsetMs: number) => writeFileSync(join(core.system.folder, 'clock'), String(offsetMs));

  beforeAll(async () => {
    core = await FaultyCore.make();
    jump(-30 * YEAR_MS);
    const preload = new URL('./jumping-clock.js', import.meta.url).href;
    await core.greengrassd('start', {
      NODE_OPTIONS: `--import=${preload}`,
      JUMPING_CLOCK: join(core.system.folder, 'clock'),
    });
  }, 120_000);
  afterAll(() => core?.close(), 60_000);

  it('really has another time than this process', async () => {
    const { version, groupVersionId } = await core.define();
    expect(await core.end(await core.create(groupVersionId))).toMatchObject({ DeploymentStatus: 'Success' });
    expect(await core.versions()).toEqual([version, version]);
    const year = new Date(Date.now() - 30 * YEAR_MS).getFullYear();
    expect(core.runtimeLog()).toContain(`[${year}-`);
  });

  it.each([
    ['notice', 10],
    ['artifacts', -10],
    ['swap-started', 0],
    ['health', 10],
    ['commit', -30],
    ['committed', 0],
  ] as const)(
    'at step %s to %d years from now deploys on, and serves its devices',
    async (step, years) => {
      const { version, groupVersionId } = await core.define();
      core.at(step, 'hold');
      const deploymentId = await core.create(groupVersionId);
      await core.reached(step);
      jump(years * YEAR_MS);
      core.at(step, undefined);
      expect(await core.end(deploymentId)).toMatchObject({ DeploymentStatus: 'Success' });
      expect(await core.versions()).toEqual([version, version]);
    },
    90_000,
  );
});
