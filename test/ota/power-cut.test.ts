/**
 * The power goes at each step of an update: agent, its keeper and the daemon are killed at once. After the next boot the
 * core runs the old version or the new one, and the job says which.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RETURN_STEPS, UPDATE_STEPS } from '../../greengrass/core/ota/software-update.js';
import { describeAsRoot } from '../support/as-root.js';
import { waitFor } from '../support/wait-for.js';
import { inDaemon, OtaLab } from './ota-lab.js';

/** From this one on the new version has been started. */
const STARTED = UPDATE_STEPS.indexOf('update-started');

describeAsRoot('a core whose power is cut in an update', () => {
  let lab: OtaLab;
  beforeAll(async () => {
    lab = await OtaLab.open();
    await lab.boot();
  });
  afterAll(() => lab?.close(), 60_000);

  /**
   * Cuts the power at each of the steps of one update to the newest version, and boots. Answers the job's end. After each
   * boot a whole core runs, the old version or the new one.
   */
  async function cutAt(steps: readonly string[], versions: readonly string[]) {
    const [first = ''] = steps;
    lab.at(first, 'hold');
    const jobId = await lab.update();
    for (const [index, step] of steps.entries()) {
      await waitFor(() => existsSync(join(lab.steps, step)), { timeoutMs: 40_000, what: `step ${step}` });
      await lab.powerCut();
      lab.at(step, undefined);
      const next = steps[index + 1];
      if (next !== undefined) lab.at(next, 'hold');
      await lab.boot();
      expect(versions).toContain(lab.installed);
    }
    return lab.end(jobId);
  }

  /** What runs is whole, and nothing of the update is left. */
  async function expectRuns(version: string): Promise<void> {
    expect([lab.installed, lab.running]).toEqual([version, version]);
    expect(await lab.greengrassd('status')).toMatchObject({ code: 0 });
    expect(existsSync(join(lab.root, 'ota/trial.json'))).toBe(false);
    await waitFor(() => !existsSync(join(lab.root, 'ota/outcome.json')));
  }

  // Each start of the new version counts as one of the three that it has: so two updates, and not one.
  it.each([
    ['before it has run', UPDATE_STEPS.slice(0, STARTED)],
    ['since it has run', UPDATE_STEPS.slice(STARTED)],
  ])(
    'at each step of an update to a version %s, runs the new version in the end',
    async (_when, steps) => {
      const before = lab.installed;
      const version = await lab.publish();
      expect(await cutAt(steps, [before, version])).toMatchObject({
        ...{ status: 'SUCCEEDED', statusDetails: { detailsMap: { runs: version } } },
      });
      await expectRuns(version);
    },
    90_000,
  );

  it('at each step of the way back, runs the old version in the end', async () => {
    const before = lab.installed;
    const version = await lab.publish((home) => inDaemon(home, 'after', 'process.exit(3);'));
    const { status, statusDetails } = await cutAt(RETURN_STEPS, [before, version]);
    expect(status).toBe('FAILED');
    expect(statusDetails?.detailsMap).toMatchObject({
      runs: before,
      reason: expect.stringContaining('did not stay'),
    });
    await expectRuns(before);
  });

  it('again and again, and is never found healthy, runs the old version', async () => {
    const before = lab.installed;
    const version = await lab.publish();
    const jobId = await lab.update();
    for (let cut = 0; cut < 3; cut++) {
      lab.at('update-started', 'hold');
      await waitFor(() => existsSync(join(lab.steps, 'update-started')), { timeoutMs: 40_000 });
      await lab.powerCut();
      lab.at('update-started', undefined);
      await lab.boot();
    }
    const { status, statusDetails } = await lab.end(jobId);
    expect(status).toBe('FAILED');
    expect(statusDetails?.detailsMap?.reason).toBe(
      `version ${version} was started 3 times and never found healthy`,
    );
    await expectRuns(before);
  }, 120_000);

  it('of which only the agent was killed is brought to its end by the next one', async () => {
    const version = await lab.publish();
    lab.at('update-stopped', 'kill');
    const jobId = await lab.update();
    await waitFor(() => existsSync(join(lab.steps, 'update-stopped')), { timeoutMs: 40_000 });
    lab.at('update-stopped', undefined);
    expect(await lab.end(jobId)).toMatchObject({ status: 'SUCCEEDED' });
    await expectRuns(version);
  });
});
