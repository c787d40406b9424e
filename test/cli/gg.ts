/** Runs gg, and AWS's own command line where it is installed, as processes of their own. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Cloud } from '../cloud-api/harness.js';

export const GG_PATH = fileURLToPath(new URL('../../greengrass/cli/gg.js', import.meta.url));
const AWS = '/usr/bin/aws';

export const awsIsThere = existsSync(AWS);

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

/** The endpoint is an option here: older versions do not read it from the environment and would ask AWS itself. */
export function runAws(env: Environment, ...args: string[]): Promise<Ended> {
  return run(AWS, ['--endpoint-url', env.AWS_ENDPOINT_URL ?? '', 'greengrass', ...args], env);
}

/** Rejects when the process did not come to an end by itself. */
export function run(file: string, args: readonly string[], env: Environment): Promise<Ended> {
  const whole = { PATH: process.env.PATH ?? '', ...env };
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: whole, timeout: 50_000, maxBuffer: 1e7 }, (error, out, err) => {
      if (error && typeof error.code !== 'number') reject(error);
      else resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
}
