/**
 * Code of functions on the core: zips by digest while they come in, unpacked at V1's place
 * (`deployment/lambda/<function ARN with version>`). Beside each folder stands the digest that it was made from, written
 * last, so that a folder without one is known to be half done.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { writeFileAtomic } from '../../lib/atomic-file.js';
import { parseFunctionArn } from '../../model/arn.js';
import { EXECUTABLE_RUNTIME } from '../../model/function-config.js';
import type { GroupFunction } from '../../model/group.js';
import { DeploymentError } from '../errors.js';
import { UNZIP_LIMITS, type UnzipLimits, unzip } from './unzip.js';

/** Fetches an artifact into a file, going on behind what the file holds. */
export type Fetch = (sha256Hex: string, file: string) => Promise<void>;

const DIGEST = /^[0-9a-f]{64}$/;

export class ArtifactStore {
  readonly #codeFolder: string;
  readonly #zipFolder: string;

  /** `writeDirectory`: `<root>/ggc` by default. */
  constructor(
    writeDirectory: string,
    private readonly limits: UnzipLimits = UNZIP_LIMITS,
  ) {
    this.#codeFolder = join(writeDirectory, 'deployment', 'lambda');
    this.#zipFolder = join(writeDirectory, 'deployment', 'artifacts');
  }

  /** Folder of the function's code, present or not. */
  folderOf(functionArn: string): string {
    return join(this.#codeFolder, functionArn);
  }

  /** Makes the function's code present and proven; fetches only what is missing. Answers its folder. */
  async ensure(groupFunction: GroupFunction, fetch: Fetch): Promise<string> {
    const { FunctionArn: arn } = groupFunction;
    const digest = digestOf(groupFunction);
    const folder = this.folderOf(arn);
    if (this.#unpackedDigest(arn) === digest && existsSync(folder)) return folder;
    const zip = await this.#fetchZip(arn, digest, fetch);
    rmSync(this.#markOf(arn), { force: true });
    await unzip(zip, folder, arn, this.limits);
    makeExecutable(groupFunction, folder);
    writeFileAtomic(this.#markOf(arn), digest);
    rmSync(zip, { force: true });
    return folder;
  }

  /** Deletes code that none of the functions refers to, and what broken-off downloads left. */
  sweep(keep: readonly string[]): void {
    const kept = new Set(keep.flatMap((arn) => [arn, `${arn}.sha256`]));
    for (const name of listFolder(this.#codeFolder)) {
      if (!kept.has(name)) rmSync(join(this.#codeFolder, name), { recursive: true, force: true });
    }
    rmSync(this.#zipFolder, { recursive: true, force: true });
  }

  async #fetchZip(arn: string, digest: string, fetch: Fetch): Promise<string> {
    mkdirSync(this.#zipFolder, { recursive: true, mode: 0o700 });
    const zip = join(this.#zipFolder, `${digest}.zip`);
    // A file that went wrong on its way (a torn tail after a power cut) is fetched once more from its start.
    for (const attempt of [1, 2]) {
      try {
        await fetch(digest, zip);
      } catch (error) {
        throw new DeploymentError(
          'ArtifactDownloadFailed',
          `unable to execute download step in deployment. error while downloading: the code of ${arn}: ${(error as Error).message}`,
          { cause: error },
        );
      }
      const got = await fileDigest(zip);
      if (got === digest) return zip;
      rmSync(zip, { force: true });
      if (attempt === 2) {
        throw new DeploymentError(
          'ArtifactDigestMismatch',
          `the code of ${arn} does not have the digest that the deployment names: SHA-256 is ${got}, but must be ${digest}`,
        );
      }
    }
    return zip;
  }

  #markOf(arn: string): string {
    return join(this.#codeFolder, `${arn}.sha256`);
  }

  #unpackedDigest(arn: string): string | undefined {
    try {
      return readFileSync(this.#markOf(arn), 'utf8');
    } catch {
      return undefined;
    }
  }
}

/** The zip's SHA-256 in hex: the last part of the artifact's ARN, which must agree with CodeSha256. */
function digestOf({ FunctionArn: arn, ArtifactArn, DeploymentConfiguration }: GroupFunction): string {
  // It becomes the name of a folder, before the checks of the group have seen it.
  if (parseFunctionArn(arn) === undefined) {
    throw new DeploymentError(
      'DocumentInvalid',
      `group config is invalid: "${arn.slice(0, 200)}" is not the ARN of a function`,
    );
  }
  const digest = ArtifactArn?.split('/').at(-1) ?? '';
  const codeSha256 = DeploymentConfiguration.CodeSha256;
  const agrees = codeSha256 === undefined || Buffer.from(codeSha256, 'base64').toString('hex') === digest;
  if (DIGEST.test(digest) && agrees) return digest;
  throw new DeploymentError(
    'DocumentInvalid',
    `group config is invalid: function ${arn}: ArtifactArn must end in the SHA-256 of the code, and CodeSha256 must agree with it`,
  );
}

/** V1 makes the handler of an executable function executable, whatever the zip says. */
function makeExecutable(
  { FunctionArn: arn, DeploymentConfiguration: settings }: GroupFunction,
  folder: string,
): void {
  if (settings.Runtime !== EXECUTABLE_RUNTIME) return;
  const handler = settings.Executable || settings.Handler || '';
  const path = join(folder, handler);
  if (handler === '' || handler.includes('..') || !existsSync(path)) {
    throw new DeploymentError(
      'GroupConfigInvalid',
      `Unable to create server due to: failed to load group: chmod ${path}: no such file or directory (handler of ${arn})`,
    );
  }
  chmodSync(path, 0o755);
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
