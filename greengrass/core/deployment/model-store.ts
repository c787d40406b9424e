/**
 * Machine learning models on the core, by digest like code: `deployment/mlmodel/<digest>-<variant>` holds what functions
 * see at the model's destination, `deployment/mlmodel_public` those with an owner of their own. The variant is what tells
 * apart resources that can't share: other owner, other name, or written to by functions. `deployment/mlmodel_links` is
 * what AWS_GG_RESOURCE_PREFIX leads functions without a container to.
 */
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { atOnce } from '../../lib/at-once.js';
import { gidOf } from '../../lib/unix-group.js';
import type { GroupDocument } from '../../model/group.js';
import { isolationOf } from '../../model/group-checks.js';
import { type ModelLinks, type ModelPlace, modelLinks, modelPlaces } from '../../model/ml-model.js';
import { DeploymentError } from '../errors.js';
import { type FreeBytes, freeBytes, requireSpace } from './disk-space.js';
import { type Fetch, fetchArtifact } from './fetch-artifact.js';
import { reached } from './steps.js';
import { type UnpackLimits, unpackInto } from './unpack.js';
import { extractTarGz } from './untar.js';
import { extractZip, zipContentBytes } from './unzip.js';

/** V1 names no limit; a device's disk is what ends it. */
export const MODEL_LIMITS: UnpackLimits = { maxEntries: 100_000, maxBytes: 20 * 1024 ** 3 };
/** Large ones fill the line by themselves. */
const FETCHES_AT_ONCE = 2;
const FOLDERS = ['mlmodel', 'mlmodel_public'] as const;
const LINKS = 'mlmodel_links';
const DOWNLOADS = 'mlmodel_artifacts';

export interface ModelStoreLimits {
  readonly unpackModel?: UnpackLimits;
  readonly freeBytes?: FreeBytes;
}

export class ModelStore {
  readonly #folder: string;
  readonly #limits: UnpackLimits;
  readonly #freeBytes: FreeBytes;

  /** `folder`: `<write directory>/deployment`. */
  constructor(folder: string, limits: ModelStoreLimits = {}) {
    this.#folder = folder;
    this.#limits = limits.unpackModel ?? MODEL_LIMITS;
    this.#freeBytes = limits.freeBytes ?? freeBytes;
  }

