/** The audit log, and the commands that work beside a running cloud: `greengrass-cloud audit` and `key`. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CreateGroupCommand,
  GetGroupCommand,
  ListGroupsCommand,
  UpdateGroupCommand,
} from '@aws-sdk/client-greengrass';
import {
  CreateThingCommand,
  DeleteThingCommand,
  DescribeThingCommand,
  IoTClient,
  ListThingsCommand,
} from '@aws-sdk/client-iot';
import { PublishCommand } from '@aws-sdk/client-iot-data-plane';
import {
  CreateSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
} from '@aws-sdk/client-secrets-manager';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { AuditKeeper } from '../../greengrass/cloud/api/audit-keeper.js';
import type { AuditEntry } from '../../greengrass/cloud/store/audit.js';
import { openStore } from '../../greengrass/cloud/store/open-store.js';
import { z } from '../../greengrass/lib/check.js';
import { silentLogger } from '../../greengrass/lib/log.js';
import { type ChildProcess, run, start, stop, waitForExit } from '../../greengrass/lib/subprocess.js';
import { waitFor } from '../support/wait-for.js';
import { Cloud, refusalOf } from './harness.js';

describe('the audit log', () => {
  let cloud: Cloud;
  beforeAll(async () => {
    cloud = await Cloud.start();
  });
  afterAll(() => cloud.stop());

  /** What `work` left in the log. */
  async function entriesOf(work: () => Promise<unknown>): Promise<AuditEntry[]> {
    const before = new Set((await all()).map(({ requestId }) => requestId));
    await work();
    return (await all()).filter(({ requestId }) => !before.has(requestId));
  }
  const all = () => cloud.store.audit.list({ limit: 10_000 });

  it('has one entry of each write: who, what, when, and how it ended', async () => {
    const from = new Date().toISOString();
    let requestId: string | undefined;
    const found = await entriesOf(async () => {
      const { $metadata } = await cloud.greengrass().send(new CreateGroupCommand({ Name: 'g' }));
      requestId = $metadata.requestId;
    });
    const { accountId, accessKey } = cloud.installation;
    expect(found).toEqual([
      {
        at: expect.any(String),
        requestId,
        principal: `arn:aws:iam::${accountId}:root`,
        accessKeyId: accessKey.accessKeyId,
        remoteAddress: '127.0.0.1',
        service: 'greengrass',
        operation: 'CreateGroup',
        resource: '/greengrass/groups',
        status: 201,
      },
    ]);
    expect(found[0]?.at.localeCompare(from)).toBeGreaterThanOrEqual(0);
    expect(found[0]?.at.localeCompare(new Date().toISOString())).toBeLessThanOrEqual(0);
  });

  it('has one of each that a rule refused, with the refusal', async () => {
    const found = await entriesOf(async () => {
      await refusalOf(cloud.iot().send(new CreateThingCommand({ thingName: 'no name' })));
      await refusalOf(cloud.greengrass().send(new UpdateGroupCommand({ GroupId: 'none', Name: 'x' })));
      await refusalOf(cloud.secrets().send(new GetSecretValueCommand({ SecretId: 'none' })));
    });
    expect(
      found.map(({ service, operation, status, errorType }) => [service, operation, status, errorType]),
    ).toEqual([
      ['iot', 'CreateThing', 400, 'InvalidRequestException'],
      ['greengrass', 'UpdateGroup', 404, 'IdNotFoundException'],
      ['secretsmanager', 'GetSecretValue', 400, 'ResourceNotFoundException'],
    ]);
    expect(found[2]).toMatchObject({
      resource: '/',
      errorMessage: "Secrets Manager can't find the specified secret.",
    });
    for (const { errorMessage = '' } of found) expect(errorMessage.length).toBeGreaterThan(0);
  });

  it('has none of what only reads, but one of each reading of a secret', async () => {
    const secrets = cloud.secrets();
    const SecretId = 'read-me';
    await secrets.send(new CreateSecretCommand({ Name: SecretId, SecretString: 'treasure' }));
    const found = await entriesOf(async () => {
      await cloud.greengrass().send(new ListGroupsCommand({}));
      await refusalOf(cloud.greengrass().send(new GetGroupCommand({ GroupId: 'none' })));
      await cloud.iot().send(new ListThingsCommand({}));
      await refusalOf(cloud.iot().send(new DescribeThingCommand({ thingName: 'none' })));
      await cloud.sts().send(new GetCallerIdentityCommand({}));
      await secrets.send(new DescribeSecretCommand({ SecretId }));
      await secrets.send(new ListSecretsCommand({}));
      await secrets.send(new GetSecretValueCommand({ SecretId }));
    });
    expect(found).toMatchObject([{ operation: 'GetSecretValue', service: 'secretsmanager', status: 200 }]);
  });

  it('holds no payload, no secret and no query', async () => {
    await cloud
      .iotData()
      .send(new PublishCommand({ topic: 'a/b', payload: Buffer.from('my-payload'), qos: 1 }));
    await cloud.secrets().send(new CreateSecretCommand({ Name: 'held', SecretString: 'my-secret' }));
    const text = JSON.stringify(await all());
    expect(text).toContain('/topics/a');
    for (const word of ['my-payload', 'my-secret', 'qos=', cloud.credentials.secretAccessKey]) {
      expect(text).not.toContain(word);
    }
  });

  it('has none of those who could not prove to be somebody', async () => {
    const { accessKeyId, secretAccessKey } = cloud.credentials;
    const found = await entriesOf(async () => {
      for (const credentials of [
        { accessKeyId, secretAccessKey: 'wrong' },
        { accessKeyId: 'AKIAUNKNOWN', secretAccessKey },
        { accessKeyId, secretAccessKey, sessionToken: 'none' },
      ]) {
        const iot = new IoTClient({ ...cloud.clientConfig, credentials });
        const refused = await refusalOf(iot.send(new CreateThingCommand({ thingName: 'no' })));
        expect(refused.status).toBe(403);
        iot.destroy();
      }
      const unsigned = await fetch(`${cloud.url}/things/no`, { method: 'POST', body: '{}' });
      expect(unsigned.status).toBe(403);
      const options = await fetch(`${cloud.url}/things/no`, { method: 'OPTIONS' });
      expect(options.status).toBe(403);
    });
    expect(found).toEqual([]);
  });

  it('counts as a write whatever is not known to read', () => {
    const reading = cloud.operations().filter(({ isReading }) => isReading);
    expect(reading.map(({ name }) => name).sort()).toEqual([
      'DescribeSecret',
      'GetCallerIdentity',
      'ListAttachedPolicies',
      'ListSecretVersionIds',
      'ListSecrets',
      'ListTargetsForPolicy',
    ]);
    const named = /^(Get|List|Describe)/;
    for (const { name, method } of cloud.operations()) {
      if (method === 'GET') expect([name, named.test(name)]).toEqual([name, true]);
    }
  });

  it('forgets what is old, and no more', async () => {
    const [entry] = await all();
    if (!entry) throw new Error('no entry');
    const old = new Date(Date.now() - 11 * 24 * 60 * 60 * 1000).toISOString();
    await cloud.store.audit.add({ ...entry, requestId: 'old', at: old });
    const count = (await all()).length;
    const keeper = new AuditKeeper(cloud.store.audit, 10, silentLogger());
    await keeper.start();
    await keeper.stop();
    const left = await all();
    expect(left).toHaveLength(count - 1);
    expect(left.map(({ requestId }) => requestId)).not.toContain('old');
  });

  it('names nobody where the cloud runs without signatures', async () => {
    const open = await Cloud.start({ auth: 'none' });
    try {
      await open.iot().send(new CreateThingCommand({ thingName: 't' }));
      expect(await open.store.audit.list({ limit: 9 })).toMatchObject([
        { operation: 'CreateThing', principal: 'anonymous', accessKeyId: '-' },
      ]);
    } finally {
      await open.stop();
    }
  });
});

