import { createHash } from 'node:crypto';
import {
  CreateAliasCommand,
  CreateFunctionCommand,
  type CreateFunctionCommandInput,
  DeleteAliasCommand,
  DeleteFunctionCommand,
  GetAliasCommand,
  GetFunctionCommand,
  GetFunctionConfigurationCommand,
  type LambdaClient,
  ListAliasesCommand,
  ListFunctionsCommand,
  ListVersionsByFunctionCommand,
  PublishVersionCommand,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { Cloud, refusalOf, zipOf } from './harness.js';

let cloud: Cloud;
let lambda: LambdaClient;
let zip: Buffer;
beforeAll(async () => {
  cloud = await Cloud.start();
  lambda = cloud.lambda();
  zip = await zipOf({ 'a.py': 'def b(event, context): pass' });
});
afterAll(async () => {
  lambda.destroy();
  await cloud.stop();
});

function create(FunctionName: string, fields: Partial<CreateFunctionCommandInput> = {}) {
  const input: CreateFunctionCommandInput = {
    FunctionName,
    Runtime: 'python3.8',
    Handler: 'a.b',
    Role: 'arn:aws:iam::123456789012:role/lambda',
    Code: { ZipFile: zip },
    ...fields,
  };
  return lambda.send(new CreateFunctionCommand(input));
}

const arnOf = (rest: string) => `arn:aws:lambda:us-east-1:${cloud.installation.accountId}:function:${rest}`;

it('a function is made with Lambda’s defaults, and its code comes back from its address', async () => {
  const made = await create('first', { Environment: { Variables: { A: '1' } }, Timeout: 25 });
  expect(made.$metadata.httpStatusCode).toBe(201);
  expect(made).toMatchObject({
    FunctionName: 'first',
    FunctionArn: arnOf('first'),
    Version: '$LATEST',
    MemorySize: 128,
    Timeout: 25,
    CodeSize: zip.length,
    CodeSha256: createHash('sha256').update(zip).digest('base64'),
    Environment: { Variables: { A: '1' } },
    LastModified: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$/),
    State: 'Active',
  });
  const got = await lambda.send(new GetFunctionCommand({ FunctionName: arnOf('first') }));
  const location = got.Code?.Location ?? '';
  const fetched = await fetch(location);
  expect(fetched.headers.get('content-type')).toBe('application/zip');
  expect(Buffer.from(await fetched.arrayBuffer()).equals(zip)).toBe(true);
  const forged = await fetch(location.replace(/proof=.{5}/, 'proof=AAAAA'));
  expect(forged.status).toBe(403);
  const later = await fetch(location.replace(/expires=\d+/, 'expires=9999999999'));
  expect(later.status).toBe(403);
  expect(await refusalOf(create('first'))).toMatchObject({ status: 409, type: 'ResourceConflictException' });
});

it('versions are published where something changed, and never change again', async () => {
  await create('versioned', { Publish: true, Description: 'one' });
  const same = await lambda.send(new PublishVersionCommand({ FunctionName: 'versioned' }));
  expect(same).toMatchObject({ Version: '1', FunctionArn: arnOf('versioned:1') });
  const other = await zipOf({ 'a.py': 'changed' });
  const updated = await lambda.send(
    new UpdateFunctionCodeCommand({ FunctionName: 'versioned', ZipFile: other, Publish: true }),
  );
  expect(updated.Version).toBe('2');
  await lambda.send(
    new UpdateFunctionConfigurationCommand({ FunctionName: 'versioned', Handler: 'a.c', MemorySize: 256 }),
  );
  const first = await lambda.send(
    new GetFunctionConfigurationCommand({ FunctionName: 'versioned', Qualifier: '1' }),
  );
  expect(first).toMatchObject({ Handler: 'a.b', MemorySize: 128, FunctionArn: arnOf('versioned:1') });
  const { Versions = [] } = await lambda.send(
    new ListVersionsByFunctionCommand({ FunctionName: 'versioned' }),
  );
  expect(Versions.map(({ Version }) => Version)).toEqual(['$LATEST', '1', '2']);
  const stale = new PublishVersionCommand({ FunctionName: 'versioned', CodeSha256: 'wrong' });
  expect(await refusalOf(lambda.send(stale))).toMatchObject({ type: 'InvalidParameterValueException' });
  const revision = new PublishVersionCommand({ FunctionName: 'versioned', RevisionId: 'wrong' });
  expect(await refusalOf(lambda.send(revision))).toMatchObject({ status: 412 });
});

