/** Software updates as jobs of AWS IoT, and the runtime configuration of cores. */
import { createHash, randomUUID } from 'node:crypto';
import {
  CreateSoftwareUpdateJobCommand,
  type CreateSoftwareUpdateJobCommandInput,
  GetThingRuntimeConfigurationCommand,
  GreengrassClient,
  type Telemetry,
  UpdateThingRuntimeConfigurationCommand,
} from '@aws-sdk/client-greengrass';
import {
  AddThingToThingGroupCommand,
  CancelJobCommand,
  CancelJobExecutionCommand,
  CreateThingCommand,
  CreateThingGroupCommand,
  DeleteJobCommand,
  DeleteThingCommand,
  DescribeJobCommand,
  DescribeJobExecutionCommand,
  GetJobDocumentCommand,
  type IoTClient,
  ListJobExecutionsForJobCommand,
  ListJobExecutionsForThingCommand,
  ListJobsCommand,
} from '@aws-sdk/client-iot';
import { ApiServer } from '../../greengrass/cloud/api/api-server.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import type { SoftwarePackage } from '../../greengrass/cloud/store/software.js';
import { Cloud, refusalOf } from './harness.js';

let cloud: Cloud;
let greengrass: GreengrassClient;
let iot: IoTClient;
beforeAll(async () => {
  cloud = await Cloud.start();
  greengrass = cloud.greengrass();
  iot = cloud.iot();
  for (const architecture of ['x86_64', 'aarch64', 'armv7l', 'armv6l'])
    await software(VERSION, { architecture });
  for (const architecture of ['aarch64', 'armv7l']) {
    await software(VERSION, { architecture, operatingSystem: 'openwrt' });
  }
});
afterAll(async () => {
  greengrass.destroy();
  iot.destroy();
  await cloud.stop();
});

const VERSION = '1.11.7';

/** A package that the operator has put in. */
async function software(version: string, more: Partial<SoftwarePackage> = {}): Promise<SoftwarePackage> {
  const made = {
    ...{ version, operatingSystem: 'linux', architecture: 'x86_64', size: 7, signature: 'c2ln' },
    ...{ sha256: createHash('sha256').update(version).digest('hex'), addedAt: new Date().toISOString() },
    ...more,
  };
  await cloud.store.software.put(made);
  return made;
}

async function thing(): Promise<{ name: string; arn: string }> {
  const name = `core-${randomUUID()}`;
  const { thingArn = '' } = await iot.send(new CreateThingCommand({ thingName: name }));
  return { name, arn: thingArn };
}

const REQUEST = {
  S3UrlSignerRole: 'arn:aws:iam::123456789012:role/signer',
  SoftwareToUpdate: 'core',
  UpdateTargetsArchitecture: 'x86_64',
  UpdateTargetsOperatingSystem: 'ubuntu',
} as const;
const update = (targets: readonly string[], more: object = {}) =>
  greengrass.send(
    new CreateSoftwareUpdateJobCommand({
      ...REQUEST,
      UpdateTargets: [...targets],
      ...more,
    } as CreateSoftwareUpdateJobCommandInput),
  );