/** The compiled program of the same build as this test. */
const PROGRAM = resolve(
  dirname(fileURLToPath(import.meta.url)),
  '../../greengrass/cloud/bin/greengrass-cloud.js',
);
const ready = z.object({
  pid: z.number(),
  api: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
});
const accessKey = z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), description: z.string() });

describe('beside a running cloud', () => {
  let folder = '';
  let child: ChildProcess | undefined;
  let info: z.output<typeof ready>;
  const clients: IoTClient[] = [];

  async function begin(): Promise<void> {
    const file = join(folder, 'ready.json');
    const ports = ['--api-port', '0', '--mqtt-port', '0', '--https-port', '0', '--log-level', 'error'];
    const made = await start(
      process.execPath,
      [PROGRAM, 'start', '--data', join(folder, 'data'), '--ready-file', file, ...ports],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    child = made;
    info = await waitFor(
      async () => {
        const found = ready.parse(JSON.parse(await readFile(file, 'utf8')));
        return found.pid === made.pid ? found : undefined;
      },
      { timeoutMs: 20_000, what: 'the ready file' },
    );
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gg-audit-'));
    await begin();
  });
  afterAll(async () => {
    for (const client of clients) client.destroy();
    if (child) await stop(child, 5000);
    await rm(folder, { recursive: true, force: true });
  });

  const cloudCommand = (...args: string[]) =>
    run(process.execPath, [PROGRAM, ...args, '--data', join(folder, 'data')], { env: process.env });

  async function printed(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await cloudCommand(...args);
    if (code !== 0) throw new Error(`${code}: ${stderr}`);
    return stdout;
  }
  async function audit(...args: string[]): Promise<AuditEntry[]> {
    const lines = (await printed('audit', ...args)).split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as AuditEntry);
  }
  function client(credentials: { accessKeyId: string; secretAccessKey: string } = info): IoTClient {
    const { accessKeyId, secretAccessKey } = credentials;
    const made = new IoTClient({
      endpoint: info.api,
      region: 'us-east-1',
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: 1,
    });
    clients.push(made);
    return made;
  }
  async function newKey(...args: string[]) {
    return accessKey.parse(JSON.parse(await printed('key', 'create', ...args)));
  }

  it('a key is made, used, listed without its secret, put out of use, brought back and deleted', async () => {
    const key = await newKey('--description', 'build server');
    expect(key.description).toBe('build server');
    const iot = client(key);
    const ask = () => iot.send(new ListThingsCommand({}));
    const refused = {
      status: 403,
      type: 'UnrecognizedClientException',
      message: 'The security token included in the request is invalid.',
    };
    await ask();
    const list = await printed('key', 'list');
    expect(list).not.toContain(key.secretAccessKey);
    expect(list).not.toContain('secretAccessKey');
    expect(JSON.parse(list)).toContainEqual({
      accessKeyId: key.accessKeyId,
      createdAt: expect.any(String),
      status: 'Active',
      description: 'build server',
    });
    await printed('key', 'deactivate', key.accessKeyId);
    expect(await refusalOf(ask())).toEqual(refused);
    await client().send(new ListThingsCommand({}));
    await printed('key', 'activate', key.accessKeyId);
    await ask();
    await printed('key', 'delete', key.accessKeyId);
    expect(await refusalOf(ask())).toEqual(refused);
    expect(await printed('key', 'list')).not.toContain(key.accessKeyId);
  }, 120_000);

  it('a key that is not there is said to be so', async () => {
    for (const verb of ['deactivate', 'activate', 'delete']) {
      const { code, stderr } = await cloudCommand('key', verb, 'AKIANONE');
      expect([code, stderr]).toEqual([
        1,
        'greengrass-cloud: there is no access key AKIANONE: greengrass-cloud key list shows them\n',
      ]);
    }
  }, 120_000);

  it('the log is printed, whole and by its filters', async () => {
    const [first, second] = [client(), client(await newKey())];
    await first.send(new CreateThingCommand({ thingName: 'one' }));
    await second.send(new CreateThingCommand({ thingName: 'two' }));
    await second.send(new DeleteThingCommand({ thingName: 'two' }));
    const entries = await audit();
    expect(entries.map(({ operation, resource }) => `${operation} ${resource}`).slice(-3)).toEqual([
      'CreateThing /things/one',
      'CreateThing /things/two',
      'DeleteThing /things/two',
    ]);
    expect(new Set(entries.slice(-3).map(({ accessKeyId }) => accessKeyId)).size).toBe(2);
    expect((await audit('--operation', 'DeleteThing')).map(({ resource }) => resource)).toEqual([
      '/things/two',
    ]);
    expect(await audit('--limit', '1')).toEqual(entries.slice(-1));
    const since = entries.at(-1)?.at ?? '';
    expect(await audit('--since', since)).toEqual(entries.filter(({ at }) => at >= since));
    expect(await audit('--since', '2999-01-01T00:00:00Z')).toEqual([]);
    // Keys are the business of whoever sits at the machine.
    const { principal = '' } = entries.at(-1) ?? {};
    expect(await audit('--principal', principal)).toEqual(
      entries.filter(({ service }) => service !== 'greengrass-cloud'),
    );
    const made = entries.filter(({ operation }) => operation === 'CreateAccessKey').at(-1);
    expect(made?.principal).toMatch(/^local:/);
    expect(await audit('--principal', 'nobody')).toEqual([]);
    expect(await audit('--principal', "' OR 1=1 --")).toEqual([]);
  }, 120_000);

  it('wrong options end with 2 and a line that says which', async () => {
    for (const [args, line] of [
      [['audit', '--since', 'yesterday'], 'since: must be a time such as'],
      [['audit', '--limit', '0'], 'limit: must be a number from 1 on'],
      [['audit', '--nothing'], "unknown option '--nothing'"],
      [['key', 'create', '--description', 'x'.repeat(257)], 'description:'],
      [['key', 'delete'], "missing required argument 'accessKeyId'"],
      [['key', 'nothing'], "unknown command 'nothing'"],
    ] as const) {
      const { code, stdout, stderr } = await cloudCommand(...args);
      expect([args, code, stdout]).toEqual([args, 2, '']);
      expect(stderr).toContain(line);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
    const bare = await run(process.execPath, [PROGRAM, 'audit'], { env: process.env });
    expect(bare.code).toBe(2);
    expect(bare.stderr).toContain("required option '--data <dir>' not specified");
  }, 120_000);

  it('a folder without a cloud is left as it is', async () => {
    const { code, stderr } = await run(
      process.execPath,
      [PROGRAM, 'key', 'list', '--data', join(folder, 'other')],
      { env: process.env },
    );
    expect(code).toBe(1);
    expect(stderr).toContain(`${join(folder, 'other', 'cloud.db')} does not exist`);
  }, 120_000);

  it('an entry is there when the answer is, also where the cloud is killed at that moment', async () => {
    for (let round = 0; round < 3; round++) {
      const { $metadata } = await client().send(new CreateThingCommand({ thingName: `kill-${round}` }));
      child?.kill('SIGKILL');
      if (child) await waitForExit(child);
      const { store } = await openStore({ dataFolder: join(folder, 'data'), isBeside: true });
      const last = (await store.audit.list({ limit: 1 }))[0];
      await store.close();
      expect(last).toMatchObject({
        requestId: $metadata.requestId,
        operation: 'CreateThing',
        resource: `/things/kill-${round}`,
        status: 200,
      });
      await begin();
    }
  }, 120_000);
});
