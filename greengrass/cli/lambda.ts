/** `gg lambda publish FOLDER`: creates or updates the function, and publishes a version. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateFunctionCommand,
  GetFunctionCommand,
  PublishVersionCommand,
  type Runtime,
  UpdateFunctionCodeCommand,
  UpdateFunctionConfigurationCommand,
} from '@aws-sdk/client-lambda';
import { checkJson, z } from '../lib/check.js';
import { type Clients, present } from './clients.js';
import { type BundledSdk, packLambda } from './pack-lambda.js';

const manifest = z.object({
  functionName: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/),
  runtime: z.string(),
  handler: z.string(),
  pinned: z.boolean().default(false),
  encoding: z.enum(['json', 'binary']).default('json'),
  memoryKb: z.number().int().default(16384),
  timeoutS: z.number().int().default(3),
});
export type LambdaManifest = z.output<typeof manifest>;

/** `lambda.json` of a function's folder. Throws CheckError. */
export function readManifest(folder: string): LambdaManifest {
  const file = join(folder, 'lambda.json');
  return checkJson(manifest, readFileSync(file, 'utf8'), file);
}

export interface PublishedLambda {
  /** With the version number. */
  readonly functionArn: string;
  readonly manifest: LambdaManifest;
}

/** `overrides`: another name or handler for the same folder. */
export async function publishLambda(
  { lambda }: Clients,
  folder: string,
  overrides: Partial<Pick<LambdaManifest, 'functionName' | 'handler'>> = {},
): Promise<PublishedLambda> {
  const settings = { ...readManifest(folder), ...overrides };
  const zip = await packLambda(folder, sdkOf(settings.runtime));
  const configuration = {
    FunctionName: settings.functionName,
    Runtime: settings.runtime as Runtime,
    Handler: settings.handler,
    Role: 'arn:aws:iam::000000000000:role/not-used-on-a-core',
    Timeout: settings.timeoutS,
  };
  const exists = await lambda.send(new GetFunctionCommand({ FunctionName: settings.functionName })).then(
    () => true,
    (error: Error) => {
      if (error.name === 'ResourceNotFoundException') return false;
      throw error;
    },
  );
  if (exists) {
    await lambda.send(new UpdateFunctionConfigurationCommand(configuration));
    await lambda.send(new UpdateFunctionCodeCommand({ FunctionName: settings.functionName, ZipFile: zip }));
  } else {
    await lambda.send(new CreateFunctionCommand({ ...configuration, Code: { ZipFile: zip } }));
  }
  const version = await lambda.send(new PublishVersionCommand({ FunctionName: settings.functionName }));
  return { functionArn: present(version.FunctionArn, 'FunctionArn'), manifest: settings };
}

function sdkOf(runtime: string): BundledSdk {
  if (runtime.startsWith('python')) return 'python';
  return runtime.startsWith('nodejs') ? 'nodejs' : 'none';
}
