/** Bulk deployments, with a core that is scripted and objects in a real folder. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  CreateCoreDefinitionCommand,
  CreateGroupCommand,
  GetBulkDeploymentStatusCommand,
  GreengrassClient,
  ListBulkDeploymentDetailedReportsCommand,
  ListBulkDeploymentsCommand,
  StartBulkDeploymentCommand,
  StopBulkDeploymentCommand,
} from '@aws-sdk/client-greengrass';
import { ApiServer } from '../../greengrass/cloud/api/api-server.js';
import { BulkInputError, parseBulkInput } from '../../greengrass/cloud/api/bulk-input.js';
import type { Deployment } from '../../greengrass/cloud/store/store.js';
import { startCloud } from '../../greengrass/dev/programs.js';
import { waitForExit } from '../../greengrass/lib/subprocess.js';
import { waitFor } from '../support/wait-for.js';
import { Cloud, refusalOf } from './harness.js';

const ROLE = 'arn:aws:iam::123456789012:role/bulk';
const ENDED = ['Completed', 'Stopped', 'Failed'];

let cloud: Cloud;
let greengrass: GreengrassClient;
let deploy: Cloud['deployer']['deploy'];
beforeAll(async () => {
  cloud = await Cloud.start();
  greengrass = cloud.greengrass();
  deploy = cloud.deployer.deploy;
});
afterAll(async () => {
  greengrass.destroy();
  await cloud.stop();
});
afterEach(() => {
  cloud.deployer.deploy = deploy;
  cloud.deployer.deployed.length = 0;
});

interface Group {
  readonly GroupId: string;
  readonly GroupVersionId: string;
}

async function groups(count: number, client = greengrass): Promise<Group[]> {
  const core = {
    Id: 'core',
    ThingArn: 'arn:aws:iot:us-east-1:123456789012:thing/core',
    CertificateArn: `arn:aws:iot:us-east-1:123456789012:cert/${'a'.repeat(64)}`,
  };
  const cores = await client.send(new CreateCoreDefinitionCommand({ InitialVersion: { Cores: [core] } }));
  const InitialVersion = { CoreDefinitionVersionArn: cores.LatestVersionArn ?? '' };
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const made = await client.send(new CreateGroupCommand({ Name: `g${index}`, InitialVersion }));
      return { GroupId: made.Id ?? '', GroupVersionId: made.LatestVersion ?? '' };
    }),
  );
}

const lines = (records: ReadonlyArray<Group>) => records.map((record) => JSON.stringify(record)).join('\n');

/** Puts the object in its bucket; answers its address. */
async function object(content: string | Uint8Array, key = `in/${randomUUID()}.json`): Promise<string> {
  const path = join(cloud.objectsFolder, 'fleet', key);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return `s3://fleet/${key}`;
}

async function start(InputFileUri: string, client = greengrass): Promise<string> {
  const made = await client.send(new StartBulkDeploymentCommand({ ExecutionRoleArn: ROLE, InputFileUri }));
  expect(made.BulkDeploymentArn).toBe(
    `arn:aws:greengrass:us-east-1:${cloud.installation.accountId}:/greengrass/bulk/deployments/${made.BulkDeploymentId}`,
  );
  return made.BulkDeploymentId ?? '';
}

const statusOf = (BulkDeploymentId: string, client = greengrass) =>
  client.send(new GetBulkDeploymentStatusCommand({ BulkDeploymentId }));

function ended(id: string, client = greengrass) {
  return waitFor(
    async () => {
      const status = await statusOf(id, client);
      return ENDED.includes(status.BulkDeploymentStatus ?? '') ? status : undefined;
    },
    { timeoutMs: 30_000, what: 'the end of the bulk deployment' },
  );
}

