/** Runs gg: as a process of its own, or an API verb in this one, which is ten times as fast. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { runVerb } from '../../greengrass/cli/api/run.js';
import { splitVerb } from '../../greengrass/cli/api/split-verb.js';
import type { Cloud } from '../cloud-api/harness.js';

export const GG_PATH = fileURLToPath(new URL('../../greengrass/cli/gg.js', import.meta.url));

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export type Environment = Readonly<Record<string, string>>;

/** Where the cloud is and with whose keys, and nothing of the account that runs the tests. */
export function environmentOf(cloud: Cloud): Environment {
  const { accessKeyId, secretAccessKey } = cloud.credentials;
  return {
    AWS_ENDPOINT_URL: cloud.url,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    HOME: cloud.folder,
  };
}

export function runGg(env: Environment, ...args: string[]): Promise<Ended> {
  return run(process.execPath, [GG_PATH, ...args], env);
}

/**
 * An API verb as gg.ts runs it, in this process. Where the SDK reads the environment itself, for the keys, it reads that of
 * the test file: `useEnvironment` sets it.
 */
export async function ggHere(env: Environment, ...args: string[]): Promise<Ended> {
  const { verb, rest } = splitVerb(args);
  if (!verb) throw new Error(`gg ${args.join(' ')}: no verb of the API`);
  const written = { out: '', err: '' };
  const code = await runVerb(verb, rest, {
    env: { ...env },
    width: 80,
    out: (text) => {
      written.out += text;
    },
    err: (text) => {
      written.err += text;
    },
  });
  return { code, ...written };
}

/** For all of a test file; the files of the account that runs the tests have no say. */
export function useEnvironment(env: Environment): void {
  // As gg.ts: the SDK remarks on answers that it did not expect.
  console.warn = () => {};
  Object.assign(process.env, env, {
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  });
}

/** Rejects when the process did not come to an end by itself. */
export function run(
  file: string,
  args: readonly string[],
  env: Environment,
  timeout = 50_000,
): Promise<Ended> {
  const whole = { PATH: process.env.PATH ?? '', ...env };
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: whole, timeout, maxBuffer: 1e7 }, (error, out, err) => {
      if (error && typeof error.code !== 'number') reject(error);
      else resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
}