describe('CreateSoftwareUpdateJob', () => {
  it('makes a job that is described, whose document tells the agents what to do', async () => {
    const targets = [(await thing()).arn, (await thing()).arn];
    const made = await update(targets, { UpdateAgentLogLevel: 'DEBUG', SoftwareToUpdate: 'ota_agent' });
    const { IotJobId: jobId = '' } = made;
    expect(jobId).toMatch(/^GreengrassUpdateJob_[0-9a-f-]{36}$/);
    expect(made).toMatchObject({
      IotJobArn: `arn:aws:iot:us-east-1:${cloud.installation.accountId}:job/${jobId}`,
      PlatformSoftwareVersion: VERSION,
    });
    const { job } = await iot.send(new DescribeJobCommand({ jobId }));
    expect(job).toMatchObject({
      jobArn: made.IotJobArn,
      jobId,
      targets,
      status: 'IN_PROGRESS',
      targetSelection: 'SNAPSHOT',
      description: expect.stringContaining(`version ${VERSION}`),
      createdAt: expect.any(Date),
    });
    const { document = '' } = await iot.send(new GetJobDocumentCommand({ jobId }));
    expect(JSON.parse(document)).toEqual({
      operation: 'greengrass-software-update',
      software: 'ota_agent',
      version: VERSION,
      operatingSystem: 'ubuntu',
      architecture: 'x86_64',
      logLevel: 'DEBUG',
      package: {
        ...{
          path: expect.stringMatching(`^/greengrass/jobs/${jobId}/software/[0-9a-f]{64}$`),
          version: VERSION,
        },
        ...{ sha256: expect.stringMatching(/^[0-9a-f]{64}$/), size: 7, signature: 'c2ln' },
      },
    });
  });

  it('is for all things of a thing group, and of the groups below it, each once', async () => {
    const [name, below] = [`floor-${randomUUID()}`, `room-${randomUUID()}`];
    const { thingGroupArn = '' } = await iot.send(new CreateThingGroupCommand({ thingGroupName: name }));
    await expect(update([thingGroupArn])).rejects.toThrow(/UpdateTargets: are 0 things together/);
    await iot.send(new CreateThingGroupCommand({ thingGroupName: below, parentGroupName: name }));
    const [first, second, third] = [await thing(), await thing(), await thing()];
    for (const [thingGroupName, thingName] of [
      [name, first.name],
      [below, first.name],
      [below, second.name],
    ]) {
      await iot.send(new AddThingToThingGroupCommand({ thingGroupName, thingName }));
    }
    const { IotJobId: jobId = '' } = await update([thingGroupArn, third.arn]);
    const { executionSummaries = [] } = await iot.send(new ListJobExecutionsForJobCommand({ jobId }));
    const things = executionSummaries.map(({ thingArn }) => thingArn).sort();
    expect(things).toEqual([first.arn, second.arn, third.arn].sort());
    await expect(update([`${thingGroupArn}x`])).rejects.toThrow(
      /x is not the ARN of a thing or a thing group/,
    );
  });

  it('brings the newest package that there is for the platform, and is refused where there is none', async () => {
    const targets = [(await thing()).arn];
    const versionFor = async (UpdateTargetsOperatingSystem: string) =>
      (await update(targets, { UpdateTargetsOperatingSystem })).PlatformSoftwareVersion;
    for (const version of ['1.9.0', '1.20.0-rc.1', '1.10.0', '1.20.0']) await software(version);
    expect(await versionFor('ubuntu')).toBe('1.20.0');
    await software('1.21.0', { operatingSystem: 'amazon_linux' });
    expect([await versionFor('ubuntu'), await versionFor('amazon_linux')]).toEqual(['1.20.0', '1.21.0']);
    for (const version of ['1.9.0', '1.20.0-rc.1', '1.10.0', '1.20.0']) {
      const key = { version, operatingSystem: 'linux', architecture: 'x86_64' };
      expect(await cloud.store.software.remove(key)).toBe(true);
      expect(await cloud.store.software.remove(key)).toBe(false);
    }
    expect(await versionFor('ubuntu')).toBe(VERSION);
    // The GNU C library's packages are none for OpenWrt.
    await cloud.store.software.remove({
      version: VERSION,
      operatingSystem: 'openwrt',
      architecture: 'aarch64',
    });
    const asked = update(targets, {
      UpdateTargetsOperatingSystem: 'openwrt',
      UpdateTargetsArchitecture: 'aarch64',
    });
    expect(await refusalOf(asked)).toEqual({
      ...{ status: 400, type: 'BadRequestException' },
      message: expect.stringContaining(
        'There is no package of the core software for openwrt on aarch64 here',
      ),
    });
    await software(VERSION, { operatingSystem: 'openwrt', architecture: 'aarch64' });
  });

  it('with the same client token is one job, with another one another', async () => {
    const targets = [(await thing()).arn];
    const AmznClientToken = randomUUID();
    const first = await update(targets, { AmznClientToken });
    expect((await update(targets, { AmznClientToken })).IotJobId).toBe(first.IotJobId);
    expect((await update(targets, { AmznClientToken: randomUUID() })).IotJobId).not.toBe(first.IotJobId);
  });

  it('is for the platforms that V1 was made for', async () => {
    const targets = [(await thing()).arn];
    const systems = ['ubuntu', 'raspbian', 'amazon_linux', 'openwrt'];
    const architectures = ['armv6l', 'armv7l', 'x86_64', 'aarch64'];
    const good: string[] = [];
    for (const system of systems) {
      for (const architecture of architectures) {
        const asked = update(targets, {
          UpdateTargetsOperatingSystem: system,
          UpdateTargetsArchitecture: architecture,
        });
        const refused = await asked.then(
          () => undefined,
          (error: Error) => error,
        );
        if (!refused) good.push(`${system} ${architecture}`);
        else {
          expect(refused.name).toBe('BadRequestException');
          expect(refused.message).toContain(`there is no software for ${system} on ${architecture}`);
        }
      }
    }
    expect(good).toEqual([
      'ubuntu x86_64',
      'ubuntu aarch64',
      'raspbian armv6l',
      'raspbian armv7l',
      'amazon_linux x86_64',
      'openwrt armv7l',
      'openwrt aarch64',
    ]);
  });

  it('is refused where the request is wrong, and then makes no job', async () => {
    const { arn } = await thing();
    const before = (await allJobs()).length;
    const cases: ReadonlyArray<readonly [() => Promise<unknown>, RegExp]> = [
      [() => update([]), /UpdateTargets: must be 1 to 100 ARNs of things or thing groups/],
      [() => update(Array.from({ length: 101 }, () => arn)), /UpdateTargets: must be 1 to 100/],
      [
        () => update([arn, `${arn}x`]),
        /UpdateTargets: arn:aws:iot:.*x is not the ARN of a thing or a thing group that exists/,
      ],
      [() => update([arn.replace(/:\d{12}:/, ':999999999999:')]), /999999999999.* is not the ARN of a thing/],
      [() => update(['core']), /UpdateTargets: core is not the ARN/],
      [() => update([arn], { S3UrlSignerRole: 'signer' }), /S3UrlSignerRole: That role ARN is invalid/],
      [() => update([arn], { S3UrlSignerRole: undefined }), /S3UrlSignerRole/],
      [() => update([arn], { SoftwareToUpdate: 'all' }), /SoftwareToUpdate/],
      [() => update([arn], { UpdateTargetsOperatingSystem: 'plan9' }), /UpdateTargetsOperatingSystem/],
      [() => update([arn], { UpdateAgentLogLevel: 'LOUD' }), /UpdateAgentLogLevel/],
    ];
    for (const [asked, message] of cases) {
      expect(await refusalOf(asked())).toEqual({
        status: 400,
        type: 'BadRequestException',
        message: expect.stringMatching(message),
      });
    }
    expect(await allJobs()).toHaveLength(before);
  });
});

