/** Software updates as jobs of AWS IoT, and the runtime configuration of cores. */
import { randomUUID } from 'node:crypto';
import {
  CreateSoftwareUpdateJobCommand,
  type CreateSoftwareUpdateJobCommandInput,
  GetThingRuntimeConfigurationCommand,
  GreengrassClient,
  type Telemetry,
  UpdateThingRuntimeConfigurationCommand,
} from '@aws-sdk/client-greengrass';
import {
  CreateThingCommand,
  DescribeJobCommand,
  GetJobDocumentCommand,
  type IoTClient,
  ListJobsCommand,
} from '@aws-sdk/client-iot';
import { ApiServer } from '../../greengrass/cloud/api/api-server.js';
import { CloudShadows } from '../../greengrass/cloud/iot/shadows.js';
import { VERSION } from '../../greengrass/lib/package-root.js';
import { Cloud, refusalOf } from './harness.js';

let cloud: Cloud;
let greengrass: GreengrassClient;
let iot: IoTClient;
beforeAll(async () => {
  cloud = await Cloud.start();
  greengrass = cloud.greengrass();
  iot = cloud.iot();
});
afterAll(async () => {
  greengrass.destroy();
  iot.destroy();
  await cloud.stop();
});

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
    });
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
      [() => update([]), /UpdateTargets: must be 1 to 100 ARNs of things/],
      [() => update(Array.from({ length: 101 }, () => arn)), /UpdateTargets: must be 1 to 100/],
      [
        () => update([arn, `${arn}x`]),
        /UpdateTargets: arn:aws:iot:.*x is not the ARN of a thing that exists/,
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
