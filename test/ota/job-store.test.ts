/** What both databases keep of jobs, their executions and software packages. */
import type { JobExecution } from '../../greengrass/cloud/store/job-executions.js';
import type { Store } from '../../greengrass/cloud/store/store.js';
import { describeDatabases } from '../store/databases.js';

const at = (second: number) => new Date(Date.UTC(2026, 0, 2, 3, 4, second)).toISOString();
const job = (jobId: string, second = 0) => ({
  ...{ jobId, createdAt: at(second), status: 'IN_PROGRESS' as const, description: '', targets: ['arn'] },
  document: '{}',
});

describeDatabases('the store', (opened) => {
  let store: Store;
  beforeEach(() => {
    ({ store } = opened());
  });

  it('keeps the executions of a job in the order in which a thing takes them', async () => {
    await store.jobs.create(job('late', 2), ['a', 'b', 'a']);
    await store.jobs.create(job('early', 1), ['a']);
    await store.jobs.create(job('begun', 3), ['a']);
    const ids = async () => (await store.jobExecutions.pendingOf('a')).map(({ jobId }) => jobId);
    expect(await ids()).toEqual(['early', 'late', 'begun']);
    const begun: JobExecution = {
      ...{ thingName: 'a', jobId: 'begun', status: 'IN_PROGRESS', statusDetails: { x: 'y' }, version: 2 },
      ...{ queuedAt: at(3), startedAt: at(4), updatedAt: at(5) },
    };
    await store.jobExecutions.put(begun);
    expect(await store.jobExecutions.find('a', 'begun')).toEqual(begun);
    expect(await ids()).toEqual(['begun', 'early', 'late']);
    await store.jobExecutions.put({ ...begun, status: 'FAILED', version: 3 });
    expect(await ids()).toEqual(['early', 'late']);
    expect(await store.jobExecutions.counts('late')).toEqual({ QUEUED: 2 });
    expect((await store.jobExecutions.listOfJob('late', 1, 'a')).map((one) => one.thingName)).toEqual(['b']);
    expect(
      (await store.jobExecutions.listOfThing('a', 9, undefined, 'FAILED')).map((one) => one.jobId),
    ).toEqual(['begun']);
    expect(await store.jobExecutions.find('b', 'early')).toBeUndefined();
  });

  it('knows whose time is over, the longest overdue first', async () => {
    await store.jobs.create(job('j'), ['a', 'b', 'c', 'd', 'e']);
    const execution = (thingName: string, second: number): JobExecution => ({
      ...{ thingName, jobId: 'j', status: 'IN_PROGRESS', statusDetails: {}, version: 2 },
      ...{ queuedAt: at(0), startedAt: at(1), updatedAt: at(1), timesOutAt: at(second) },
    });
    for (const [name, second] of Object.entries({ a: 9, b: 8, c: 10 })) {
      await store.jobExecutions.put(execution(name, second));
    }
    const { timesOutAt: _none, ...unlimited } = execution('d', 0);
    await store.jobExecutions.put(unlimited);
    await store.jobExecutions.put({ ...execution('e', 1), status: 'FAILED' });
    const overdue = async (limit: number) =>
      (await store.jobExecutions.overdue(at(9), limit)).map(({ thingName }) => thingName);
    expect(await overdue(9)).toEqual(['b', 'a']);
    expect(await overdue(1)).toEqual(['b']);
    expect(await store.jobExecutions.find('e', 'j')).not.toHaveProperty('timesOutAt');
  });

  it('ends a job once, and forgets it with its executions', async () => {
    await store.jobs.create(job('j'), ['a']);
    const end = { at: at(9), comment: 'c', reasonCode: 'R' };
    expect(await store.jobs.end('j', { ...end, status: 'CANCELED' })).toBe(true);
    expect(await store.jobs.end('j', { ...end, status: 'COMPLETED' })).toBe(false);
    expect(await store.jobs.find('j')).toEqual({
      ...{ ...job('j'), status: 'CANCELED', updatedAt: at(9), completedAt: at(9) },
      ...{ comment: 'c', reasonCode: 'R' },
    });
    await store.jobs.delete('j');
    expect([await store.jobs.find('j'), await store.jobExecutions.find('a', 'j')]).toEqual([
      undefined,
      undefined,
    ]);
  });

  it('makes a job with all of its executions or not at all', async () => {
    await store.jobs.create(job('j'), ['a']);
    // SQLite's own error is none of jest's realm, so toThrow would not see it.
    await expect(store.jobs.create(job('j'), ['b'])).rejects.toBeTruthy();
    expect(await store.jobExecutions.find('b', 'j')).toBeUndefined();
  });

  it('keeps one package for a version and platform', async () => {
    const one = {
      ...{
        version: '1.0.0',
        operatingSystem: 'linux',
        architecture: 'x86_64',
        sha256: 'a',
        size: 40_000_000,
      },
      ...{ signature: 's', addedAt: at(0) },
    };
    await store.software.put({ ...one, sha256: 'b' });
    await store.software.put(one);
    await store.software.put({ ...one, architecture: 'aarch64' });
    expect(await store.software.list()).toEqual([{ ...one, architecture: 'aarch64' }, one]);
    expect(await store.software.remove(one)).toBe(true);
    expect(await store.software.list()).toHaveLength(1);
  });
});
