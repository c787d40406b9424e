/**
 * Code of functions on the core, by digest: `deployment/code/<SHA-256>` holds what the zip with that digest held, unpacked
 * once and never changed, so that versions share it and a deployment that fails has touched nothing. At V1's place,
 * `deployment/lambda/<function ARN with version>`, stands a link to it. (Runtimes could not use that path itself: its
 * colons separate entries in PYTHONPATH and NODE_PATH.)
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { atOnce } from '../../lib/at-once.js';
import { parseFunctionArn } from '../../model/arn.js';
import { EXECUTABLE_RUNTIME } from '../../model/function-config.js';
import type { GroupFunction } from '../../model/group.js';
import { DeploymentError } from '../errors.js';
import { type FreeBytes, freeBytes, requireSpace } from './disk-space.js';
import { type Fetch, fetchArtifact } from './fetch-artifact.js';
import { ModelStore } from './model-store.js';
import { reached } from './steps.js';
import type { UnpackLimits } from './unpack.js';
import { UNZIP_LIMITS, type UnzipLimits, unpackedBytes, unzip } from './unzip.js';

/** Zips that are fetched and unpacked together. */
const FETCHES_AT_ONCE = 4;
const DIGEST = /^[0-9a-f]{64}$/;

export interface ArtifactLimits {
  readonly unzip?: UnzipLimits;
  readonly unpackModel?: UnpackLimits;
  readonly freeBytes?: FreeBytes;
}

export class ArtifactStore {
  readonly models: ModelStore;
  readonly #folder: string;
  readonly #codeFolder: string;
  readonly #linkFolder: string;
  readonly #zipFolder: string;
  readonly #unzip: UnzipLimits;
  readonly #freeBytes: FreeBytes;

