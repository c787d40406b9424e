/** AWS IoT Jobs over MQTT: a real broker and store, AWS's own jobs client, and raw requests that are wrong. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MqttClient } from 'mqtt';
import { CloudJobs } from '../../greengrass/cloud/iot/jobs/cloud-jobs.js';
import { JobTimer } from '../../greengrass/cloud/iot/jobs/job-timer.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { ALLOW_ALL, type CloudParts, type Identity, startCloudParts } from '../support/cloud-parts.js';
import { waitFor } from '../support/wait-for.js';

let cloud: CloudParts;
beforeAll(async () => {
  cloud = await startCloudParts();
});
afterAll(() => cloud?.close());

let count = 0;
async function job(...things: readonly string[]): Promise<string> {
  const jobId = `job-${++count}`;
  await cloud.jobs.create(
    {
      jobId,
      createdAt: new Date(Date.now() + count).toISOString(),
      ...{ status: 'IN_PROGRESS', description: '', targets: things.map((name) => `arn:${name}`) },
      document: JSON.stringify({ operation: 'test', number: count }),
    },
    things,
  );
  return jobId;
}

interface Thing extends Identity {
  readonly client: MqttClient;
  readonly seen: Array<{ topic: string; body: Record<string, never> }>;
  ask(rest: string, payload?: object | string): Promise<Record<string, unknown> & { kind: string }>;
}

/** A thing that hears all of its topics of jobs. */
async function thing(name: string): Promise<Thing> {
  const identity = await cloud.identity(name, ALLOW_ALL);
  const client = await cloud.connect(identity, { clientId: name });
  const seen: Thing['seen'] = [];
  const prefix = `$aws/things/${name}/jobs/`;
  client.on('message', (topic, payload) => {
    if (!topic.startsWith(prefix)) return;
    const rest = topic.slice(prefix.length);
    if (/^(notify|notify-next)$|(accepted|rejected)$/.test(rest))
      seen.push({ topic: rest, body: JSON.parse(payload.toString()) });
  });
  await client.subscribeAsync(`${prefix}#`, { qos: 1 });
  const ask: Thing['ask'] = async (rest, payload = {}) => {
    const from = seen.length;
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload);
    await client.publishAsync(prefix + rest, text, { qos: 1 });
    const found = await waitFor(() => seen.slice(from).find(({ topic }) => topic.startsWith(`${rest}/`)));
    return { kind: found.topic.slice(rest.length + 1), ...(found.body as object) };
  };
  return { ...identity, client, seen, ask };
}
const noticesOf = ({ seen }: Thing) => seen.filter(({ topic }) => topic.startsWith('notify'));