  /**
   * Makes the models of the group present and proven; fetches only what is missing. Throws DeploymentError, before
   * anything is fetched where the disk has no room for it or an owner is missing.
   */
  async ensure(group: GroupDocument, fetch: Fetch): Promise<void> {
    const absent = [...byPath(group).values()].filter(({ path }) => !existsSync(join(this.#folder, path)));
    for (const place of absent) ownerOf(place);
    if (absent.length > 0) await this.#obtainAll(absent, fetch);
    this.#link(group);
  }

  async #obtainAll(absent: readonly ModelPlace[], fetch: Fetch): Promise<void> {
    const byDigest = new Map<string, ModelPlace[]>();
    for (const place of absent) byDigest.set(place.digest, [...(byDigest.get(place.digest) ?? []), place]);
    const toFetch = [...byDigest].reduce(
      (sum, [digest, [first]]) => sum + Math.max(0, (first?.sizeBytes ?? 0) - this.#fetched(digest)),
      0,
    );
    // What comes out of an archive is hardly ever less than what is in it.
    const unpacked = absent.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#requireSpace(toFetch + unpacked, `${byDigest.size} machine learning model(s)`);
    await atOnce([...byDigest.values()], FETCHES_AT_ONCE, (places) => this.#obtain(places, fetch));
  }

  /** Functions without a container find their models by links; each set of links is made once and never changed. */
  #link(group: GroupDocument): void {
    for (const { name, links } of plainLinks(group).values()) {
      const folder = join(this.#folder, LINKS, name);
      if (existsSync(folder)) continue;
      mkdirSync(join(this.#folder, LINKS), { recursive: true, mode: 0o755 });
      const temporary = mkdtempSync(`${folder}.new-`);
      chmodSync(temporary, 0o755);
      for (const { destination, place } of links) {
        const link = join(temporary, destination);
        mkdirSync(dirname(link), { recursive: true, mode: 0o755 });
        symlinkSync(relative(dirname(join(folder, destination)), join(this.#folder, place.path)), link);
      }
      renameSync(temporary, folder);
    }
  }

  /** Deletes models and downloads that none of the groups has, and what was half done. */
  sweep(groups: readonly GroupDocument[]): void {
    const kept = new Map(groups.flatMap((group) => [...byPath(group)]));
    for (const folder of FOLDERS) {
      for (const name of listFolder(join(this.#folder, folder))) {
        if (!kept.has(`${folder}/${name}`)) {
          rmSync(join(this.#folder, folder, name), { recursive: true, force: true });
        }
      }
    }
    const linked = new Set(
      groups.flatMap((group) => [...plainLinks(group).values()].map(({ name }) => name)),
    );
    for (const name of listFolder(join(this.#folder, LINKS))) {
      if (!linked.has(name)) rmSync(join(this.#folder, LINKS, name), { recursive: true, force: true });
    }
    const open = new Set(
      [...kept.values()]
        .filter(({ path }) => !existsSync(join(this.#folder, path)))
        .map(({ digest }) => this.#downloadOf(digest)),
    );
    for (const name of listFolder(join(this.#folder, DOWNLOADS))) {
      const path = join(this.#folder, DOWNLOADS, name);
      if (!open.has(path)) rmSync(path, { recursive: true, force: true });
    }
  }

  async #obtain(places: readonly ModelPlace[], fetch: Fetch): Promise<void> {
    const [{ digest, fileName }] = places as [ModelPlace];
    const download = this.#downloadOf(digest);
    await fetchArtifact(digest, download, `model ${fileName}`, fetch);
    await reached('artifact-fetched');
    for (const place of places) await this.#unpack(download, place);
    await reached('artifact-unpacked');
    rmSync(download, { force: true });
  }

  async #unpack(download: string, place: ModelPlace): Promise<void> {
    const { format, fileName } = place;
    const what = `model ${fileName}`;
    const folder = join(this.#folder, place.path);
    this.#openFolder(place);
    const limits = { ...this.#limits, onProgress: () => this.#requireSpace(0, `the unpacked ${what}`) };
    const packed = statSync(download).size;
    const bytes = format === 'zip' ? await zipContentBytes(download, what, limits) : packed;
    this.#requireSpace(bytes, `the unpacked ${what}`);
    await unpackInto(folder, what, format === 'file' ? 'file' : `.${format} archive`, async (temporary) => {
      if (format === 'tar.gz') await extractTarGz(download, temporary, what, limits);
      else if (format === 'zip') await extractZip(download, temporary, what, limits);
      else copyFileSync(download, join(temporary, fileName));
      permit(temporary, place);
    });
  }

  /** Without an owner a model is root's: only a container, which root makes, shows it to anybody. */
  #openFolder({ groupOwner }: ModelPlace): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o755 });
    const folder = join(this.#folder, groupOwner === undefined ? 'mlmodel' : 'mlmodel_public');
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, groupOwner === undefined ? 0o700 : 0o755);
  }

  #requireSpace(bytes: number, what: string): void {
    requireSpace(this.#folder, bytes, what, this.#freeBytes);
  }

  #downloadOf(digest: string): string {
    return join(this.#folder, DOWNLOADS, digest);
  }

  #fetched(digest: string): number {
    return statSync(this.#downloadOf(digest), { throwIfNoEntry: false })?.size ?? 0;
  }
}

/** Resources that share a place are one. */
function byPath(group: GroupDocument): Map<string, ModelPlace> {
  return new Map([...modelPlaces(group).values()].map((place) => [place.path, place]));
}

function plainLinks(group: GroupDocument): Map<string, ModelLinks> {
  return modelLinks(group, (f) => isolationOf(group, f) === 'NoContainer');
}

/** Throws DeploymentError where this host has no such group. */
function ownerOf({ groupOwner, fileName }: ModelPlace): number | undefined {
  if (groupOwner === undefined) return undefined;
  const gid = gidOf(groupOwner);
  if (gid !== undefined) return gid;
  throw new DeploymentError(
    'ResourceNotAccessible',
    `Error while processing. group config is invalid: the owner of model ${fileName} is the group "${groupOwner}", which this host does not have. Make it (addgroup --system ${groupOwner}), or change GroupOwner.`,
  );
}

/** Gives all that was unpacked to the model's owner, or, behind the closed folder, to whoever has it mounted. */
function permit(path: string, place: ModelPlace): void {
  const gid = ownerOf(place);
  const stat = lstatSync(path);
  if (gid !== undefined) (stat.isSymbolicLink() ? lchownSync : chownSync)(path, 0, gid);
  if (stat.isSymbolicLink()) return;
  const isExecutable = stat.isDirectory() || (stat.mode & 0o100) !== 0;
  const bits = 0o4 + (place.isWritable ? 0o2 : 0) + (isExecutable ? 0o1 : 0);
  const owner = 0o6 + (isExecutable ? 0o1 : 0);
  chmodSync(path, owner * 0o100 + bits * 0o10 + (gid === undefined ? bits : 0));
  if (!stat.isDirectory()) return;
  for (const name of readdirSync(path)) permit(join(path, name), place);
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
