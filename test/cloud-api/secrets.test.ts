import { randomBytes, randomUUID } from 'node:crypto';
import { access, constants, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  RestoreSecretCommand,
  type SecretsManagerClient,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateSecretCommand,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import AWS from 'aws-sdk';
import fc from 'fast-check';
import { moveStage, withVersion } from '../../greengrass/cloud/api/secret-stages.js';
import { openVault } from '../../greengrass/cloud/store/master-key.js';
import { openStore } from '../../greengrass/cloud/store/open-store.js';
import type { SecretVersion } from '../../greengrass/cloud/store/secrets.js';
import { run } from '../../greengrass/lib/subprocess.js';
import { Vault } from '../../greengrass/lib/vault.js';
import { Cloud, refusalOf } from './harness.js';

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';

const AWS_COMMAND = '/usr/bin/aws';
const hasAws = await access(AWS_COMMAND, constants.X_OK).then(
  () => true,
  () => false,
);
const DAY_MS = 24 * 60 * 60 * 1000;

let cloud: Cloud;
let secrets: SecretsManagerClient;
beforeAll(async () => {
  cloud = await Cloud.start();
  secrets = cloud.secrets();
});
afterAll(async () => {
  secrets.destroy();
  await cloud.stop();
});

async function create(SecretString = 'one'): Promise<{ ARN: string; Name: string; VersionId: string }> {
  const made = await secrets.send(new CreateSecretCommand({ Name: `s/${randomUUID()}`, SecretString }));
  return { ARN: made.ARN ?? '', Name: made.Name ?? '', VersionId: made.VersionId ?? '' };
}
const put = (SecretId: string, SecretString: string, more: object = {}) =>
  secrets.send(new PutSecretValueCommand({ SecretId, SecretString, ...more }));
const get = (SecretId: string, more: object = {}) =>
  secrets.send(new GetSecretValueCommand({ SecretId, ...more }));
const describeSecret = (SecretId: string) => secrets.send(new DescribeSecretCommand({ SecretId }));

describe('a secret', () => {
  it('is made, read, described, changed and tagged', async () => {
    const Name = `plain/${randomUUID()}`;
    const made = await secrets.send(
      new CreateSecretCommand({
        Name,
        Description: 'd',
        KmsKeyId: 'alias/k',
        SecretString: '{"user":"grün"}',
        Tags: [{ Key: 'a', Value: 'b' }],
      }),
    );
    expect(made.ARN).toMatch(
      new RegExp(`^arn:aws:secretsmanager:us-east-1:${cloud.installation.accountId}:secret:${Name}-\\w{6}$`),
    );
    const value = await get(Name);
    expect(value).toMatchObject({
      ARN: made.ARN,
      Name,
      VersionId: made.VersionId,
      SecretString: '{"user":"grün"}',
      VersionStages: ['AWSCURRENT'],
    });
    expect(value.SecretBinary).toBeUndefined();
    expect(value.CreatedDate).toBeInstanceOf(Date);
    await secrets.send(new UpdateSecretCommand({ SecretId: Name, Description: 'e' }));
    await secrets.send(
      new TagResourceCommand({
        SecretId: Name,
        Tags: [
          { Key: 'a', Value: 'c' },
          { Key: 'x', Value: '' },
        ],
      }),
    );
    await secrets.send(new UntagResourceCommand({ SecretId: Name, TagKeys: ['x', 'none'] }));
    const described = await describeSecret(made.ARN ?? '');
    expect(described).toMatchObject({
      ARN: made.ARN,
      Name,
      Description: 'e',
      KmsKeyId: 'alias/k',
      Tags: [{ Key: 'a', Value: 'c' }],
      VersionIdsToStages: { [made.VersionId ?? '']: ['AWSCURRENT'] },
    });
    expect(described.LastAccessedDate?.toISOString()).toMatch(/T00:00:00.000Z$/);
    expect(described.DeletedDate).toBeUndefined();
  });

  it('holds bytes as they are', async () => {
    const bytes = Uint8Array.from(randomBytes(4096));
    const Name = `bytes/${randomUUID()}`;
    await secrets.send(new CreateSecretCommand({ Name, SecretBinary: bytes }));
    const value = await get(Name);
    expect(Buffer.from(value.SecretBinary ?? [])).toEqual(Buffer.from(bytes));
    expect(value.SecretString).toBeUndefined();
  });

  it('is found by its ARN without the last six characters, and by no other part of it', async () => {
    const { ARN, Name } = await create();
    expect((await get(ARN.slice(0, -7))).Name).toBe(Name);
    for (const id of [ARN.slice(0, -1), ARN.slice(0, -6), Name.slice(0, -1), `${ARN}x`]) {
      expect(await refusalOf(get(id))).toEqual({
        status: 400,
        type: 'ResourceNotFoundException',
        message: "Secrets Manager can't find the specified secret.",
      });
    }
    // Another account's, another region's.
    const foreign = ARN.replace(cloud.installation.accountId, '999999999999').slice(0, -7);
    expect((await refusalOf(get(foreign))).type).toBe('ResourceNotFoundException');
    expect((await refusalOf(get(ARN.replace('us-east-1', 'eu-west-1').slice(0, -7)))).type).toBe(
      'ResourceNotFoundException',
    );
  });

  it('may be made without a value, which then is asked for in vain', async () => {
    const Name = `empty/${randomUUID()}`;
    const made = await secrets.send(new CreateSecretCommand({ Name }));
    expect(made.VersionId).toBeUndefined();
    expect(await refusalOf(get(Name))).toEqual({
      status: 400,
      type: 'ResourceNotFoundException',
      message: "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
    });
    // The first value is the current one, whatever it is called.
    expect((await put(Name, 'x', { VersionStages: ['own'] })).VersionStages?.sort()).toEqual([
      'AWSCURRENT',
      'own',
    ]);
    expect((await get(Name)).SecretString).toBe('x');
  });

  it('keeps its name to itself', async () => {
    const { Name } = await create();
    expect(await refusalOf(secrets.send(new CreateSecretCommand({ Name, SecretString: 'two' })))).toEqual({
      status: 400,
      type: 'ResourceExistsException',
      message: `The operation failed because the secret ${Name} already exists.`,
    });
  });

  it('is refused where a rule of form is broken, with the member and its rule', async () => {
    const { Name: SecretId } = await create();
    const long = 'x'.repeat(65_537);
    const tags = (Key: string) => [{ Key, Value: 'v' }];
    const cases: ReadonlyArray<readonly [() => Promise<unknown>, RegExp]> = [
      [() => secrets.send(new CreateSecretCommand({ Name: 'a b' })), /Name: must be 1 to 512 characters/],
      [() => secrets.send(new CreateSecretCommand({ Name: 'a'.repeat(513) })), /Name: must be 1 to 512/],
      [
        () => secrets.send(new CreateSecretCommand({ Name: 'a', Tags: tags('aws:x') })),
        /Tags\.0\.Key: keys that/,
      ],
      [() => put(SecretId, long), /SecretString: must have at most 65536 bytes/],
      [() => put(SecretId, 'ü'.repeat(32_769)), /SecretString: must have at most 65536 bytes/],
      [
        () => secrets.send(new PutSecretValueCommand({ SecretId, SecretBinary: Buffer.alloc(65_537) })),
        /SecretBinary: must have at most 65536 bytes/,
      ],
      [() => put(SecretId, 'x', { ClientRequestToken: 'short' }), /ClientRequestToken: must be 32 to 64/],
      [
        () => put(SecretId, 'x', { SecretBinary: Buffer.from('x') }),
        /both a SecretString and a SecretBinary/,
      ],
      [
        () => put(SecretId, 'x', { VersionStages: Array.from({ length: 21 }, (_, i) => `l${i}`) }),
        /at most 20/,
      ],
      [
        () => secrets.send(new DeleteSecretCommand({ SecretId, RecoveryWindowInDays: 6 })),
        /RecoveryWindowInDays value must be between 7 and 30 days \(inclusive\)/,
      ],
      [
        () => secrets.send(new DeleteSecretCommand({ SecretId, RecoveryWindowInDays: 31 })),
        /RecoveryWindowInDays value must be between 7 and 30 days \(inclusive\)/,
      ],
      [
        () =>
          secrets.send(
            new DeleteSecretCommand({ SecretId, RecoveryWindowInDays: 7, ForceDeleteWithoutRecovery: true }),
          ),
        /ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays/,
      ],
      [
        () => secrets.send(new ListSecretsCommand({ NextToken: 'none' })),
        /NextToken: is not a token of this list/,
      ],
    ];
    for (const [request, message] of cases) {
      expect(await refusalOf(request())).toEqual({
        status: 400,
        type: 'InvalidParameterException',
        message: expect.stringMatching(message),
      });
    }
    expect(await refusalOf(secrets.send(new PutSecretValueCommand({ SecretId })))).toEqual({
      status: 400,
      type: 'InvalidRequestException',
      message: 'You must provide either SecretString or SecretBinary.',
    });
    expect((await put(SecretId, 'x'.repeat(65_536))).VersionId).toBeDefined();
  });
});

describe('staging labels', () => {
  it('AWSCURRENT moves on to the new value, AWSPREVIOUS follows', async () => {
    const { Name, VersionId: first } = await create('one');
    const { VersionId: second = '' } = await put(Name, 'two');
    const { VersionId: third = '' } = await put(Name, 'three');
    expect((await get(Name)).SecretString).toBe('three');
    expect((await get(Name, { VersionStage: 'AWSPREVIOUS' })).SecretString).toBe('two');
    expect((await get(Name, { VersionId: first })).SecretString).toBe('one');
    expect((await describeSecret(Name)).VersionIdsToStages).toEqual({
      [second]: ['AWSPREVIOUS'],
      [third]: ['AWSCURRENT'],
    });
    const list = (IncludeDeprecated: boolean) =>
      secrets.send(new ListSecretVersionIdsCommand({ SecretId: Name, IncludeDeprecated }));
    expect((await list(false)).Versions?.map(({ VersionId }) => VersionId).sort()).toEqual(
      [second, third].sort(),
    );
    expect((await list(true)).Versions).toHaveLength(3);
  });

  it('of its own stand where they are put, and move when the version they leave is named', async () => {
    const { Name, VersionId: first } = await create('one');
    const { VersionId: second = '' } = await put(Name, 'two', { VersionStages: ['blue'] });
    expect((await get(Name)).SecretString).toBe('one');
    expect((await get(Name, { VersionStage: 'blue' })).SecretString).toBe('two');
    const move = (VersionStage: string, more: object) =>
      secrets.send(new UpdateSecretVersionStageCommand({ SecretId: Name, VersionStage, ...more }));
    const refused = await refusalOf(move('blue', { MoveToVersionId: first }));
    expect(refused).toMatchObject({ status: 400, type: 'InvalidParameterException' });
    expect(refused.message).toContain(`Staging label blue is currently attached to version ${second}`);
    await move('blue', { MoveToVersionId: first, RemoveFromVersionId: second });
    expect((await get(Name, { VersionStage: 'blue' })).SecretString).toBe('one');
    await move('AWSCURRENT', { MoveToVersionId: second, RemoveFromVersionId: first });
    expect((await describeSecret(Name)).VersionIdsToStages).toEqual({
      [first]: ['blue', 'AWSPREVIOUS'],
      [second]: ['AWSCURRENT'],
    });
    await move('blue', { RemoveFromVersionId: first });
    expect((await refusalOf(get(Name, { VersionStage: 'blue' }))).message).toBe(
      "Secrets Manager can't find the specified secret value for staging label: blue",
    );
    expect((await refusalOf(move('AWSCURRENT', { RemoveFromVersionId: second }))).message).toMatch(
      /You can only move staging label AWSCURRENT/,
    );
    const unknown = randomUUID();
    expect((await refusalOf(move('x', { MoveToVersionId: unknown }))).type).toBe('ResourceNotFoundException');
    expect((await refusalOf(get(Name, { VersionId: unknown }))).message).toBe(
      `Secrets Manager can't find the specified secret value for VersionId: ${unknown}`,
    );
    expect(await refusalOf(get(Name, { VersionId: first, VersionStage: 'AWSCURRENT' }))).toEqual({
      status: 400,
      type: 'InvalidRequestException',
      message: 'You provided a VersionStage that is not associated to the provided VersionId.',
    });
  });

  it('stand at one version each, and AWSCURRENT always at one, whatever is done', () => {
    const label = fc.constantFrom('AWSCURRENT', 'AWSPREVIOUS', 'a', 'b');
    const step = fc.oneof(
      fc.record({ add: fc.array(label, { minLength: 1, maxLength: 4 }) }),
      fc.record({ move: label, to: fc.option(fc.nat(120), { nil: undefined }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 130 }), (steps) => {
        const first: SecretVersion = versionOf('0', ['AWSCURRENT']);
        let versions = withVersion([], first);
        for (const [index, one] of steps.entries()) {
          const before = versions;
          if ('add' in one) versions = withVersion(versions, versionOf(`${index + 1}`, one.add));
          else {
            const to = one.to === undefined ? undefined : versions[one.to % versions.length]?.versionId;
            // The API refuses to take AWSCURRENT away.
            if (one.move !== 'AWSCURRENT' || to !== undefined) versions = moveStage(versions, one.move, to);
          }
          const labels = versions.flatMap(({ stages }) => [...stages]);
          expect(new Set(labels).size).toBe(labels.length);
          expect(labels).toContain('AWSCURRENT');
          expect(versions.length).toBeLessThanOrEqual(100);
          const was = before.find(({ stages }) => stages.includes('AWSCURRENT'));
          const is = versions.find(({ stages }) => stages.includes('AWSCURRENT'));
          const left = versions.find(({ versionId }) => versionId === was?.versionId);
          const tookPrevious = 'add' in one && one.add.includes('AWSPREVIOUS');
          if (is?.versionId !== was?.versionId && !tookPrevious)
            expect(left?.stages).toContain('AWSPREVIOUS');
        }
      }),
      { numRuns: 200 },
    );
  });
});

function versionOf(versionId: string, stages: readonly string[]): SecretVersion {
  return { versionId, createdAt: '2026-01-01T00:00:00.000Z', stages, isBinary: false, sealed: '' };
}

describe('a request that is made again', () => {
  it('with the same token and value changes nothing; with another value it is refused', async () => {
    const ClientRequestToken = randomUUID();
    const Name = `again/${randomUUID()}`;
    const make = (SecretString: string) =>
      secrets.send(new CreateSecretCommand({ Name, SecretString, ClientRequestToken }));
    const made = await make('one');
    expect(made.VersionId).toBe(ClientRequestToken);
    expect(await make('one')).toMatchObject({ ARN: made.ARN, VersionId: ClientRequestToken });
    expect((await refusalOf(make('two'))).type).toBe('ResourceExistsException');
    const bytes = { Name, SecretBinary: Buffer.from('one'), ClientRequestToken };
    expect((await refusalOf(secrets.send(new CreateSecretCommand(bytes)))).type).toBe(
      'ResourceExistsException',
    );

    const token = { ClientRequestToken: randomUUID() };
    await put(Name, 'two', token);
    await put(Name, 'three');
    expect((await put(Name, 'two', token)).VersionStages).toEqual(['AWSPREVIOUS']);
    expect((await get(Name)).SecretString).toBe('three');
    expect(await refusalOf(put(Name, 'other', token))).toMatchObject({
      type: 'ResourceExistsException',
      message: expect.stringContaining(token.ClientRequestToken),
    });
    expect(
      await secrets.send(new UpdateSecretCommand({ SecretId: Name, SecretString: 'two', ...token })),
    ).toMatchObject({ VersionId: token.ClientRequestToken });
  });

  it('at the same time, many times over, makes one version', async () => {
    const { Name } = await create();
    const token = { ClientRequestToken: randomUUID() };
    await Promise.all(Array.from({ length: 10 }, () => put(Name, 'same', token)));
    expect(Object.keys((await describeSecret(Name)).VersionIdsToStages ?? {})).toHaveLength(2);
    await Promise.all(Array.from({ length: 10 }, (_, i) => put(Name, `v${i}`)));
    const { VersionIdsToStages } = await describeSecret(Name);
    expect(
      Object.values(VersionIdsToStages ?? {})
        .flat()
        .sort(),
    ).toEqual(['AWSCURRENT', 'AWSPREVIOUS']);
  });
});

describe('a deletion', () => {
  const remove = (SecretId: string, more: object = {}) =>
    secrets.send(new DeleteSecretCommand({ SecretId, ...more }));
  const restore = (SecretId: string) => secrets.send(new RestoreSecretCommand({ SecretId }));
  const MARKED = {
    status: 400,
    type: 'InvalidRequestException',
    message: "You can't perform this operation on the secret because it was marked for deletion.",
  };

  it('waits for its window, in which the secret is described and restored but not used', async () => {
    const { ARN, Name } = await create();
    const before = Date.now();
    const { DeletionDate } = await remove(Name, { RecoveryWindowInDays: 7 });
    expect(Math.abs((DeletionDate?.getTime() ?? 0) - before - 7 * DAY_MS)).toBeLessThan(60_000);
    const uses = [
      get(Name),
      put(Name, 'x'),
      secrets.send(new UpdateSecretCommand({ SecretId: ARN, Description: 'x' })),
      secrets.send(new TagResourceCommand({ SecretId: Name, Tags: [] })),
      secrets.send(new ListSecretVersionIdsCommand({ SecretId: Name })),
      remove(Name),
    ];
    for (const refused of await Promise.all(uses.map(refusalOf))) expect(refused).toEqual(MARKED);
    expect((await refusalOf(secrets.send(new CreateSecretCommand({ Name })))).message).toBe(
      "You can't create this secret because a secret with this name is already scheduled for deletion.",
    );
    expect((await describeSecret(Name)).DeletedDate).toEqual(DeletionDate);
    expect(await restore(Name)).toMatchObject({ ARN, Name });
    expect((await get(Name)).SecretString).toBe('one');
    expect((await describeSecret(Name)).DeletedDate).toBeUndefined();
  });

  it('takes thirty days where no window is given', async () => {
    const { Name } = await create();
    const { DeletionDate } = await remove(Name);
    expect(Math.abs((DeletionDate?.getTime() ?? 0) - Date.now() - 30 * DAY_MS)).toBeLessThan(60_000);
  });

  it('is done when the window has passed, and the name is free again', async () => {
    for (const ask of [describeSecret, restore, get]) {
      const { ARN, Name } = await create();
      await remove(Name);
      await passWindow(ARN);
      expect((await refusalOf(ask(Name))).type).toBe('ResourceNotFoundException');
    }
    const { ARN, Name } = await create();
    await remove(Name);
    await passWindow(ARN);
    const listed = await listAll({ IncludePlannedDeletion: true });
    expect(listed.map((secret) => secret.Name)).not.toContain(Name);
    const again = await secrets.send(new CreateSecretCommand({ Name, SecretString: 'new' }));
    expect(again.ARN).not.toBe(ARN);
    expect((await get(Name)).SecretString).toBe('new');
    expect((await refusalOf(get(ARN))).type).toBe('ResourceNotFoundException');
  });

  async function passWindow(arn: string): Promise<void> {
    const secret = await cloud.store.secrets.find(arn);
    if (!secret) throw new Error('no such secret');
    await cloud.store.secrets.save({ ...secret, deletionAt: new Date(Date.now() - 1000).toISOString() });
  }

  it('that is forced is done at once, also of one that waits, and also twice', async () => {
    const { ARN, Name } = await create();
    await remove(Name);
    await remove(Name, { ForceDeleteWithoutRecovery: true });
    expect((await refusalOf(describeSecret(Name))).type).toBe('ResourceNotFoundException');
    expect((await refusalOf(restore(ARN))).type).toBe('ResourceNotFoundException');
    expect((await remove(Name, { ForceDeleteWithoutRecovery: true })).Name).toBe(Name);
    expect((await refusalOf(remove(Name))).type).toBe('ResourceNotFoundException');
    expect(await cloud.store.secrets.versions(ARN)).toEqual([]);
  });

  it('is not undone by those who read the secret while it is ordered', async () => {
    for (let round = 0; round < 10; round++) {
      const { Name } = await create();
      const results = await Promise.allSettled([get(Name), remove(Name), get(Name), get(Name)]);
      expect(results[1]?.status).toBe('fulfilled');
      expect((await describeSecret(Name)).DeletedDate).toBeDefined();
    }
  });
});

async function listAll(more: object = {}) {
  const found = [];
  let NextToken: string | undefined;
  do {
    const page = await secrets.send(
      new ListSecretsCommand({ ...more, ...(NextToken === undefined ? {} : { NextToken }) }),
    );
    found.push(...(page.SecretList ?? []));
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  return found;
}

describe('the list of secrets', () => {
  const prefix = `list-${randomUUID()}`;
  beforeAll(async () => {
    for (let i = 0; i < 7; i++) {
      await secrets.send(
        new CreateSecretCommand({
          Name: `${prefix}/${i}`,
          SecretString: `${i}`,
          Description: i % 2 ? 'odd one' : 'even one',
          Tags: [{ Key: `k${i}`, Value: 'all' }],
        }),
      );
    }
    await secrets.send(new DeleteSecretCommand({ SecretId: `${prefix}/6` }));
  });
  const named = { Key: 'name' as const, Values: [prefix] };
  const namesOf = (list: ReadonlyArray<{ Name?: string | undefined }>) =>
    list.map(({ Name }) => Name?.slice(prefix.length + 1)).sort();

  it('comes in pages, each secret once', async () => {
    const listed = await listAll({ MaxResults: 2, Filters: [named] });
    expect(namesOf(listed)).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(listed[0]).toMatchObject({ ARN: expect.stringContaining(prefix) });
    expect(Object.values(listed[0]?.SecretVersionsToStages ?? {})).toEqual([['AWSCURRENT']]);
  });

  it('shows those that wait for their deletion only where it is asked for', async () => {
    const listed = await listAll({ IncludePlannedDeletion: true, Filters: [named] });
    expect(namesOf(listed)).toHaveLength(7);
    expect(listed.find(({ Name }) => Name === `${prefix}/6`)?.DeletedDate).toBeDefined();
  });

  it('is filtered by name, description and tags, also by what must not be', async () => {
    const by = async (Key: string, ...Values: string[]) =>
      namesOf(await listAll({ Filters: [named, { Key, Values }] }));
    expect(await by('description', 'odd')).toEqual(['1', '3', '5']);
    expect(await by('description', '!odd')).toEqual(['0', '2', '4']);
    expect(await by('tag-key', 'k1', 'k2')).toEqual(['1', '2']);
    expect(await by('tag-value', 'all')).toHaveLength(6);
    expect(await by('all', 'k3')).toEqual(['3']);
    expect(await by('name', 'nothing')).toEqual([]);
    expect((await refusalOf(listAll({ Filters: [{ Key: 'colour', Values: ['x'] }] }))).type).toBe(
      'InvalidParameterException',
    );
  });
});

describe('at rest', () => {
  it('a value never stands in the clear in a file of the database, nor in the audit log', async () => {
    const value = `open-sesame-${randomUUID()}`;
    const bytes = randomBytes(32);
    const { Name } = await create(value);
    await secrets.send(new PutSecretValueCommand({ SecretId: Name, SecretBinary: bytes }));
    await get(Name, { VersionStage: 'AWSPREVIOUS' });
    const files = (await readdir(cloud.folder)).filter((file) => file.startsWith('cloud.db'));
    expect(files).toContain('cloud.db-wal');
    let all = '';
    for (const file of files) {
      const content = await readFile(join(cloud.folder, file));
      all += content.toString('latin1');
      for (const form of [Buffer.from(value), Buffer.from(Buffer.from(value).toString('base64')), bytes]) {
        expect(content.includes(form)).toBe(false);
      }
      expect(content.includes(bytes.toString('base64'))).toBe(false);
    }
    expect(all).toContain(Name);
  });

  it('a sealed value is bound to its secret and version, and shows that it was changed', () => {
    const vault = new Vault(randomBytes(32));
    const sealed = vault.seal('arn 1', Buffer.from('x'));
    expect(vault.open('arn 1', sealed).toString()).toBe('x');
    expect(vault.seal('arn 1', Buffer.from('x'))).not.toBe(sealed);
    expect(() => vault.open('arn 2', sealed)).toThrow();
    expect(() => new Vault(randomBytes(32)).open('arn 1', sealed)).toThrow();
    const bytes = Buffer.from(sealed, 'base64');
    for (const at of [0, 12, bytes.length - 1]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => vault.open('arn 1', changed.toString('base64'))).toThrow();
    }
    expect(() => vault.open('arn 1', bytes.subarray(0, 20).toString('base64'))).toThrow();
  });

  it('the key is made once, for its owner only; a missing, other or broken one is refused by name', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gg-vault-'));
    const { store } = await openStore({ dataFolder: folder });
    try {
      const file = join(folder, 'master.key');
      const sealed = (await openVault(file, store.settings)).seal('n', Buffer.from('v'));
      expect((await stat(file)).mode & 0o777).toBe(0o600);
      expect((await openVault(file, store.settings)).open('n', sealed).toString()).toBe('v');
      const key = await readFile(file, 'utf8');
      await rm(file);
      await expect(openVault(file, store.settings)).rejects.toThrow(`${file} is missing`);
      await expect(access(file)).rejects.toThrow('ENOENT');
      await writeFile(file, `${randomBytes(32).toString('base64')}\n`);
      await expect(openVault(file, store.settings)).rejects.toThrow(`${file} is not the master key`);
      await writeFile(file, 'short\n');
      await expect(openVault(file, store.settings)).rejects.toThrow(`${file}: must hold 32 bytes in base64`);
      await writeFile(file, key);
      expect((await openVault(file, store.settings)).open('n', sealed).toString()).toBe('v');
    } finally {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('clients of V1', () => {
  it('aws-sdk v2 makes, reads and deletes a secret, and sees the errors', async () => {
    const config = { endpoint: cloud.url, region: 'us-east-1', ...cloud.credentials, maxRetries: 0 };
    const v2 = new AWS.SecretsManager(config);
    const Name = `v2/${randomUUID()}`;
    const made = await v2.createSecret({ Name, SecretBinary: Buffer.from([0, 255]) }).promise();
    const value = await v2.getSecretValue({ SecretId: made.ARN ?? '' }).promise();
    expect(Buffer.from(value.SecretBinary as Uint8Array)).toEqual(Buffer.from([0, 255]));
    expect(value.CreatedDate).toBeInstanceOf(Date);
    await v2.deleteSecret({ SecretId: Name, ForceDeleteWithoutRecovery: true }).promise();
    await expect(v2.getSecretValue({ SecretId: Name }).promise()).rejects.toMatchObject({
      code: 'ResourceNotFoundException',
      statusCode: 400,
      message: "Secrets Manager can't find the specified secret.",
    });
  });

  (hasAws ? it : it.skip)(`the aws command (${AWS_COMMAND}) does the same`, async () => {
    const { accessKeyId, secretAccessKey } = cloud.credentials;
    const aws = async (...args: string[]) => {
      const result = await run(AWS_COMMAND, ['secretsmanager', ...args, '--endpoint-url', cloud.url], {
        env: {
          PATH: process.env.PATH ?? '',
          HOME: cloud.folder,
          AWS_ACCESS_KEY_ID: accessKeyId,
          AWS_SECRET_ACCESS_KEY: secretAccessKey,
          AWS_DEFAULT_REGION: 'us-east-1',
          AWS_DEFAULT_OUTPUT: 'json',
          AWS_PAGER: '',
        },
      });
      if (result.code !== 0) throw new Error(result.stderr.trim());
      return JSON.parse(result.stdout) as Record<string, unknown>;
    };
    const Name = `cli/${randomUUID()}`;
    await aws('create-secret', '--name', Name, '--secret-string', 'from the shell');
    expect((await aws('get-secret-value', '--secret-id', Name)).SecretString).toBe('from the shell');
    await aws('delete-secret', '--secret-id', Name, '--recovery-window-in-days', '7');
    await expect(aws('get-secret-value', '--secret-id', Name)).rejects.toThrow(
      "An error occurred (InvalidRequestException) when calling the GetSecretValue operation: You can't perform this operation on the secret because it was marked for deletion.",
    );
    await aws('restore-secret', '--secret-id', Name);
    expect((await aws('describe-secret', '--secret-id', Name)).Name).toBe(Name);
  });
});