async function allJobs(size = 50, more: object = {}) {
  const found = [];
  let nextToken: string | undefined;
  do {
    const page = await iot.send(
      new ListJobsCommand({ maxResults: size, ...more, ...(nextToken === undefined ? {} : { nextToken }) }),
    );
    found.push(...(page.jobs ?? []));
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
  return found;
}

describe('jobs', () => {
  it('are listed in pages, also by their status', async () => {
    const targets = [(await thing()).arn];
    const made = await Promise.all(Array.from({ length: 5 }, () => update(targets)));
    const listed = await allJobs(2);
    const ids = listed.map(({ jobId }) => jobId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { IotJobId } of made) expect(ids).toContain(IotJobId);
    expect(await allJobs(2, { status: 'IN_PROGRESS' })).toEqual(listed);
    expect(await allJobs(2, { status: 'CANCELED' })).toEqual([]);
    expect((await refusalOf(allJobs(2, { nextToken: 'none' }))).status).toBe(400);
  });

  it('that are not there are said to be so', async () => {
    for (const command of [
      new DescribeJobCommand({ jobId: 'none' }),
      new GetJobDocumentCommand({ jobId: 'none' }),
    ]) {
      expect(await refusalOf(iot.send(command as DescribeJobCommand))).toEqual({
        status: 404,
        type: 'ResourceNotFoundException',
        message: 'Job none cannot be found.',
      });
    }
  });
});

describe('what becomes of a job', () => {
  const describe = async (jobId: string, thingName: string) =>
    (await iot.send(new DescribeJobExecutionCommand({ jobId, thingName }))).execution;
  const report = (name: string, jobId: string, status: string) =>
    cloud.jobs.take(`$aws/things/${name}/jobs/${jobId}/update`, Buffer.from(JSON.stringify({ status })));

  it('says how long a thing has given itself, and that a thing has been deleted', async () => {
    const [kept, deleted] = [await thing(), await thing()];
    const { IotJobId: jobId = '' } = await update([kept.arn, deleted.arn]);
    const request = { status: 'IN_PROGRESS', stepTimeoutInMinutes: 3 };
    const topic = `$aws/things/${kept.name}/jobs/${jobId}/update`;
    await cloud.jobs.take(topic, Buffer.from(JSON.stringify(request)));
    const left = (await describe(jobId, kept.name))?.approximateSecondsBeforeTimedOut;
    expect(left).toBeGreaterThan(120);
    expect(left).toBeLessThanOrEqual(180);
    expect(await describe(jobId, deleted.name)).not.toHaveProperty('approximateSecondsBeforeTimedOut');
    await iot.send(new DeleteThingCommand({ thingName: deleted.name }));
    expect(await describe(jobId, deleted.name)).toMatchObject({ status: 'REMOVED', versionNumber: 2 });
    const { job } = await iot.send(new DescribeJobCommand({ jobId }));
    expect(job).toMatchObject({
      ...{
        status: 'IN_PROGRESS',
        jobProcessDetails: { numberOfRemovedThings: 1, numberOfInProgressThings: 1 },
      },
    });
    await report(kept.name, jobId, 'SUCCEEDED');
    expect((await iot.send(new DescribeJobCommand({ jobId }))).job?.status).toBe('COMPLETED');
  });

  it('is seen by who watches it, thing by thing', async () => {
    const things = [await thing(), await thing(), await thing()];
    const names = things.map(({ name }) => name).sort();
    const [first = '', second = ''] = names;
    const { IotJobId: jobId = '' } = await update(things.map(({ arn }) => arn));
    expect(await describe(jobId, first)).toMatchObject({
      ...{ jobId, status: 'QUEUED', executionNumber: 1, versionNumber: 1, queuedAt: expect.any(Date) },
      thingArn: expect.stringMatching(`thing/${first}$`),
    });
    await report(first, jobId, 'SUCCEEDED');
    await report(second, jobId, 'FAILED');
    const { job } = await iot.send(new DescribeJobCommand({ jobId }));
    expect(job).toMatchObject({
      status: 'IN_PROGRESS',
      jobProcessDetails: {
        ...{ numberOfQueuedThings: 1, numberOfSucceededThings: 1, numberOfFailedThings: 1 },
        ...{ numberOfInProgressThings: 0, numberOfCanceledThings: 0 },
      },
    });
    const listed: string[] = [];
    for (let nextToken: string | undefined, isFirst = true; isFirst || nextToken; isFirst = false) {
      const page = await iot.send(
        new ListJobExecutionsForJobCommand({ jobId, maxResults: 2, ...(nextToken ? { nextToken } : {}) }),
      );
      for (const { thingArn, jobExecutionSummary } of page.executionSummaries ?? [])
        listed.push(`${thingArn?.split('/')[1]} ${jobExecutionSummary?.status}`);
      nextToken = page.nextToken;
    }
    expect(listed).toEqual([`${first} SUCCEEDED`, `${second} FAILED`, `${names[2]} QUEUED`]);
    const ofThing = async (status?: 'QUEUED' | 'FAILED') =>
      (
        await iot.send(
          new ListJobExecutionsForThingCommand({ thingName: second, ...(status ? { status } : {}) }),
        )
      ).executionSummaries?.map((one) => one.jobId);
    expect([await ofThing(), await ofThing('FAILED'), await ofThing('QUEUED')]).toEqual([
      [jobId],
      [jobId],
      [],
    ]);
    await report(names[2] ?? '', jobId, 'REJECTED');
    expect((await iot.send(new DescribeJobCommand({ jobId }))).job).toMatchObject({
      ...{ status: 'COMPLETED', completedAt: expect.any(Date) },
    });
    expect(await refusalOf(iot.send(new CancelJobCommand({ jobId })))).toMatchObject({
      ...{ status: 400, type: 'InvalidRequestException' },
    });
  });

  it('ends where it is called off, for one thing or for all, and is forgotten where it is deleted', async () => {
    const things = [await thing(), await thing()];
    const [busy = '', idle = ''] = things.map(({ name }) => name);
    const { IotJobId: jobId = '' } = await update(things.map(({ arn }) => arn));
    await report(busy, jobId, 'IN_PROGRESS');
    const cancelOne = (more: object) =>
      iot.send(new CancelJobExecutionCommand({ jobId, thingName: busy, ...more }));
    expect((await refusalOf(cancelOne({}))).type).toBe('InvalidStateTransitionException');
    expect((await refusalOf(cancelOne({ force: true, expectedVersion: 9 }))).type).toBe(
      'VersionConflictException',
    );
    expect((await refusalOf(cancelOne({ thingName: 'none' }))).type).toBe('ResourceNotFoundException');
    const comment = 'wrong version';
    await iot.send(new CancelJobCommand({ jobId, comment, reasonCode: 'WRONG' }));
    expect((await iot.send(new DescribeJobCommand({ jobId }))).job).toMatchObject({
      ...{ status: 'CANCELED', comment, reasonCode: 'WRONG' },
    });
    expect([(await describe(jobId, busy))?.status, (await describe(jobId, idle))?.status]).toEqual([
      ...['IN_PROGRESS', 'CANCELED'],
    ]);
    await cancelOne({ force: true, statusDetails: { why: 'late' } });
    expect(await describe(jobId, busy)).toMatchObject({
      ...{ status: 'CANCELED', statusDetails: { detailsMap: { why: 'late' } } },
    });
    await iot.send(new DeleteJobCommand({ jobId }));
    for (const gone of [describe(jobId, idle), iot.send(new DescribeJobCommand({ jobId }))]) {
      expect((await refusalOf(gone as Promise<unknown>)).type).toBe('ResourceNotFoundException');
    }
    const { IotJobId: running = '' } = await update([things[0]?.arn ?? '']);
    expect((await refusalOf(iot.send(new DeleteJobCommand({ jobId: running })))).type).toBe(
      'InvalidStateTransitionException',
    );
    await iot.send(new DeleteJobCommand({ jobId: running, force: true }));
  });

  it('is not said of what is not there', async () => {
    const { name } = await thing();
    expect((await refusalOf(describe('none', name))).message).toBe(
      `Job none has no execution for thing ${name}.`,
    );
    expect((await refusalOf(iot.send(new ListJobExecutionsForJobCommand({ jobId: 'none' })))).status).toBe(
      404,
    );
    expect(
      (await refusalOf(iot.send(new ListJobExecutionsForThingCommand({ thingName: 'none' })))).status,
    ).toBe(404);
    const { IotJobId: jobId = '' } = await update([(await thing()).arn]);
    const odd = iot.send(new ListJobExecutionsForJobCommand({ jobId, status: 'ODD' as 'QUEUED' }));
    expect((await refusalOf(odd)).message).toContain('status: must be one of QUEUED');
  });
});

describe('the runtime configuration of a core', () => {
  const get = async (ThingName: string) =>
    (await greengrass.send(new GetThingRuntimeConfigurationCommand({ ThingName }))).RuntimeConfiguration
      ?.TelemetryConfiguration;
  const set = (ThingName: string, Telemetry: Telemetry) =>
    greengrass.send(
      new UpdateThingRuntimeConfigurationCommand({ ThingName, TelemetryConfiguration: { Telemetry } }),
    );
  /** The core writes its shadow; the scripted one holds what was written last. */
  const report = (name: string, document: unknown) =>
    cloud.shadows.set(`${name}-gcf`, Buffer.from(JSON.stringify(document)));

  it('is on before the first update, and goes to the core in a shadow of its own', async () => {
    const { name } = await thing();
    expect(await get(name)).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'On' });
    await set(name, 'Off');
    expect(JSON.parse(String(cloud.shadows.get(`${name}-gcf`)))).toEqual({
      state: { desired: { telemetry: 'Off' } },
    });
    expect(await get(name)).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'Off' });
  });

  it('is in sync once the core has reported the same, and no more after the next update', async () => {
    const { name } = await thing();
    await set(name, 'Off');
    report(name, { state: { desired: { telemetry: 'Off' }, reported: { telemetry: 'On' } } });
    expect(await get(name)).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'Off' });
    report(name, { state: { desired: { telemetry: 'Off' }, reported: { telemetry: 'Off' } } });
    expect(await get(name)).toEqual({ ConfigurationSyncStatus: 'InSync', Telemetry: 'Off' });
    await set(name, 'On');
    expect(await get(name)).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'On' });
  });

  it('is read from the shadow as the shadow service keeps it', async () => {
    const { name } = await thing();
    const shadows = new CloudShadows(cloud.store);
    const context = { ...cloud.context('sigv4'), shadows };
    const server = new ApiServer(context, { host: '127.0.0.1', port: 0 });
    await server.start();
    const endpoint = `http://127.0.0.1:${server.port}`;
    const client = new GreengrassClient({ ...cloud.clientConfig, endpoint });
    const state = async () =>
      (await client.send(new GetThingRuntimeConfigurationCommand({ ThingName: name }))).RuntimeConfiguration
        ?.TelemetryConfiguration;
    try {
      expect(await state()).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'On' });
      const TelemetryConfiguration = { Telemetry: 'Off' as const };
      await client.send(
        new UpdateThingRuntimeConfigurationCommand({ ThingName: name, TelemetryConfiguration }),
      );
      expect(await state()).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'Off' });
      await shadows.update(`${name}-gcf`, Buffer.from('{"state":{"reported":{"telemetry":"Off"}}}'));
      expect(await state()).toEqual({ ConfigurationSyncStatus: 'InSync', Telemetry: 'Off' });
      await shadows.update(`${name}-gcf`, Buffer.from('{"state":{"reported":null}}'));
      expect(await state()).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'Off' });
    } finally {
      client.destroy();
      await server.stop();
    }
  });

  it('is out of sync whatever else stands in the shadow', async () => {
    const { name } = await thing();
    await set(name, 'On');
    for (const document of [
      {},
      { state: null },
      { state: { reported: null } },
      { state: { reported: 'On' } },
      { state: { reported: { telemetry: 1 } } },
      { state: { reported: { telemetry: ['On'] } } },
    ]) {
      report(name, document);
      expect(await get(name)).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'On' });
    }
  });

  it('is refused for what is no thing, and where it says nothing that is known', async () => {
    const { name } = await thing();
    for (const refused of [get('none'), set('none', 'On')]) {
      expect(await refusalOf(refused)).toMatchObject({ status: 404, type: 'ResourceNotFoundException' });
    }
    expect((await refusalOf(get('no name'))).type).toBe('BadRequestException');
    expect((await refusalOf(set(name, 'Loud' as Telemetry))).type).toBe('BadRequestException');
    const empty = new UpdateThingRuntimeConfigurationCommand({ ThingName: name });
    expect(await refusalOf(greengrass.send(empty))).toMatchObject({
      status: 400,
      message: 'TelemetryConfiguration: is missing, so nothing would change.',
    });
    expect(await get(name)).toEqual({ ConfigurationSyncStatus: 'OutOfSync', Telemetry: 'On' });
    expect(cloud.shadows.has(`${name}-gcf`)).toBe(false);
  });
});
