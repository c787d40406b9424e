/** What the younger aggregates keep; the others are in store-suite.ts. */
import type { BulkDeployment } from '../../greengrass/cloud/store/bulk-deployments.js';
import { ConflictError, type Store } from '../../greengrass/cloud/store/store.js';
import { describeDatabases } from './databases.js';

const at = (second: number) => new Date(Date.UTC(2026, 0, 2, 3, 4, second)).toISOString();

function bulk(bulkId: string): BulkDeployment {
  return {
    ...{ bulkId, status: 'Initializing', createdAt: at(0), inputFileUri: 's3://b/k', executionRoleArn: 'r' },
    ...{ tags: { a: 'b' }, recordsProcessed: 0, invalidRecords: 0, retries: 0 },
  };
}

describeDatabases('the store', (opened) => {
  let store: Store;
  beforeEach(() => {
    ({ store } = opened());
  });

  it('keeps sessions with what they subscribed to', async () => {
    await store.sessions.open('b', at(1));
    await store.sessions.open('a', at(1));
    await store.sessions.open('a', at(2));
    await store.sessions.subscribe('a', 'x/#', 0);
    await store.sessions.subscribe('a', 'x/#', 1);
    await store.sessions.subscribe('a', 'y', 0);
    await store.sessions.subscribe('unknown', 'y', 0);
    expect(await store.sessions.find('a')).toEqual({
      ...{ clientId: 'a', seenAt: at(2) },
      filters: [
        ['x/#', 1],
        ['y', 0],
      ],
    });
    await store.sessions.unsubscribe('a', ['y', 'z']);
    expect(await store.sessions.list()).toHaveLength(2);
    expect(await store.sessions.unseen(at(2), 10)).toEqual(['b']);
    await store.sessions.touch(['a', 'b'], at(3));
    expect(await store.sessions.deleteUnseen('b', at(3))).toBe(false);
    expect(await store.sessions.deleteUnseen('b', at(4))).toBe(true);
    await store.sessions.delete('a');
    expect(await store.sessions.list()).toEqual([]);
    expect(await store.sessions.find('unknown')).toBeUndefined();
  });

  it("keeps sessions' messages as the bytes that they are, and drops the oldest of too many", async () => {
    const payload = Buffer.from([0, 255, 39, 92]);
    const add = (key: string) =>
      ({ kind: 'add', clientIds: ['a', 'gone'], message: { key, topic: 't', payload } }) as const;
    await store.sessions.open('a', at(1));
    const limits = { messages: 3, bytes: 1000 };
    expect(await store.sessions.change(['01', '02', '03', '04'].map(add), limits)).toEqual([
      { clientId: 'a', messages: 1 },
    ]);
    const changes = [
      { kind: 'sent', clientId: 'a', key: '03', messageId: 7 },
      { kind: 'remove', clientId: 'a', key: '02' },
    ] as const;
    expect(await store.sessions.change(changes, limits)).toEqual([]);
    const queued = await store.sessions.queued('a', 10);
    expect(queued.map(({ key, messageId }) => [key, messageId])).toEqual([
      ['03', 7],
      ['04', undefined],
    ]);
    expect(queued.every((message) => payload.equals(message.payload))).toBe(true);
    expect(await store.sessions.change([add('05')], { messages: 3, bytes: 5 })).toHaveLength(1);
    expect((await store.sessions.queued('a', 10)).map(({ key }) => key)).toEqual(['05']);
  });

  it('counts the messages of one session right where many add and remove at once', async () => {
    await store.sessions.open('a', at(1));
    const limits = { messages: 100, bytes: 10_000 };
    const keys = Array.from({ length: 30 }, (_, n) => String(n).padStart(4, '0'));
    const payload = Buffer.from('x');
    const add = (key: string) =>
      store.sessions.change(
        [{ kind: 'add', clientIds: ['a'], message: { key, topic: 't', payload } }],
        limits,
      );
    await Promise.all(keys.map(add));
    const remove = (key: string) => store.sessions.change([{ kind: 'remove', clientId: 'a', key }], limits);
    await Promise.all(keys.slice(10).map(remove));
    expect(await store.sessions.queued('a', 100)).toHaveLength(10);
    expect(await store.sessions.change([], { messages: 0, bytes: 0 })).toEqual([]);
    const one = { kind: 'add', clientIds: ['a'], message: { key: '9999', topic: 't', payload } } as const;
    expect(await store.sessions.change([one], { messages: 1, bytes: 10_000 })).toEqual([
      { clientId: 'a', messages: 10 },
    ]);
  });

  it('keeps the last message of a topic, in pages by prefix, and no more topics than allowed', async () => {
    const put = (topic: string, text: string) =>
      store.retained.put({ topic, payload: Buffer.from(text), qos: 1 }, at(1), 3);
    for (const topic of ['a/1', 'B', 'a/2']) expect(await put(topic, 'old')).toBe(true);
    expect(await put('c', 'too many')).toBe(false);
    expect(await put('a/1', 'new')).toBe(true);
    const found = await store.retained.find('a/1');
    expect(found).toMatchObject({ topic: 'a/1', qos: 1 });
    expect(Buffer.from(found?.payload ?? []).toString()).toBe('new');
    expect((await store.retained.list('a/', 10)).map(({ topic }) => topic)).toEqual(['a/1', 'a/2']);
    expect((await store.retained.list('', 2)).map(({ topic }) => topic)).toEqual(['B', 'a/1']);
    expect((await store.retained.list('', 2, 'a/1')).map(({ topic }) => topic)).toEqual(['a/2']);
    await store.retained.delete('a/1');
    expect(await store.retained.find('a/1')).toBeUndefined();
  });

  it('keeps an audit log, finds in it and forgets its beginning', async () => {
    const entry = (n: number) => ({
      ...{
        at: at(n),
        requestId: `r${n}`,
        principal: n % 2 ? 'odd' : 'even',
        accessKeyId: 'k',
        remoteAddress: '::1',
      },
      ...{ service: 'iot', operation: `Op${n}`, resource: '/things', status: 200 },
      ...(n === 3 ? { errorType: 'E', errorMessage: 'm' } : {}),
    });
    for (const n of [1, 2, 3, 4]) await store.audit.add(entry(n));
    expect(await store.audit.list({ limit: 2 })).toEqual([entry(3), entry(4)]);
    expect(await store.audit.list({ limit: 9, since: at(2), principal: 'odd' })).toEqual([entry(3)]);
    expect(await store.audit.list({ limit: 9, operation: 'Op2' })).toEqual([entry(2)]);
    expect(await store.audit.deleteBefore(at(3))).toBe(2);
    expect(await store.audit.list({ limit: 9 })).toHaveLength(2);
  });

  it('lets one bulk deployment be open, also where many are asked for at once', async () => {
    const asked = ['a', 'b', 'c', 'd'].map((bulkId) => store.bulkDeployments.create(bulk(bulkId)));
    expect((await Promise.all(asked)).filter(Boolean)).toHaveLength(1);
    const { bulkId = '' } = (await store.bulkDeployments.findOpen()) ?? {};
    expect(await store.bulkDeployments.setStatus(bulkId, ['Running'], 'Completed')).toBe(false);
    expect(await store.bulkDeployments.setStatus(bulkId, ['Initializing'], 'Running')).toBe(true);
    await store.bulkDeployments.setInput(bulkId, '{}\n');
    const result = { number: 1, createdAt: at(1), groupId: 'g', groupVersionId: 'v', deploymentId: 'd' };
    await store.bulkDeployments.addResult(bulkId, result, { invalid: false, retries: 2 });
    await store.bulkDeployments.addResult(bulkId, result, { invalid: true, retries: 2 });
    const failed = {
      number: 2,
      createdAt: at(1),
      groupId: 'g',
      groupVersionId: 'v',
      errorMessage: 'no',
      errorDetails: [],
    };
    await store.bulkDeployments.addResult(bulkId, failed, { invalid: true, retries: 0 });
    expect(await store.bulkDeployments.listResults(bulkId, 1)).toEqual([failed]);
    expect(await store.bulkDeployments.listResults(bulkId, 9, 2)).toEqual([result]);
    const error = { message: 'm', details: [] };
    expect(await store.bulkDeployments.setStatus(bulkId, ['Running'], 'Failed', error)).toBe(true);
    expect(await store.bulkDeployments.find(bulkId)).toEqual({
      ...bulk(bulkId),
      ...{ status: 'Failed', input: '{}\n', recordsProcessed: 2, invalidRecords: 1, retries: 2 },
      ...{ errorMessage: 'm', errorDetails: [] },
    });
    expect(await store.bulkDeployments.findOpen()).toBeUndefined();
    expect(await store.bulkDeployments.create(bulk('z'))).toBe(true);
    expect((await store.bulkDeployments.list(1)).map((b) => b.bulkId)).toEqual(['z']);
    expect((await store.bulkDeployments.list(9, 'z')).map((b) => b.bulkId)).toEqual([bulkId]);
  });

  it('keeps jobs and runtime configurations', async () => {
    const job = {
      jobId: 'j',
      createdAt: at(1),
      status: 'IN_PROGRESS',
      description: 'd',
      targets: ['t'],
      document: '{}',
    } as const;
    await store.jobs.create(job);
    expect(await store.jobs.find('j')).toEqual(job);
    expect(await store.jobs.list(1, 'j')).toEqual([]);
    await store.runtimeConfigurations.put('core', 'Off');
    await store.runtimeConfigurations.put('core', 'On');
    expect(await store.runtimeConfigurations.find('core')).toBe('On');
    expect(await store.runtimeConfigurations.find('other')).toBeUndefined();
  });

  it('keeps secrets with their versions', async () => {
    const secret = { arn: 'arn:a', name: 'a', tags: { x: 'y' }, createdAt: at(1), changedAt: at(1) };
    const version = (n: number) => ({
      ...{
        versionId: `v${n}`,
        createdAt: at(n),
        stages: ['AWSCURRENT'],
        isBinary: n === 2,
        sealed: 'sealed',
      },
    });
    await store.secrets.create(secret, [version(1)]);
    await expect(store.secrets.create({ ...secret, arn: 'arn:b' }, [])).rejects.toThrow(ConflictError);
    expect(await store.secrets.find('a')).toEqual(secret);
    expect(await store.secrets.find('arn:a')).toEqual(secret);
    const changed = { ...secret, description: 'd', deletionAt: at(9) };
    await store.secrets.save(changed, [version(1), version(2)]);
    expect(await store.secrets.versions('arn:a')).toEqual([version(1), version(2)]);
    expect(await store.secrets.list(9)).toEqual([changed]);
    await store.secrets.delete('arn:a');
    expect(await store.secrets.versions('arn:a')).toEqual([]);
  });

  it('forgets role sessions that have expired', async () => {
    const session = (accessKeyId: string, second: number) => ({
      ...{ accessKeyId, secretAccessKey: 's', tokenSha256Hex: 'h', roleArn: 'r', sessionName: 'n' },
      expiresAt: at(second),
    });
    await store.roleSessions.create(session('ASIA1', 5), at(1));
    expect(await store.roleSessions.find('ASIA1')).toEqual(session('ASIA1', 5));
    await store.roleSessions.create(session('ASIA2', 9), at(6));
    expect(await store.roleSessions.find('ASIA1')).toBeUndefined();
  });

  it('counts the versions of a policy, and keeps no more than allowed', async () => {
    const policy = { policyName: 'p', policyArn: 'arn', document: 'one', versionId: '1', createdAt: at(1) };
    await store.policies.create(policy);
    const create = (document: string) =>
      store.policyVersions.create(
        { policyName: 'p', document, createdAt: at(2) },
        { asDefault: false, limit: 5 },
      );
    const made = await Promise.all(['two', 'three', 'four', 'five', 'six', 'seven'].map(create));
    const ids = made.flatMap((version) => version?.versionId ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    expect((await store.policyVersions.list('p')).length).toBeLessThanOrEqual(5);
    const [newest] = await store.policyVersions.list('p');
    if (newest) await store.policyVersions.setDefault(newest);
    expect(await store.policies.find('p')).toMatchObject({ document: newest?.document });
  });

  it('finds the groups whose deployments are open, in pages', async () => {
    for (const groupId of ['c', 'a', 'b']) {
      await store.deployments.create({
        ...{ deploymentId: `d-${groupId}`, groupId, groupVersionId: 'v', type: 'NewDeployment' },
        ...{ status: groupId === 'b' ? 'Success' : 'Building', createdAt: at(1), updatedAt: at(1) },
      });
    }
    expect(await store.deployments.groupsWithOpen(10)).toEqual(['a', 'c']);
    expect(await store.deployments.groupsWithOpen(1, 'a')).toEqual(['c']);
  });
});
