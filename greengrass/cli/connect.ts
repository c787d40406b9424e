/** Which API, and whose keys: options first, then the ready file, then AWS's environment and files. */
import { readFileSync } from 'node:fs';
import { checkJson, z } from '../lib/check.js';

/** What greengrass-cloud wrote when it was ready, as far as its clients need it. */
export const readyFile = z.object({
  api: z.string(),
  mqtt: z.object({ host: z.string(), port: z.number() }),
  https: z.object({ host: z.string(), port: z.number() }),
  caFile: z.string(),
  accessKeyId: z.string(),
  secretAccessKey: z.string(),
  region: z.string(),
});
export type Ready = z.output<typeof readyFile>;

export interface ConnectOptions {
  readonly endpoint?: string;
  readonly readyFile?: string;
  readonly region?: string;
  /** Keys of this profile, also where a ready file is given. */
  readonly profile?: string;
}

export interface ConnectedTo {
  readonly endpoint: string;
  readonly region: string;
  /** Absent: the SDK looks in the environment and in ~/.aws. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** The endpoint is not known, or the ready file is not one. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError';
}

export function readReady(options: ConnectOptions & { readonly readyFile: string }): Ready;
export function readReady(options: ConnectOptions): Ready | undefined;
export function readReady(options: ConnectOptions): Ready | undefined {
  if (options.readyFile === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(options.readyFile, 'utf8');
  } catch (error) {
    throw new ConnectError(`--ready-file: cannot read ${options.readyFile} (${(error as Error).message})`);
  }
  return checkJson(readyFile, text, options.readyFile);
}

/**
 * Never AWS by accident: the endpoint has to be said.
 *
 * @throws {ConnectError}
 */
export function whereTo(options: ConnectOptions, env: NodeJS.ProcessEnv): ConnectedTo {
  const ready = readReady(options);
  const endpoint =
    options.endpoint ?? ready?.api ?? (env.AWS_ENDPOINT_URL_GREENGRASS || env.AWS_ENDPOINT_URL || undefined);
  if (endpoint === undefined) {
    throw new ConnectError(
      'the endpoint is not known: give --ready-file FILE (greengrass-cloud writes one), --endpoint URL or AWS_ENDPOINT_URL',
    );
  }
  if (!URL.canParse(endpoint)) {
    throw new ConnectError(`the endpoint "${endpoint}" must be a URL such as http://127.0.0.1:8080`);
  }
  const region = options.region ?? ready?.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || 'us-east-1');
  if (!ready || options.profile !== undefined) return { endpoint, region };
  const { accessKeyId, secretAccessKey } = ready;
  return { endpoint, region, credentials: { accessKeyId, secretAccessKey } };
}