async function reports(BulkDeploymentId: string, size = 50, client = greengrass) {
  const found = [];
  let NextToken: string | undefined;
  do {
    const page = await client.send(
      new ListBulkDeploymentDetailedReportsCommand({
        BulkDeploymentId,
        MaxResults: String(size),
        ...(NextToken === undefined ? {} : { NextToken }),
      }),
    );
    expect(page.Deployments?.length).toBeLessThanOrEqual(size);
    found.push(...(page.Deployments ?? []));
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return found;
}

/** The core side waits at the gate; `open` lets everybody through. */
function gate(isFirstThrough: (index: number) => boolean = () => false): {
  open: () => void;
  waiting: () => number;
} {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let index = 0;
  let waiting = 0;
  cloud.deployer.deploy = async function (this: Cloud['deployer'], deployment: Deployment) {
    if (!isFirstThrough(index++)) {
      waiting++;
      await opened;
    }
    return deploy.call(this, deployment);
  };
  return { open, waiting: () => waiting };
}

describe('a bulk deployment', () => {
  it('deploys each group of its input, and reports them in pages', async () => {
    const records = await groups(7);
    const id = await start(await object(`\n${lines(records)}\r\n\n`));
    expect(await ended(id)).toMatchObject({
      BulkDeploymentStatus: 'Completed',
      BulkDeploymentMetrics: { RecordsProcessed: 7, InvalidInputRecords: 0, RetryAttempts: 0 },
      tags: {},
    });
    const found = await reports(id, 3);
    expect(found.map(({ GroupArn }) => GroupArn?.split('/')[3]).sort()).toEqual(
      records.map(({ GroupId }) => GroupId).sort(),
    );
    for (const { DeploymentId, DeploymentArn, DeploymentStatus, DeploymentType } of found) {
      expect(DeploymentId).toMatch(new RegExp(`^${cloud.installation.accountId}:[0-9a-f-]{36}$`));
      expect(DeploymentArn?.endsWith(`/deployments/${DeploymentId?.split(':')[1]}`)).toBe(true);
      expect({ DeploymentStatus, DeploymentType }).toEqual({
        DeploymentStatus: 'InProgress',
        DeploymentType: 'NewDeployment',
      });
    }
    // The report follows the deployment.
    const [first] = cloud.deployer.deployed;
    await cloud.deployer.finish(first?.deploymentId ?? '', 'Success');
    const now = (await reports(id)).find(({ DeploymentId }) =>
      DeploymentId?.endsWith(`${first?.deploymentId}`),
    );
    expect(now?.DeploymentStatus).toBe('Success');
  });

  it('deploys the rest where records name what is not there, and says so of each', async () => {
    const [good] = await groups(1);
    if (!good) throw new Error('no group');
    const none = randomUUID();
    const id = await start(
      await object(
        lines([
          { GroupId: none, GroupVersionId: none },
          { GroupId: good.GroupId, GroupVersionId: none },
          good,
        ]),
      ),
    );
    expect(await ended(id)).toMatchObject({
      BulkDeploymentStatus: 'Completed',
      BulkDeploymentMetrics: { RecordsProcessed: 3, InvalidInputRecords: 2, RetryAttempts: 0 },
    });
    const errors = (await reports(id)).map(({ DeploymentStatus, ErrorMessage, DeploymentId }) => [
      DeploymentStatus,
      ErrorMessage,
      DeploymentId === undefined,
    ]);
    expect(errors).toHaveLength(3);
    expect(errors).toContainEqual(['Failure', 'That group definition does not exist.', true]);
    expect(errors).toContainEqual([
      'Failure',
      `Version ${none} of Group Definition ${good.GroupId} does not exist.`,
      true,
    ]);
    expect(errors).toContainEqual(['InProgress', undefined, false]);
  });

  it('is the only one at its time', async () => {
    const { open, waiting } = gate();
    const uri = await object(lines(await groups(1)));
    const id = await start(uri);
    await waitFor(() => waiting() === 1);
    expect(await refusalOf(start(uri))).toMatchObject({
      status: 400,
      type: 'ConcurrentDeployment',
      message: expect.stringContaining('Concurrent Deployment Error'),
    });
    open();
    expect((await ended(id)).BulkDeploymentStatus).toBe('Completed');
    const next = await start(uri);
    expect((await ended(next)).BulkDeploymentStatus).toBe('Completed');
    const listed = await greengrass.send(new ListBulkDeploymentsCommand({ MaxResults: '1' }));
    expect(listed.BulkDeployments?.map(({ BulkDeploymentId }) => BulkDeploymentId)).toEqual([next]);
    const second = await greengrass.send(
      new ListBulkDeploymentsCommand({ NextToken: listed.NextToken ?? '', MaxResults: '1' }),
    );
    expect(second.BulkDeployments?.map(({ BulkDeploymentId }) => BulkDeploymentId)).toEqual([id]);
  });

  it('of two that are started at the same time one is refused', async () => {
    const uri = await object(lines(await groups(1)));
    const { open } = gate();
    const started = await Promise.allSettled([start(uri), start(uri), start(uri)]);
    const made = started.filter((one) => one.status === 'fulfilled');
    expect(made).toHaveLength(1);
    open();
    await ended(made[0]?.value ?? '');
  });

  it('started the moment another ends begins at once', async () => {
    const uri = await object(lines(await groups(1)));
    for (let round = 0; round < 10; round++) {
      const id = await start(uri);
      // Well below the time after which processes look for what others left.
      await waitFor(async () => ENDED.includes((await statusOf(id)).BulkDeploymentStatus ?? ''), {
        timeoutMs: 5000,
        intervalMs: 1,
      });
    }
  });

  it('stopped in its middle ends what it has begun, and nothing after it', async () => {
    const { open, waiting } = gate((index) => index < 3);
    const id = await start(await object(lines(await groups(20))));
    await waitFor(() => waiting() === 4);
    const stop = () => greengrass.send(new StopBulkDeploymentCommand({ BulkDeploymentId: id }));
    await stop();
    await stop();
    expect((await statusOf(id)).BulkDeploymentStatus).toBe('Stopping');
    open();
    const { BulkDeploymentStatus, BulkDeploymentMetrics } = await ended(id);
    expect(BulkDeploymentStatus).toBe('Stopped');
    expect(BulkDeploymentMetrics?.RecordsProcessed).toBe(7);
    expect(await reports(id)).toHaveLength(7);
    expect(cloud.deployer.deployed).toHaveLength(7);
    expect(await refusalOf(stop())).toMatchObject({
      status: 400,
      type: 'InvalidInputException',
      message: 'Cannot change state of finished execution.',
    });
  });

  it('is not there: each call says so', async () => {
    const id = { BulkDeploymentId: randomUUID() };
    for (const command of [
      new GetBulkDeploymentStatusCommand(id),
      new ListBulkDeploymentDetailedReportsCommand(id),
      new StopBulkDeploymentCommand(id),
    ]) {
      expect(await refusalOf(greengrass.send(command as GetBulkDeploymentStatusCommand))).toMatchObject({
        status: 404,
        type: 'ResourceNotFoundException',
      });
    }
  });
});

describe('a record whose deployment fails for a reason of ours', () => {
  it('is tried again, and the attempts are counted', async () => {
    const failing = new Map<string, number>();
    cloud.deployer.deploy = async function (this: Cloud['deployer'], deployment: Deployment) {
      const tries = (failing.get(deployment.groupId) ?? 0) + 1;
      failing.set(deployment.groupId, tries);
      if (tries <= 2) throw new Error('the disk is full');
      return deploy.call(this, deployment);
    };
    const id = await start(await object(lines(await groups(2))));
    expect(await ended(id)).toMatchObject({
      BulkDeploymentStatus: 'Completed',
      BulkDeploymentMetrics: { RecordsProcessed: 2, InvalidInputRecords: 0, RetryAttempts: 4 },
    });
    const found = await reports(id);
    expect(found.map(({ DeploymentStatus }) => DeploymentStatus)).toEqual(['InProgress', 'InProgress']);
  });

  it('fails after five more tries, without telling callers what is ours', async () => {
    cloud.deployer.deploy = () => Promise.reject(new Error('the disk is full'));
    const id = await start(await object(lines(await groups(1))));
    expect(await ended(id)).toMatchObject({
      BulkDeploymentStatus: 'Completed',
      BulkDeploymentMetrics: { RecordsProcessed: 1, InvalidInputRecords: 0, RetryAttempts: 5 },
    });
    expect((await reports(id))[0]).toMatchObject({
      DeploymentStatus: 'Failure',
      ErrorMessage: 'The deployment could not be made.',
      ErrorDetails: [{ DetailedErrorCode: 'InternalFailure' }],
    });
  });
});

describe('a process that ends in the middle', () => {
  async function server(): Promise<{ server: ApiServer; client: GreengrassClient }> {
    const made = new ApiServer(cloud.context('sigv4'), { host: '127.0.0.1', port: 0 });
    await made.start();
    const endpoint = `http://127.0.0.1:${made.port}`;
    return { server: made, client: new GreengrassClient({ ...cloud.clientConfig, endpoint }) };
  }

  it('leaves the rest to the next, which reports each record once', async () => {
    const records = await groups(20);
    const { open, waiting } = gate((index) => index < 5);
    const uri = await object(lines(records));
    const first = await server();
    const id = await start(uri, first.client);
    await waitFor(() => waiting() === 4);
    const stopped = first.server.stop();
    open();
    await stopped;
    first.client.destroy();
    expect(await statusOf(id)).toMatchObject({
      BulkDeploymentStatus: 'Running',
      BulkDeploymentMetrics: { RecordsProcessed: 9 },
    });
    // The input is not read a second time.
    await writeFile(join(cloud.objectsFolder, uri.slice('s3://'.length)), 'changed meanwhile');
    const second = await server();
    expect(await ended(id)).toMatchObject({
      BulkDeploymentStatus: 'Completed',
      BulkDeploymentMetrics: { RecordsProcessed: 20, InvalidInputRecords: 0 },
    });
    await second.server.stop();
    second.client.destroy();
    const found = await reports(id, 6);
    expect(new Set(found.map(({ GroupArn }) => GroupArn)).size).toBe(20);
    expect(found).toHaveLength(20);
    expect(cloud.deployer.deployed).toHaveLength(20);
  });

  it('does not wait for retries, which the next one begins anew', async () => {
    let attempts = 0;
    cloud.deployer.deploy = () => {
      attempts += 1;
      return Promise.reject(new Error('the disk is full'));
    };
    const [record] = await groups(1);
    if (!record) throw new Error('no group');
    const first = await server();
    const id = await start(await object(lines([record])), first.client);
    await waitFor(() => attempts >= 3);
    const before = Date.now();
    await first.server.stop();
    expect(Date.now() - before).toBeLessThan(1500);
    first.client.destroy();
    expect((await statusOf(id)).BulkDeploymentMetrics?.RecordsProcessed).toBe(0);
    cloud.deployer.deploy = deploy;
    const second = await server();
    expect(await ended(id)).toMatchObject({
      BulkDeploymentStatus: 'Completed',
      BulkDeploymentMetrics: { RecordsProcessed: 1, RetryAttempts: 0 },
    });
    await second.server.stop();
    second.client.destroy();
  });
});

it('goes on after the program was killed, and reports each record once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gg-bulk-'));
  const COUNT = 400;
  let running = await startCloud(folder);
  const client = () => {
    const { api: endpoint, region, accessKeyId, secretAccessKey } = running.info;
    const credentials = { accessKeyId, secretAccessKey };
    return new GreengrassClient({ endpoint, region, credentials, maxAttempts: 1 });
  };
  try {
    let sdk = client();
    const records = await groups(10, sdk);
    const content = lines(Array.from({ length: COUNT }, (_, index) => records[index % 10] as Group));
    await mkdir(join(folder, 'objects', 'fleet'), { recursive: true });
    await writeFile(join(folder, 'objects', 'fleet', 'in'), content);
    const command = new StartBulkDeploymentCommand({
      ExecutionRoleArn: ROLE,
      InputFileUri: 's3://fleet/in',
    });
    const { BulkDeploymentId: id = '' } = await sdk.send(command);
    for (let kill = 1; kill <= 2; kill++) {
      await waitFor(
        async () =>
          ((await statusOf(id, sdk)).BulkDeploymentMetrics?.RecordsProcessed ?? 0) >= (kill * COUNT) / 8,
        { intervalMs: 1, timeoutMs: 60_000 },
      );
      running.process.kill('SIGKILL');
      await waitForExit(running.process);
      sdk.destroy();
      running = await startCloud(folder);
      sdk = client();
      expect((await statusOf(id, sdk)).BulkDeploymentStatus).toBe('Running');
    }
    expect(await ended(id, sdk)).toMatchObject({
      BulkDeploymentStatus: 'Completed',
      BulkDeploymentMetrics: { RecordsProcessed: COUNT, InvalidInputRecords: 0, RetryAttempts: 0 },
    });
    const found = await reports(id, 1000, sdk);
    expect(found).toHaveLength(COUNT);
    expect(new Set(found.map(({ DeploymentId }) => DeploymentId)).size).toBe(COUNT);
    sdk.destroy();
  } finally {
    await running.stop();
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);

