/** Jobs of things that ask two replicas of the cloud at the same time. */
import { CloudJobs } from '../../greengrass/cloud/iot/jobs/cloud-jobs.js';
import { type OpenedStore, openStore } from '../../greengrass/cloud/store/open-store.js';
import { describeWithPostgres, PostgresServer } from '../support/postgres.js';

describeWithPostgres('jobs at two replicas', () => {
  let server: PostgresServer;
  const opened: OpenedStore[] = [];
  const replicas: CloudJobs[] = [];
  const said: Array<{ topic: string; body: Record<string, unknown> }> = [];
  beforeAll(async () => {
    server = await PostgresServer.create();
    const databaseUrl = await server.createDatabase();
    for (let count = 0; count < 2; count++) {
      const one = await openStore({ dataFolder: '/nowhere', databaseUrl });
      opened.push(one);
      const jobs = new CloudJobs(one.store, one.exclusive);
      jobs.publishTo((topic, payload) => said.push({ topic, body: JSON.parse(payload.toString()) }));
      replicas.push(jobs);
    }
  });
  afterAll(async () => {
    for (const { store } of opened) await store.close();
    await server?.remove();
  });

  const create = (jobId: string, ...things: string[]) =>
    replicas[0]?.create(
      {
        ...{
          jobId,
          createdAt: new Date().toISOString(),
          status: 'IN_PROGRESS',
          description: '',
          targets: [],
        },
        document: '{}',
      },
      things,
    );
  /** The same request to both at once; answers what was said of it. */
  async function both(topics: readonly [string, string], request: object) {
    said.length = 0;
    const payload = Buffer.from(JSON.stringify(request));
    await Promise.all(topics.map((topic, at) => replicas[at]?.take(`$aws/things/${topic}`, payload)));
    return said.map(({ topic, body }) => ({ kind: topic.split('/').at(-1), body }));
  }
  const kinds = (answers: ReadonlyArray<{ kind: string | undefined }>) =>
    answers
      .map(({ kind }) => kind)
      .filter((kind) => kind === 'accepted' || kind === 'rejected')
      .sort();

  it('are begun once', async () => {
    await create('one', 'a');
    const answers = await both(['a/jobs/start-next', 'a/jobs/start-next'], {});
    expect(kinds(answers)).toEqual(['accepted', 'accepted']);
    for (const { body } of answers) expect(body.execution).toMatchObject({ jobId: 'one', versionNumber: 2 });
  });

  it('have one end, and the loser hears which', async () => {
    await create('two', 'b');
    const request = { status: 'SUCCEEDED', expectedVersion: 1 };
    const answers = await both(['b/jobs/two/update', 'b/jobs/two/update'], request);
    expect(kinds(answers)).toEqual(['accepted', 'rejected']);
    expect(answers.find(({ kind }) => kind === 'rejected')?.body).toMatchObject({
      ...{ code: 'VersionMismatch', executionState: { status: 'SUCCEEDED', versionNumber: 2 } },
    });
  });

  it('are through when the last two things are through at the same time', async () => {
    for (let count = 0; count < 10; count++) {
      await create(`three-${count}`, 'c', 'd');
      await both([`c/jobs/three-${count}/update`, `d/jobs/three-${count}/update`], { status: 'SUCCEEDED' });
      expect((await opened[1]?.store.jobs.find(`three-${count}`))?.status).toBe('COMPLETED');
    }
  });
});