  /** `writeDirectory`: `<root>/ggc` by default. */
  constructor(writeDirectory: string, limits: ArtifactLimits = {}) {
    this.#folder = join(writeDirectory, 'deployment');
    this.#codeFolder = join(this.#folder, 'code');
    this.#linkFolder = join(this.#folder, 'lambda');
    this.#zipFolder = join(this.#folder, 'artifacts');
    this.#unzip = limits.unzip ?? UNZIP_LIMITS;
    this.#freeBytes = limits.freeBytes ?? freeBytes;
    this.models = new ModelStore(this.#folder, limits);
  }

  /** Folder of the function's code, present or not. Throws DeploymentError where the function names no code. */
  folderOf(groupFunction: GroupFunction): string {
    return join(this.#codeFolder, digestOf(groupFunction));
  }

  /** Code that would have to be fetched for these functions, in bytes of zips as far as the document tells. */
  missing(functions: readonly GroupFunction[]): {
    readonly functions: GroupFunction[];
    readonly bytes: number;
  } {
    const byDigest = new Map(functions.map((f) => [digestOf(f), f]));
    const absent = [...byDigest].filter(([digest]) => !existsSync(join(this.#codeFolder, digest)));
    const size = (f: GroupFunction) => f.DeploymentConfiguration.CodeSize ?? 0;
    return {
      functions: absent.map(([, groupFunction]) => groupFunction),
      bytes: absent.reduce((sum, [digest, f]) => sum + Math.max(0, size(f) - this.#fetched(digest)), 0),
    };
  }

  /**
   * Makes the code of all functions present and proven; fetches only what is missing. Answers the folders by function ARN.
   * Throws DeploymentError, before anything is fetched where the disk has no room for it.
   */
  async ensure(functions: readonly GroupFunction[], fetch: Fetch): Promise<Map<string, string>> {
    const { functions: absent, bytes } = this.missing(functions);
    if (absent.length > 0) {
      // What comes out of a zip is hardly ever less than what is in it.
      const unpacked = absent.reduce((sum, f) => sum + (f.DeploymentConfiguration.CodeSize ?? 0), 0);
      this.#requireSpace(bytes + unpacked, `the code of ${absent.length} function(s)`);
    }
    this.#openFolder();
    await atOnce(absent, FETCHES_AT_ONCE, (groupFunction) => this.#obtain(groupFunction, fetch));
    const folders = new Map<string, string>();
    for (const groupFunction of functions) {
      const folder = this.folderOf(groupFunction);
      makeExecutable(groupFunction, folder);
      folders.set(groupFunction.FunctionArn, folder);
    }
    return folders;
  }

  /** Points V1's places at the code of these functions, and at no other. */
  link(functions: readonly GroupFunction[]): void {
    mkdirSync(this.#linkFolder, { recursive: true, mode: 0o755 });
    const kept = new Set(functions.map(({ FunctionArn }) => FunctionArn));
    for (const name of listFolder(this.#linkFolder)) {
      if (!kept.has(name)) rmSync(join(this.#linkFolder, name), { recursive: true, force: true });
    }
    for (const groupFunction of functions) {
      const link = join(this.#linkFolder, groupFunction.FunctionArn);
      const target = join('..', 'code', digestOf(groupFunction));
      if (linkTarget(link) === target) continue;
      const temporary = `${link}.new`;
      rmSync(temporary, { recursive: true, force: true });
      symlinkSync(target, temporary);
      // A folder of V1's own would not be replaced by a rename.
      if (linkTarget(link) === undefined) rmSync(link, { recursive: true, force: true });
      renameSync(temporary, link);
    }
  }

  /** Deletes code and downloads that none of the functions refers to, and what was half done. */
  sweep(functions: readonly GroupFunction[]): void {
    const digests = new Set(functions.map(digestOf));
    for (const name of listFolder(this.#codeFolder)) {
      if (!digests.has(name)) rmSync(join(this.#codeFolder, name), { recursive: true, force: true });
    }
    for (const name of listFolder(this.#zipFolder)) {
      const digest = name.replace(/\.zip$/, '');
      const isOpen = digests.has(digest) && !existsSync(join(this.#codeFolder, digest));
      if (!isOpen) rmSync(join(this.#zipFolder, name), { recursive: true, force: true });
    }
  }

  /** Functions without a container walk through it to their code, whoever made it. */
  #openFolder(): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o755 });
    const { mode } = statSync(this.#folder);
    if ((mode & 0o055) !== 0o055) chmodSync(this.#folder, mode | 0o755);
  }

  async #obtain(groupFunction: GroupFunction, fetch: Fetch): Promise<void> {
    const { FunctionArn: arn } = groupFunction;
    const digest = digestOf(groupFunction);
    const zip = this.#zipOf(digest);
    await fetchArtifact(digest, zip, `the code of ${arn}`, fetch);
    await reached('artifact-fetched');
    this.#requireSpace(await unpackedBytes(zip, arn, this.#unzip), `the unpacked code of ${arn}`);
    await unzip(zip, this.folderOf(groupFunction), arn, this.#unzip);
    await reached('artifact-unpacked');
    rmSync(zip, { force: true });
  }

  #requireSpace(bytes: number, what: string): void {
    requireSpace(this.#folder, bytes, what, this.#freeBytes);
  }

  #zipOf(digest: string): string {
    return join(this.#zipFolder, `${digest}.zip`);
  }

  #fetched(digest: string): number {
    return statSync(this.#zipOf(digest), { throwIfNoEntry: false })?.size ?? 0;
  }
}

/** The zip's SHA-256 in hex: the last part of the artifact's ARN, which must agree with CodeSha256. */
function digestOf({ FunctionArn: arn, ArtifactArn, DeploymentConfiguration }: GroupFunction): string {
  // The ARN becomes the name of a link, before the checks of the group have seen it.
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

/** V1 makes the handler of an executable function executable, whatever the zip says; so is the `bootstrap` of `provided`. */
function makeExecutable(
  { FunctionArn: arn, DeploymentConfiguration: settings }: GroupFunction,
  folder: string,
): void {
  const isCustom = settings.Runtime?.startsWith('provided') === true;
  if (settings.Runtime !== EXECUTABLE_RUNTIME && !isCustom) return;
  const handler = isCustom ? 'bootstrap' : settings.Executable || settings.Handler || '';
  const path = join(folder, handler);
  if (handler === '' || handler.includes('..') || !existsSync(path)) {
    throw new DeploymentError(
      'GroupConfigInvalid',
      `Unable to create server due to: failed to load group: chmod ${path}: no such file or directory (handler of ${arn})`,
    );
  }
  chmodSync(path, 0o755);
}

/** Where a link leads, or undefined where there is none. */
function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