it('aliases point to versions, and keep those from deletion', async () => {
  await create('aliased', { Publish: true });
  const FunctionName = 'aliased';
  const made = await lambda.send(
    new CreateAliasCommand({ FunctionName, Name: 'prod', FunctionVersion: '1' }),
  );
  expect(made).toMatchObject({ AliasArn: arnOf('aliased:prod'), Name: 'prod', FunctionVersion: '1' });
  expect(
    await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: 'aliased:prod' })),
  ).toMatchObject({ Version: '1', FunctionArn: arnOf('aliased:prod') });
  const missing = new CreateAliasCommand({ FunctionName, Name: 'x', FunctionVersion: '9' });
  expect(await refusalOf(lambda.send(missing))).toEqual({
    status: 404,
    type: 'ResourceNotFoundException',
    message: `Function not found: ${arnOf('aliased:9')}`,
  });
  const numeric = new CreateAliasCommand({ FunctionName, Name: '12', FunctionVersion: '1' });
  expect(await refusalOf(lambda.send(numeric))).toMatchObject({ status: 400 });
  const held = new DeleteFunctionCommand({ FunctionName, Qualifier: '1' });
  expect(await refusalOf(lambda.send(held))).toMatchObject({ status: 409 });
  await lambda.send(new UpdateAliasCommand({ FunctionName, Name: 'prod', FunctionVersion: '$LATEST' }));
  expect((await lambda.send(new GetAliasCommand({ FunctionName, Name: 'prod' }))).FunctionVersion).toBe(
    '$LATEST',
  );
  expect((await lambda.send(new ListAliasesCommand({ FunctionName }))).Aliases).toHaveLength(1);
  await lambda.send(held);
  await lambda.send(new DeleteAliasCommand({ FunctionName, Name: 'prod' }));
  expect(await refusalOf(lambda.send(new GetAliasCommand({ FunctionName, Name: 'prod' })))).toEqual({
    status: 404,
    type: 'ResourceNotFoundException',
    message: `Cannot find alias arn: ${arnOf('aliased:prod')}`,
  });
});

it('functions are listed, alone or with their versions, and deleted', async () => {
  await create('listed', { Publish: true });
  const { Functions = [] } = await lambda.send(new ListFunctionsCommand({}));
  expect(Functions.filter((one) => one.FunctionName === 'listed')).toHaveLength(1);
  const all = await lambda.send(new ListFunctionsCommand({ FunctionVersion: 'ALL' }));
  expect(all.Functions?.filter((one) => one.FunctionName === 'listed')).toHaveLength(2);
  const gone = await lambda.send(new DeleteFunctionCommand({ FunctionName: 'listed' }));
  expect(gone.$metadata.httpStatusCode).toBe(204);
  expect(await refusalOf(lambda.send(new GetFunctionCommand({ FunctionName: 'listed' })))).toMatchObject({
    status: 404,
    message: `Function not found: ${arnOf('listed')}`,
  });
});

it('what is no zip, or one that climbs out, is refused', async () => {
  const climbing = Buffer.from(await zipOf({ 'aa/bb.py': 'x' }));
  for (let at = climbing.indexOf('aa/'); at >= 0; at = climbing.indexOf('aa/', at + 1))
    climbing.write('../', at);
  for (const ZipFile of [
    Buffer.from('no zip'),
    climbing,
    await zipOf({}),
    zip.subarray(0, zip.length - 10),
  ]) {
    expect(await refusalOf(create('bad', { Code: { ZipFile } }))).toMatchObject({
      status: 400,
      type: 'InvalidParameterValueException',
      message: expect.stringContaining('Could not unzip uploaded file'),
    });
  }
  expect(await refusalOf(create('bad', { Code: { S3Bucket: 'b', S3Key: 'k' } }))).toMatchObject({
    status: 400,
    message: expect.stringContaining('ZipFile'),
  });
  const other = 'arn:aws:lambda:us-east-1:999999999999:function:first';
  expect(await refusalOf(lambda.send(new GetFunctionCommand({ FunctionName: other })))).toMatchObject({
    status: 404,
  });
});

it('V1’s executables are a runtime too', async () => {
  const made = await create('binary', {
    Runtime: 'arn:aws:greengrass:::runtime/function/executable' as 'nodejs',
  });
  expect(made.Runtime).toBe('arn:aws:greengrass:::runtime/function/executable');
});