describe('the input', () => {
  const GROUP = { GroupId: randomUUID(), GroupVersionId: randomUUID() };
  const line = JSON.stringify(GROUP);
  const member = (more: object) => JSON.stringify({ ...GROUP, ...more });

  it('is one JSON object to a line; empty lines, a mark of byte order and other members are passed over', () => {
    const text = `\uFEFF${line}\r\n\n  ${member({ DeploymentType: 'NewDeployment', x: 1 })}  \n`;
    expect(parseBulkInput(Buffer.from(text))).toEqual([GROUP, GROUP]);
    const longest = `${line.slice(0, -1)},"x":""}`;
    const filled = (length: number) => longest.replace('""', `"${'x'.repeat(length - longest.length)}"`);
    expect(parseBulkInput(Buffer.from(filled(255)))).toEqual([GROUP]);
    expect(() => parseBulkInput(Buffer.from(filled(256)))).toThrow(BulkInputError);
  });

  const WRONG: ReadonlyArray<readonly [string, string | Uint8Array, string]> = [
    ['has no records', '\n\n', 'InvalidInputFile: The input file has no records.'],
    ['is empty', '', 'InvalidInputFile: The input file has no records.'],
    ['is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'InvalidInputFile: The input file is not UTF-8.'],
    ['is not JSON', `${line}\n{"GroupId":`, 'Failed to parse input file at line number: 2'],
    ['is a list', `[${line}]`, 'Failed to parse input file at line number: 1'],
    ['is null', 'null', 'Failed to parse input file at line number: 1'],
    [
      'has no GroupId',
      `${line}\n\n${member({ GroupId: undefined })}`,
      'InvalidInputFile: Missing GroupId at line number: 3',
    ],
    ['has an empty GroupId', member({ GroupId: '' }), 'InvalidInputFile: Missing GroupId at line number: 1'],
    [
      'has a number for a version',
      member({ GroupVersionId: 1 }),
      'InvalidInputFile: Missing GroupVersionId at line number: 1',
    ],
    [
      'asks for a reset',
      member({ DeploymentType: 'ResetDeployment' }),
      "InvalidInputFile: Invalid deployment type at line number : 1. Only valid type is 'NewDeployment'.",
    ],
    [
      'has a line that is too long',
      `${line}\n${member({ x: 'x'.repeat(256) })}`,
      'Line 2 is too long in S3 File. Valid line is less than 256 chars.',
    ],
  ];
  it.each(WRONG)('that %s fails the whole, and nothing is deployed', async (_what, content, message) => {
    const id = await start(await object(content));
    expect(await ended(id)).toMatchObject({
      BulkDeploymentStatus: 'Failed',
      BulkDeploymentMetrics: { RecordsProcessed: 0, InvalidInputRecords: 0, RetryAttempts: 0 },
      ErrorMessage: message,
      ErrorDetails: [{ DetailedErrorCode: 'InvalidInputFile', DetailedErrorMessage: message }],
    });
    expect(cloud.deployer.deployed).toEqual([]);
    expect(await reports(id)).toEqual([]);
  });

  it('that is not there, is a folder or lies outside fails the whole', async () => {
    await object('', 'folder/x');
    const outside = join(cloud.folder, 'outside.json');
    await writeFile(outside, line);
    await symlink(outside, join(cloud.objectsFolder, 'fleet', 'link'));
    await symlink(cloud.folder, join(cloud.objectsFolder, 'fleet', 'up'));
    await symlink('loop', join(cloud.objectsFolder, 'fleet', 'loop'));
    for (const key of [
      'none.json',
      'folder',
      'link',
      'up/outside.json',
      'loop',
      '../outside.json',
      '../../outside.json',
      '../fleet-2/x',
      'folder/../../../outside.json',
      `${'x/'.repeat(3000)}x`,
      'x\0y',
    ]) {
      const status = await ended(await start(`s3://fleet/${key}`));
      expect(status).toMatchObject({ BulkDeploymentStatus: 'Failed' });
      expect(status.ErrorMessage).toContain(`bucket fleet has no object ${key}`);
    }
    const climbing = await start('https://fleet.s3.amazonaws.com/%2e%2e%2F%2E%2E/outside.json');
    expect((await ended(climbing)).ErrorMessage).toContain('has no object ../../outside.json');
  });

  it('may be a link to another object', async () => {
    const uri = await object(lines(await groups(1)));
    await symlink(
      join(cloud.objectsFolder, uri.slice('s3://'.length)),
      join(cloud.objectsFolder, 'fleet', 'latest'),
    );
    expect((await ended(await start('s3://fleet/latest'))).BulkDeploymentStatus).toBe('Completed');
  });

  it('and the role are looked at before anything is kept', async () => {
    for (const uri of ['fleet/a.json', 'file:///etc/passwd', 'https://example.org/fleet/a.json']) {
      expect(await refusalOf(start(uri))).toMatchObject({
        status: 400,
        type: 'BadRequestException',
        message: expect.stringContaining('InputFileUri: must be the address of an object in S3'),
      });
    }
    const InputFileUri = await object(line);
    const command = new StartBulkDeploymentCommand({ ExecutionRoleArn: 'bulk', InputFileUri });
    expect((await refusalOf(greengrass.send(command))).message).toBe(
      'ExecutionRoleArn: That role ARN is invalid.',
    );
  });

  it('started twice with one client token is one bulk deployment', async () => {
    const uri = await object(lines(await groups(1)));
    const AmznClientToken = randomUUID();
    const begin = () =>
      greengrass.send(
        new StartBulkDeploymentCommand({ ExecutionRoleArn: ROLE, InputFileUri: uri, AmznClientToken }),
      );
    const { BulkDeploymentId = '' } = await begin();
    expect((await begin()).BulkDeploymentId).toBe(BulkDeploymentId);
    await ended(BulkDeploymentId);
  });
});