describe('a thing on the jobs client of aws-iot-device-sdk-v2', () => {
  it('takes its job and brings it to an end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'greengrass-jobs-'));
    try {
      const identity = await cloud.identity('sdk', ALLOW_ALL);
      writeFileSync(join(folder, 'cert.pem'), identity.certificatePem);
      writeFileSync(join(folder, 'key.pem'), identity.privateKeyPem);
      writeFileSync(join(folder, 'ca.pem'), cloud.caPem);
      const first = await job('sdk');
      const second = await job('sdk');
      const program = fileURLToPath(new URL('./sdk-jobs-agent.js', import.meta.url));
      const { code, stdout, stderr } = await run(
        process.execPath,
        [program, folder, 'sdk', String(cloud.broker.port)],
        { timeoutMs: 30_000 },
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const saw = JSON.parse(stdout);
      expect(saw.pending).toMatchObject({
        kind: 'accepted',
        inProgressJobs: [],
        queuedJobs: [{ jobId: first, versionNumber: 1, executionNumber: 1 }, { jobId: second }],
      });
      expect(saw.started.execution).toMatchObject({
        ...{ jobId: first, thingName: 'sdk', status: 'IN_PROGRESS', versionNumber: 2 },
        ...{ statusDetails: { step: 'begun' }, jobDocument: { operation: 'test' } },
        startedAt: expect.any(Number),
      });
      expect(saw.described).toMatchObject({ kind: 'accepted', execution: saw.started.execution });
      expect(saw.stale).toMatchObject({
        ...{ kind: 'rejected', code: 'VersionMismatch' },
        executionState: { status: 'IN_PROGRESS', versionNumber: 2 },
      });
      expect(saw.ended).toMatchObject({
        kind: 'accepted',
        executionState: { status: 'SUCCEEDED', versionNumber: 3, statusDetails: { step: 'done' } },
      });
      expect(saw.over).toMatchObject({ queuedJobs: [{ jobId: second }], inProgressJobs: [] });
      expect(saw.notices).toEqual([second]);
      expect((await cloud.store.jobs.find(first))?.status).toBe('COMPLETED');
      expect((await cloud.store.jobs.find(second))?.status).toBe('IN_PROGRESS');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('jobs of a thing', () => {
  it('are told when they come, and when they are through', async () => {
    const it = await thing('told');
    const first = await job('told');
    const second = await job('told');
    await waitFor(() => noticesOf(it).length >= 3);
    expect(noticesOf(it).map(({ topic, body }) => [topic, body])).toMatchObject([
      ['notify', { jobs: { QUEUED: [{ jobId: first }] } }],
      ['notify-next', { execution: { jobId: first, status: 'QUEUED', jobDocument: { operation: 'test' } } }],
      ['notify', { jobs: { QUEUED: [{ jobId: first }, { jobId: second }] } }],
    ]);
    it.seen.length = 0;
    // What is next stays next while it is worked on.
    expect(await it.ask('start-next')).toMatchObject({ execution: { jobId: first } });
    expect(await it.ask('$next/get')).toMatchObject({ execution: { jobId: first, status: 'IN_PROGRESS' } });
    expect(noticesOf(it)).toEqual([]);
    expect(await it.ask(`${first}/update`, { status: 'FAILED' })).toMatchObject({ kind: 'accepted' });
    expect(await it.ask(`${second}/update`, { status: 'REJECTED' })).toMatchObject({ kind: 'accepted' });
    await waitFor(() => noticesOf(it).length >= 4);
    expect(noticesOf(it).map(({ topic, body }) => [topic, body])).toMatchObject([
      ['notify', { jobs: { QUEUED: [{ jobId: second }] } }],
      ['notify-next', { execution: { jobId: second } }],
      ['notify', { jobs: {} }],
      ['notify-next', {}],
    ]);
    expect(noticesOf(it)[3]?.body).not.toHaveProperty('execution');
    expect(await it.ask('$next/get', { clientToken: 'c' })).toEqual({
      ...{ kind: 'accepted', clientToken: 'c', timestamp: expect.any(Number) },
    });
    expect(await it.ask('start-next')).toEqual({ kind: 'accepted', timestamp: expect.any(Number) });
  });

  it('that are in progress are given again to who has lost them, as they are', async () => {
    const it = await thing('lost');
    const jobId = await job('lost');
    await it.ask('start-next', { statusDetails: { step: 'one' } });
    const again = await it.ask('start-next', { statusDetails: { step: 'two' } });
    expect(again).toMatchObject({ execution: { jobId, versionNumber: 2, statusDetails: { step: 'one' } } });
    await it.ask(`${jobId}/update`, { status: 'IN_PROGRESS', statusDetails: { step: 'three' } });
    // Another cloud over the same store: nothing was kept in memory.
    const other = new CloudJobs(cloud.store);
    const said: string[] = [];
    other.publishTo((topic, payload) => said.push(`${topic} ${payload}`));
    await other.take('$aws/things/lost/jobs/$next/get', Buffer.from('{"includeJobDocument":false}'));
    expect(said).toEqual([expect.stringMatching(/\/accepted .*"versionNumber":3.*"three"/)]);
    expect(said[0]).not.toContain('jobDocument');
    expect(await it.ask(`${jobId}/update`, { status: 'SUCCEEDED', includeJobDocument: true })).toMatchObject({
      jobDocument: { operation: 'test' },
    });
  });

  it.each<[string, string, object | string, string]>([
    ['that is no JSON', 'get', '{', 'InvalidJson'],
    ['with a status that is not theirs to set', 'JOB/update', { status: 'CANCELED' }, 'InvalidRequest'],
    ['without a status', 'JOB/update', {}, 'InvalidRequest'],
    [
      'with details that are no texts',
      'JOB/update',
      { status: 'FAILED', statusDetails: { a: 1 } },
      'InvalidRequest',
    ],
    ['with a token that is none', 'get', { clientToken: 'a b' }, 'InvalidRequest'],
    ['for a job that is not there', 'none/get', {}, 'ResourceNotFound'],
    ['for the job of another thing', 'OTHER/update', { status: 'FAILED' }, 'ResourceNotFound'],
    ['for a second execution', 'JOB/get', { executionNumber: 2 }, 'ResourceNotFound'],
    ['for an older version', 'JOB/update', { status: 'FAILED', expectedVersion: 7 }, 'VersionMismatch'],
    ['for a job that is through', 'DONE/get', {}, 'TerminalStateReached'],
    [
      'to go on with a job that is through',
      'DONE/update',
      { status: 'IN_PROGRESS' },
      'InvalidStateTransition',
    ],
  ])('are not changed by a request %s', async (_what, topic, payload, code) => {
    const name = `refused-${++count}`;
    const it = await thing(name);
    const [own, other, done] = [await job(name), await job(`other-${name}`), await job(name)];
    await it.ask(`${done}/update`, { status: 'SUCCEEDED' });
    const rest = topic.replace('JOB', own).replace('OTHER', other).replace('DONE', done);
    expect(await it.ask(rest, payload)).toMatchObject({
      ...{ kind: 'rejected', code, message: expect.any(String), timestamp: expect.any(Number) },
    });
    expect((await cloud.store.jobExecutions.find(name, own))?.version).toBe(1);
    expect((await cloud.store.jobExecutions.find(`other-${name}`, other))?.status).toBe('QUEUED');
    expect((await cloud.store.jobExecutions.find(name, done))?.status).toBe('SUCCEEDED');
  });

  it('are changed by who may publish on their topics only', async () => {
    const jobId = await job('owner');
    const stranger = await cloud.identity('stranger', [
      { Effect: 'Allow', Action: 'iot:Connect', Resource: '*' },
      {
        ...{ Effect: 'Allow', Action: 'iot:Publish' },
        Resource: 'arn:aws:iot:us-east-1:123456789012:topic/$aws/things/stranger/jobs/*',
      },
    ]);
    const client = await cloud.connect(stranger, { clientId: 'stranger', reconnectPeriod: 0 });
    let closed = false;
    client.on('close', () => {
      closed = true;
    });
    await client.publishAsync('$aws/things/stranger/jobs/get', '{}', { qos: 1 });
    expect(closed).toBe(false);
    client.publish(`$aws/things/owner/jobs/${jobId}/update`, '{"status":"SUCCEEDED"}', { qos: 0 });
    await waitFor(() => closed);
    expect((await cloud.store.jobExecutions.find('owner', jobId))?.status).toBe('QUEUED');
  });

  it('that are called off end for who has not begun, and with force for all', async () => {
    const [busy, idle] = [await thing('busy'), await thing('idle')];
    const jobId = await job('busy', 'idle');
    await busy.ask('start-next');
    expect(await cloud.jobs.cancel(jobId, { force: false, comment: 'no' })).toBe(true);
    expect(await cloud.store.jobExecutions.counts(jobId)).toEqual({ IN_PROGRESS: 1, CANCELED: 1 });
    expect(await cloud.store.jobs.find(jobId)).toMatchObject({ status: 'CANCELED', comment: 'no' });
    expect(await cloud.jobs.cancel(jobId, { force: true })).toBe(false);
    await waitFor(() => noticesOf(idle).length === 4);
    await cloud.jobs.cancelExecution('busy', jobId, { force: true, statusDetails: { why: 'late' } });
    expect(await cloud.store.jobExecutions.find('busy', jobId)).toMatchObject({
      ...{ status: 'CANCELED', statusDetails: { why: 'late' }, version: 3 },
    });
    expect((await cloud.store.jobs.find(jobId))?.status).toBe('CANCELED');
    expect(await busy.ask(`${jobId}/update`, { status: 'SUCCEEDED' })).toMatchObject({
      ...{ code: 'InvalidStateTransition', executionState: { status: 'CANCELED' } },
    });
  });

  it('that are not through in the time that the thing has set are timed out', async () => {
    const it = await thing('slow');
    const [jobId, next] = [await job('slow'), await job('slow')];
    const before = Date.now();
    await it.ask('start-next', { stepTimeoutInMinutes: 2 });
    const timesOutAt = async () => (await cloud.store.jobExecutions.find('slow', jobId))?.timesOutAt;
    expect(Date.parse((await timesOutAt()) ?? '') - before).toBeGreaterThanOrEqual(120_000);
    await it.ask(`${jobId}/update`, { status: 'IN_PROGRESS', stepTimeoutInMinutes: -1 });
    expect(await timesOutAt()).toBeUndefined();
    await it.ask(`${jobId}/update`, { status: 'IN_PROGRESS', stepTimeoutInMinutes: 1 });
    await it.ask(`${jobId}/update`, { status: 'IN_PROGRESS', statusDetails: { step: 'two' } });
    await cloud.jobs.endOverdue();
    const running = await cloud.store.jobExecutions.find('slow', jobId);
    expect(running).toMatchObject({ status: 'IN_PROGRESS', timesOutAt: expect.any(String), version: 5 });
    if (!running) throw new Error('no execution');
    await cloud.store.jobExecutions.put({ ...running, timesOutAt: new Date(Date.now() - 1).toISOString() });
    it.seen.length = 0;
    const timer = new JobTimer(cloud.jobs, silentLogger(), 5);
    await timer.start();
    await waitFor(() => noticesOf(it).length >= 2);
    await timer.stop();
    expect(noticesOf(it).map(({ topic, body }) => [topic, body])).toMatchObject([
      ['notify', { jobs: { QUEUED: [{ jobId: next }] } }],
      ['notify-next', { execution: { jobId: next } }],
    ]);
    expect(await it.ask(`${jobId}/update`, { status: 'SUCCEEDED' })).toMatchObject({
      ...{ code: 'InvalidStateTransition', executionState: { status: 'TIMED_OUT', versionNumber: 6 } },
    });
    expect((await cloud.store.jobs.find(jobId))?.status).toBe('COMPLETED');
    expect((await cloud.store.jobExecutions.find('slow', jobId))?.timesOutAt).toBeUndefined();
  });

  it('whose time is over are timed out for who asks, also before anybody has looked', async () => {
    const it = await thing('late');
    const jobId = await job('late');
    await it.ask('start-next', { stepTimeoutInMinutes: 1 });
    const running = await cloud.store.jobExecutions.find('late', jobId);
    if (!running) throw new Error('no execution');
    await cloud.store.jobExecutions.put({ ...running, timesOutAt: new Date(Date.now() - 1).toISOString() });
    expect(await it.ask('start-next')).not.toHaveProperty('execution');
    expect((await cloud.store.jobs.find(jobId))?.status).toBe('COMPLETED');
  });

  it.each([0, -2, 10_081, 1.5, '1'])('take no %s minutes', async (stepTimeoutInMinutes) => {
    const name = `minutes-${++count}`;
    const it = await thing(name);
    await job(name);
    expect(await it.ask('start-next', { stepTimeoutInMinutes })).toMatchObject({ code: 'InvalidRequest' });
  });

  it('that is no more are removed, and what others have to do is not', async () => {
    const it = await thing('gone');
    const [shared, own] = [await job('gone', 'stays'), await job('gone')];
    await it.ask('start-next');
    await cloud.jobs.removeThing('gone');
    expect(await cloud.store.jobExecutions.counts(shared)).toEqual({ REMOVED: 1, QUEUED: 1 });
    expect(await cloud.store.jobExecutions.counts(own)).toEqual({ REMOVED: 1 });
    expect((await cloud.store.jobs.find(shared))?.status).toBe('IN_PROGRESS');
    expect((await cloud.store.jobs.find(own))?.status).toBe('COMPLETED');
    expect(await it.ask('get')).toMatchObject({ inProgressJobs: [], queuedJobs: [] });
  });

  it('are brought to one end by two who report at the same time', async () => {
    const it = await thing('racing');
    const jobId = await job('racing');
    await it.ask('start-next');
    const outcomes = await Promise.all(
      ['SUCCEEDED', 'FAILED'].map((status) => {
        const said: string[] = [];
        cloud.jobs.publishTo((topic) => said.push(topic.split('/').at(-1) ?? ''));
        return cloud.jobs
          .take(
            `$aws/things/racing/jobs/${jobId}/update`,
            Buffer.from(JSON.stringify({ status, expectedVersion: 2 })),
          )
          .then(() => said);
      }),
    );
    expect(outcomes.flat().filter((one) => one === 'accepted')).toHaveLength(1);
    expect((await cloud.store.jobExecutions.find('racing', jobId))?.version).toBe(3);
  });
});
